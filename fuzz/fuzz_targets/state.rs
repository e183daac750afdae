//! Any bytes as stored state, a partition and a journal: nothing panics, what is read is written and read again as it was, and
//! whatever was read goes on to judge readings.
#![no_main]

use std::sync::Arc;

use detect::{Journal, Partition, Settings};
use libfuzzer_sys::fuzz_target;
use wire::{Reading, Sensor, Timestamp, Value};

/// That of partitions.
const VERSION: u8 = 4;
/// They are refused where they weigh more.
const MOST_WEIGHT: u64 = 1_000;

/// As if this release had written it: the version in front, the digest behind, which no mutation would find.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    if let Some(version) = bytes.first_mut() {
        *version = VERSION;
    }
    let digest = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&digest.to_le_bytes());
    bytes
}

fuzz_target!(|data: (&[u8], &[u8])| {
    let (state, journal) = data;
    let _ = Partition::decode(state, MOST_WEIGHT);
    let Ok(mut partition) = Partition::decode(&sealed(state), MOST_WEIGHT) else {
        return;
    };
    let stored = partition.encode();
    let again = Partition::decode(&stored, MOST_WEIGHT).expect("what is written can be read");
    assert_eq!(again.encode(), stored);
    if partition.clone().replay(journal).is_ok() {
        partition.replay(journal).expect("it was replayed before");
    }
    let (settings, mut told) = (Settings::default(), Vec::new());
    for at in 0..40i64 {
        let sensor = Arc::new(Sensor::new(["a", "b"][at as usize % 2], "load"));
        let time = Timestamp::from_micros(1_700_000_000_000_000 + at * 60_000_000).expect("a time of this century");
        let value = if at % 7 == 6 { Value::Vector([1.0, at as f64].into()) } else { Value::Scalar(at as f64) };
        let reading = Reading::new(sensor, time, value).expect("finite");
        let folded = partition.fold(&reading, &settings, &mut Journal::new(), &mut told);
        assert!(folded.score.is_finite());
    }
});
