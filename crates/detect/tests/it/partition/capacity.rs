//! Who is admitted to a full partition, who is evicted, and how much memory a stored one may take.

use std::sync::Arc;

use detect::{Disposition, Journal, Partition, Settings};
use wire::{Bounds, Reading, Sensor, Value};

use super::{at, fold, fold_by, limited_to, numbered, scalar};

const DAY: i64 = 86_400;

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
