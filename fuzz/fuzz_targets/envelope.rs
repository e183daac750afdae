//! Any bytes as an envelope of CloudWatch Logs, as they are and packed: nothing panics, and each log event that is read is
//! a reading that survives being written.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use wire::Reading;
use wire::json::{Decoder, encode};

fuzz_target!(|data: &[u8]| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(data).and_then(|()| encoder.finish());
    for envelope in [data, &packed.expect("memory takes all")] {
        let mut readings = Vec::<Reading>::new();
        let opened = processor::envelope::open(envelope, |reading| readings.push(reading), |_| {});
        assert!(opened.is_ok() || readings.is_empty());
        let mut decoder = Decoder::new();
        for reading in readings {
            let mut json = Vec::new();
            encode(&reading, None, &mut json);
            assert_eq!(decoder.decode(&json).expect("what was read can be written").reading, reading);
        }
    }
});
