//! Any bytes as the body of a request: nothing panics, and what is read is what the readings say one by one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::json::{BatchLimits, Decoder, Layout, decode_batch};

const LIMITS: BatchLimits = BatchLimits {
    readings: 100,
    reading_bytes: 1_000,
};

fuzz_target!(|body: &[u8]| {
    let mut decoder = Decoder::new();
    for layout in [Layout::Any, Layout::Document, Layout::Lines] {
        let Ok(readings) = decode_batch(&mut decoder, body, layout, LIMITS) else {
            continue;
        };
        assert!((1..=LIMITS.readings).contains(&readings.len()));
        if layout == Layout::Lines {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
            let one_by_one: Vec<_> = lines
                .map(|line| decoder.decode(line).expect("each line was read before").reading)
                .collect();
            assert_eq!(readings, one_by_one);
        }
    }
});
