//! Stored partitions: the version of this release is read, any other is refused by name.

use std::sync::Arc;

use detect::{Advance, Disposition, Journal, Partition};
use wire::{Fields, Identity, ProducerId, Reading, Sensor, Value};

use super::{at, fold, scalar, sensors};

#[test]
fn a_newer_partition_is_refused_by_name() {
    let mut bytes = Partition::new().encode();
    bytes[0] += 1;
    let error = Partition::decode(&bytes, u64::MAX).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("partition has layout 5, this release knows 4"),
        "{error}"
    );
    bytes[0] = 3;
    let error = Partition::decode(&bytes, u64::MAX).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("partition has layout 3, this release knows only 4"),
        "{error}"
    );
}

/// What all stored partitions hold: six sensors, one incident open, one producer.
fn holds_its_sensors(mut partition: Partition) {
    let identity = Identity {
        producer: ProducerId(0xfeed),
        number: 41,
    };
    assert_eq!(
        partition.advance(identity, at(0), &mut Journal::new()),
        Advance::Repeated
    );
    let (folded, _) = fold(&mut partition, &[scalar(&sensors()[1], 1000, 3.0)], &mut Journal::new());
    assert_eq!(folded[0].disposition, Disposition::Late);
    assert_eq!(folded[0].incident, Some(at(1000)));
    let (folded, _) = fold(&mut partition, &[scalar(&sensors()[1], 1001, 3.0)], &mut Journal::new());
    assert_eq!(folded[0].disposition, Disposition::Fresh);
    assert_eq!(folded[0].incident, Some(at(1000)));
}

#[test]
fn a_partition_of_this_version_is_read() {
    // See `write_fixture`.
    let stored = include_bytes!("../../fixtures/partition_v4.bin");
    let mut partition = Partition::decode(stored, u64::MAX).unwrap();
    assert_eq!(partition.encode(), stored);
    holds_its_sensors(partition.clone());
    let hit = Value::Event(Fields::parse("{\"action\":\"Click\"}").unwrap());
    let site = Arc::new(Sensor::new("site", "clickstream"));
    fold(
        &mut partition,
        &[Reading::new(site, at(1100), hit).unwrap()],
        &mut Journal::new(),
    );
    // The window that was open at 1,000 s: it held one.
    let [derived] = partition.derived() else {
        panic!("{:?}", partition.derived())
    };
    assert_eq!(
        (derived.reading.time(), derived.reading.value()),
        (at(1010), &Value::Scalar(1.0))
    );
}

/// What the stored partition was made of. Set `WRITE_FIXTURE` to write it anew, which only a new version may do.
#[test]
fn write_fixture() {
    let sensors = sensors();
    let mut partition = Partition::new();
    let mut journal = Journal::new();
    partition.advance(
        Identity {
            producer: ProducerId(0xfeed),
            number: 41,
        },
        at(0),
        &mut journal,
    );
    let site = Arc::new(Sensor::new("site", "clickstream"));
    for second in 0..=1000i64 {
        let hit = Value::Event(Fields::parse("{\"action\":\"Click\"}").unwrap());
        fold(
            &mut partition,
            &[Reading::new(site.clone(), at(second), hit).unwrap()],
            &mut journal,
        );
        for (index, sensor) in sensors.iter().enumerate() {
            let wave = (second as f64 / 60.0 + index as f64).sin() * 10.0;
            let value = match (index, second) {
                (1, 1000) => Value::Scalar(900.0),
                (5, _) => Value::Vector([wave, -wave, 1.0].into()),
                _ => Value::Scalar((wave * 10.0).round() / 10.0),
            };
            fold(
                &mut partition,
                &[Reading::new(sensor.clone(), at(second), value).unwrap()],
                &mut journal,
            );
        }
    }
    let mut replayed = Partition::new();
    replayed.replay(&journal.into_bytes()).unwrap();
    assert_eq!(replayed.encode(), partition.encode());
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        std::fs::write("tests/fixtures/partition_v4.bin", partition.encode()).unwrap();
    }
}
