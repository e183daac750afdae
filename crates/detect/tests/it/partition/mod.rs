//! What a partition promises: the same readings give the same state and events, however they come, and nothing is ever not a
//! number.

use std::sync::Arc;

use detect::{Advance, Disposition, Event, Folded, Journal, Partition, Settings};
use proptest::prelude::*;
use wire::{Bounds, Fields, Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value};

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

fn limited_to(sensors: u32) -> Settings {
    toml::from_str(&format!(
        "max_sensors_per_partition = {sensors}\n[rates.hits]\ncount = {{}}\nwindow = \"1h\""
    ))
    .unwrap()
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

const DAY: i64 = 86_400;

fn numbered(index: u32) -> Arc<Sensor> {
    Arc::new(Sensor::new(&format!("sensor-{index}"), "temperature"))
}

/// The disposition of each of these readings, in a partition that holds three sensors; and what the partition became.
fn disposed(readings: &[Reading]) -> (Vec<Disposition>, Partition) {
    let mut partition = Partition::new();
    let (folded, _) = fold_by(&limited_to(3), &mut partition, readings, &mut Journal::new());
    (folded.iter().map(|folded| folded.disposition).collect(), partition)
}

#[test]
fn a_full_partition_refuses_new_sensors_and_judges_those_it_knows() {
    let mut partition = Partition::new();
    let settings = limited_to(3);
    let known: Vec<_> = (0..3).map(|index| scalar(&numbered(index), 0, 1.0)).collect();
    fold_by(&settings, &mut partition, &known, &mut Journal::new());
    let stored = partition.encode();
    let mut journal = Journal::new();
    let others: Vec<_> = (3..50).map(|index| scalar(&numbered(index), 1, 1.0)).collect();
    let (folded, events) = fold_by(&settings, &mut partition, &others, &mut journal);
    assert!(folded.iter().all(|folded| folded.disposition == Disposition::Refused));
    assert!(events.is_empty() && journal.is_empty());
    assert_eq!(partition.encode(), stored);
    let (folded, _) = fold_by(&settings, &mut partition, &[scalar(&numbered(2), 2, 1.0)], &mut journal);
    assert_eq!(folded[0].disposition, Disposition::Fresh);
}

#[test]
fn the_sensor_heard_longest_ago_makes_place_after_three_days() {
    // The clock of a partition needs some readings before it takes a day for a usual step.
    let daily = |day: i64| scalar(&numbered(0), day * DAY, day as f64);
    let mut readings = vec![daily(0), scalar(&numbered(1), 1, 1.0), scalar(&numbered(2), 2, 1.0)];
    readings.extend((1..=2).map(daily));
    readings.push(scalar(&numbered(3), 2 * DAY + 1, 1.0));
    readings.extend((3..=20).map(daily));
    readings.push(scalar(&numbered(4), 20 * DAY + 1, 1.0));
    let (dispositions, partition) = disposed(&readings);
    assert_eq!(dispositions[5], Disposition::Refused);
    assert_eq!(dispositions.last(), Some(&Disposition::Fresh));
    let known = |index: u32| partition.dry_run(&format!("sensor-{index}")).is_some();
    assert_eq!([0, 1, 2, 3, 4].map(known), [true, false, true, false, true]);
}

#[test]
fn a_sensor_with_an_open_incident_keeps_its_place() {
    let bounded = |index: u32| {
        let bounds = Bounds {
            lowest: 0.0,
            highest: 9.0,
        };
        Arc::new(Sensor::new(&format!("sensor-{index}"), "temperature").with_bounds(bounds))
    };
    let mut partition = Partition::new();
    let settings = Settings {
        quiet: jiff::SignedDuration::from_hours(300 * 24).try_into().unwrap(),
        ..limited_to(3)
    };
    let daily = |day: i64| scalar(&numbered(0), day * DAY, day as f64);
    let mut readings = vec![daily(0), scalar(&bounded(1), 1, 99.0), scalar(&bounded(2), 2, 99.0)];
    readings.extend((1..=20).map(daily));
    readings.push(scalar(&numbered(3), 20 * DAY + 1, 1.0));
    let (folded, _) = fold_by(&settings, &mut partition, &readings, &mut Journal::new());
    assert_eq!(folded.last().unwrap().disposition, Disposition::Refused);
}

#[test]
fn long_vectors_count_as_several_sensors() {
    let vector = |index: u32, seconds: i64, numbers: usize| {
        let value = Value::Vector(vec![1.0; numbers].into());
        Reading::new(numbered(index), at(seconds), value).unwrap()
    };
    let (dispositions, partition) = disposed(&[
        vector(0, 0, 127),
        vector(1, 0, 1),
        // Known sensors take no more than there is, either.
        vector(0, 1, 400),
        vector(0, 2, 255),
        vector(2, 2, 1),
        vector(0, 3, 1),
        vector(2, 3, 1),
    ]);
    use Disposition::{Fresh, Refused};
    assert_eq!(dispositions, [Fresh, Fresh, Refused, Fresh, Refused, Fresh, Fresh]);
    assert_eq!(partition.weight(), 3);
}

#[test]
fn a_partition_too_large_for_memory_is_refused_before_it_takes_it() {
    let readings: Vec<_> = (0..100).map(|index| scalar(&numbered(index), 0, 1.0)).collect();
    let mut partition = Partition::new();
    fold(&mut partition, &readings, &mut Journal::new());
    let bytes = partition.encode();
    assert_eq!(Partition::decode(&bytes, 100).unwrap(), partition);
    let error = Partition::decode(&bytes, 99).unwrap_err();
    assert!(error.to_string().contains("100 or more, and 99 fit"), "{error}");
}

#[test]
fn a_merged_partition_holds_no_more_than_one() {
    let of = |from: u32| {
        let mut partition = Partition::new();
        let readings = (from..from + 3).map(|index| scalar(&numbered(index), i64::from(index), 1.0));
        fold_by(
            &limited_to(3),
            &mut partition,
            &readings.collect::<Vec<_>>(),
            &mut Journal::new(),
        );
        partition
    };
    let merged = Partition::merge([of(0), of(100)]);
    assert_eq!(merged.weight(), 3);
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
