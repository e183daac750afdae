//! Any message under a right digest: nothing in it panics, and what is borrowed lies within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use md5::{Digest, Md5};
use wire::aggregate::deaggregate;

fuzz_target!(|message: &[u8]| {
    // A fuzzer finds the magic number, but no MD5.
    let record = [b"\xf3\x89\x9a\xc2".as_slice(), message, &Md5::digest(message)].concat();
    let Ok(deaggregated) = deaggregate(&record) else {
        return;
    };
    let _ = deaggregated.identity();
    let mut borrowed = 0;
    for user_record in deaggregated.records().flatten() {
        borrowed += user_record.data.len();
        for (key, value) in user_record.tags {
            borrowed += key.len() + value.map_or(0, str::len);
        }
    }
    assert!(borrowed <= message.len());
});
