//! What a partition promises.

mod capacity;
mod properties;
mod storage;

use std::sync::Arc;

use detect::{Advance, Disposition, Event, Folded, Journal, Partition, Settings};
use wire::{Bounds, Identity, ProducerId, Reading, Sensor, Timestamp, Value};

const SENSORS: usize = 6;

fn sensors() -> Vec<Arc<Sensor>> {
    let sensor = |index: usize| {
        let sensor = Sensor::new(&format!("sensor-{index}"), "Temperature")
            .with_unit("°C")
            .with_group("hall");
        match index % 2 {
            0 => Arc::new(sensor),
            _ => Arc::new(sensor.with_bounds(Bounds {
                lowest: -500.0,
                highest: 500.0,
            })),
        }
    };
    (0..SENSORS).map(sensor).collect()
}

fn settings() -> Settings {
    toml::from_str(
        "quiet = \"20s\"\nsilence_minimum = \"5s\"\nforget = \"2h\"\n[rates.hits]\ncount = {}\nwindow = \"10s\"",
    )
    .unwrap()
}

fn fold(partition: &mut Partition, readings: &[Reading], journal: &mut Journal) -> (Vec<Folded>, Vec<Event>) {
    fold_by(&settings(), partition, readings, journal)
}

fn fold_by(
    settings: &Settings,
    partition: &mut Partition,
    readings: &[Reading],
    journal: &mut Journal,
) -> (Vec<Folded>, Vec<Event>) {
    let mut events = Vec::new();
    let folded = readings
        .iter()
        .map(|reading| partition.fold(reading, settings, journal, &mut events))
        .collect();
    (folded, events)
}

fn limited_to(sensors: u32) -> Settings {
    toml::from_str(&format!(
        "max_sensors_per_partition = {sensors}\n[rates.hits]\ncount = {{}}\nwindow = \"1h\""
    ))
    .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000).unwrap()
}

fn scalar(sensor: &Arc<Sensor>, seconds: i64, value: f64) -> Reading {
    Reading::new(sensor.clone(), at(seconds), Value::Scalar(value)).unwrap()
}

#[test]
fn a_late_reading_moves_nothing() {
    let sensor = &sensors()[1];
    let mut partition = Partition::new();
    let mut journal = Journal::new();
    fold(&mut partition, &[scalar(sensor, 10, 1.0)], &mut journal);
    let (bytes, len) = (partition.encode(), journal.len());
    for seconds in [10, 9, -1_000_000] {
        let (folded, events) = fold(&mut partition, &[scalar(sensor, seconds, 1e9)], &mut journal);
        assert_eq!(folded[0].disposition, Disposition::Late);
        assert!(events.is_empty());
    }
    assert_eq!((partition.encode(), journal.len()), (bytes, len));
}

#[test]
fn a_hundred_readings_of_known_sensors_fit_in_2000_bytes() {
    let sensors = sensors();
    let mut partition = Partition::new();
    let batch = |round: i64| -> Vec<Reading> {
        let reading = |index: i64| {
            let value = ((round * 100 + index) as f64).sin();
            let micros = (round * 100 + index) * 1_234_567;
            let time = Timestamp::from_micros(1_700_000_000_000_000 + micros).unwrap();
            Reading::new(sensors[index as usize % 5].clone(), time, Value::Scalar(value)).unwrap()
        };
        (0..100).map(reading).collect()
    };
    fold(&mut partition, &batch(0), &mut Journal::new());
    let mut journal = Journal::new();
    let identity = Identity {
        producer: ProducerId(u64::MAX),
        number: 1000,
    };
    partition.advance(identity, at(0), &mut journal);
    fold(&mut partition, &batch(1), &mut journal);
    assert!(journal.len() <= 1420, "{} bytes", journal.len());
}

#[test]
fn a_record_sent_again_is_recognised_after_a_replay() {
    let identity = Identity {
        producer: ProducerId(7),
        number: 3,
    };
    let mut journal = Journal::new();
    let mut partition = Partition::new();
    assert_eq!(partition.advance(identity, at(0), &mut journal), Advance::New);
    let len = journal.len();
    assert_eq!(partition.advance(identity, at(1), &mut journal), Advance::Repeated);
    assert_eq!(journal.len(), len);
    let mut again = Partition::new();
    again.replay(&journal.into_bytes()).unwrap();
    assert_eq!(again.advance(identity, at(2), &mut Journal::new()), Advance::Repeated);
}

#[test]
fn new_settings_and_new_metadata_are_replayed() {
    let plain = Arc::new(Sensor::new("a", "speed"));
    let bounded = Arc::new(Sensor::new("a", "speed").with_bounds(Bounds {
        lowest: 0.0,
        highest: 1.0,
    }));
    let (mut partition, mut journal, mut events) = (Partition::new(), Journal::new(), Vec::new());
    partition.fold(&scalar(&plain, 0, 5.0), &Settings::default(), &mut journal, &mut events);
    assert!(events.is_empty());
    partition.fold(&scalar(&bounded, 1, 5.0), &settings(), &mut journal, &mut events);
    assert_eq!(events.len(), 2, "{events:?}");
    let mut replayed = Partition::new();
    replayed.replay(&journal.into_bytes()).unwrap();
    assert_eq!(replayed.encode(), partition.encode());
}

fn numbered(index: u32) -> Arc<Sensor> {
    Arc::new(Sensor::new(&format!("sensor-{index}"), "temperature"))
}
