//! The same readings give the same state and events, however they are cut into batches; no number is ever not finite.

use std::sync::Arc;

use detect::{Event, Journal, Partition, Settings};
use proptest::prelude::*;
use wire::{Bounds, Fields, LaneName, Reading, Sensor, Timestamp, Value};

use super::{SENSORS, fold, fold_by, limited_to, sensors, settings};

/// Mostly steady, sometimes wild, so that every detector and every deadline has its turn.
fn step() -> impl Strategy<Value = (usize, i64, f64)> {
    let second = 1_000_000i64;
    let time = prop_oneof![
        20 => second / 2..2 * second,
        4 => Just(0),
        2 => -5 * second..0,
        1 => 30 * second..7200 * second,
        1 => Just(10 * 366 * 86_400 * second),
        1 => Just(-10 * 366 * 86_400 * second),
    ];
    let value = prop_oneof![
        20 => (-100i32..100).prop_map(|tenths| f64::from(tenths) / 10.0),
        4 => Just(0.0),
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN_POSITIVE / 4.0),
    ];
    (0..SENSORS, time, value)
}

/// Runs of the same sensor, so that one of them may fall silent.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let runs = proptest::collection::vec((0..SENSORS, proptest::collection::vec(step(), 1..120)), 1..10);
    runs.prop_map(|runs| {
        let sensors = sensors();
        let mut time = 1_700_000_000_000_000i64;
        let mut readings = Vec::new();
        for (absent, steps) in runs {
            for (index, step, value) in steps {
                if index == absent {
                    continue;
                }
                time = (time + step).clamp(Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
                let value = match index {
                    5 => Value::Vector([value, 1.0, -value].into()),
                    _ => Value::Scalar(value),
                };
                let at = Timestamp::from_micros(time).unwrap();
                readings.push(Reading::new(sensors[index].clone(), at, value).unwrap());
            }
        }
        readings
    })
}

/// Folds readings at once, and in batches with a checkpoint or a replay after each: the same comes of it.
fn fold_in_batches(settings: &Settings, readings: &[Reading], size: usize) -> Result<Partition, TestCaseError> {
    let mut whole = Partition::new();
    let (folded, events) = fold_by(settings, &mut whole, readings, &mut Journal::new());

    let (mut stored, mut replayed) = (Partition::new(), Partition::new());
    let (mut stored_folded, mut stored_events) = (Vec::new(), Vec::new());
    for batch in readings.chunks(size) {
        let mut journal = Journal::new();
        let (more_folded, more_events) = fold_by(settings, &mut stored, batch, &mut journal);
        stored_folded.extend(more_folded);
        stored_events.extend(more_events);
        stored = Partition::decode(&stored.encode(), u64::MAX).unwrap();
        replayed.replay(&journal.into_bytes()).unwrap();
    }
    prop_assert_eq!(&stored_folded, &folded);
    prop_assert_eq!(&stored_events, &events);
    prop_assert_eq!(stored.encode(), whole.encode());
    prop_assert_eq!(replayed.encode(), whole.encode());
    prop_assert_eq!(stored.weight(), whole.weight());
    prop_assert_eq!(replayed.weight(), whole.weight());
    Ok(whole)
}

/// Far more sensors than the limit, slow ones, so that some are evicted: of numbers, of long vectors and of events.
fn crowd() -> impl Strategy<Value = Vec<Reading>> {
    let hour = 3_600_000_000i64;
    let step = prop_oneof![6 => hour..30 * hour, 1 => Just(0), 1 => -40 * hour..0];
    let reading = (
        0usize..16,
        step,
        -10i32..10,
        prop_oneof![9 => Just(1usize), 1 => 2usize..400],
    );
    proptest::collection::vec(reading, 1..200).prop_map(|steps| {
        let mut time = 1_700_000_000_000_000i64;
        let reading = |(index, step, value, numbers): (usize, i64, i32, usize)| {
            time += step;
            let (value, at) = (f64::from(value), Timestamp::from_micros(time).unwrap());
            let sensor = Sensor::new(&format!("sensor-{index}"), "Temperature").with_bounds(Bounds {
                lowest: -9.0,
                highest: 500.0,
            });
            let value = match (index, numbers) {
                (0..4, _) => Value::Event(Fields::parse("{\"action\":\"Click\"}").unwrap()),
                (_, 1) => Value::Scalar(value),
                (_, numbers) => Value::Vector(vec![value; numbers].into()),
            };
            Reading::new(Arc::new(sensor), at, value).unwrap()
        };
        steps.into_iter().map(reading).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn batches_checkpoints_and_replays_change_nothing(readings in readings(), size in 1usize..80) {
        fold_in_batches(&settings(), &readings, size)?;
    }

    #[test]
    fn a_full_partition_changes_alike_in_any_batches(readings in crowd(), size in 1usize..40, limit in 1u32..8) {
        let settings = limited_to(limit);
        let partition = fold_in_batches(&settings, &readings, size)?;
        // What follows from events may weigh as much as the sensors that were admitted.
        prop_assert!(partition.weight() <= 2 * u64::from(limit));
    }

    #[test]
    fn nothing_depends_on_what_comes_later(readings in readings(), part in 0.0..1.0f64) {
        let prefix = (readings.len() as f64 * part) as usize;
        let (all, events) = fold(&mut Partition::new(), &readings, &mut Journal::new());
        let (some, fewer) = fold(&mut Partition::new(), &readings[..prefix], &mut Journal::new());
        prop_assert_eq!(&all[..prefix], &some[..]);
        prop_assert_eq!(&events[..fewer.len()], &fewer[..]);
    }

    #[test]
    fn every_number_is_finite(readings in readings()) {
        let mut partition = Partition::new();
        let (folded, events) = fold(&mut partition, &readings, &mut Journal::new());
        for folded in folded {
            prop_assert!((0.0..=detect::MAX_SCORE).contains(&folded.score), "{}", folded.score);
            if let Some((lowest, highest)) = folded.expected {
                prop_assert!(lowest.is_finite() && highest.is_finite() && lowest <= highest);
            }
        }
        for event in events {
            let bytes = postcard::to_stdvec(&event).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Event>(&bytes).unwrap(), event);
        }
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Partition::decode(&bytes, u64::MAX).is_err());
        // A journal of garbage may happen to be one; it must only end.
        let _ = Partition::new().replay(&bytes);
    }

    #[test]
    fn a_damaged_partition_is_refused(readings in readings(), at: proptest::sample::Index, bit in 0u8..8) {
        let mut partition = Partition::new();
        fold(&mut partition, &readings, &mut Journal::new());
        let mut bytes = partition.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Partition::decode(&bytes, u64::MAX).is_err());
    }

    #[test]
    fn a_damaged_journal_never_panics(readings in readings(), at: proptest::sample::Index, bit in 0u8..8) {
        let mut journal = Journal::new();
        fold(&mut Partition::new(), &readings, &mut journal);
        let mut bytes = journal.into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = Partition::new().replay(&bytes);
    }

    #[test]
    fn partitions_split_and_merged_keep_every_sensor(readings in readings()) {
        let mut partition = Partition::new();
        fold(&mut partition, &readings, &mut Journal::new());
        let halves = [0u128, u128::MAX].map(|hash| {
            let mut half = partition.clone();
            half.restrict(&LaneName::of(hash, 2).slice());
            half
        });
        let merged = Partition::merge(halves);
        // Had a sensor been lost, its old readings would be fresh again.
        for reading in &readings {
            let known = |partition: &Partition| fold(&mut partition.clone(), std::slice::from_ref(reading), &mut Journal::new()).0;
            prop_assert_eq!(known(&partition)[0].disposition, known(&merged)[0].disposition);
            prop_assert_eq!(known(&partition)[0].incident, known(&merged)[0].incident);
        }
    }
}
