//! What follows from log lines: a vector each, however records are cut; what is delivered again counts once; a line
//! that was never seen is found.

use std::sync::Arc;

use detect::derived::lines;
use detect::{Change, Derived, Disposition, Event, Journal, Partition, Settings};
use proptest::prelude::*;
use wire::fields::FieldsWriter;
use wire::{Reading, Sensor, Timestamp, Value};

const MS: i64 = 1_000;
/// So many lines only teach.
const LEARNT: usize = 100;
const START: i64 = 1_700_000_040_000 * MS;
const GROUP: &str = "/app/house";
const TEMPLATES: [&str; 5] = [
    "GET /rooms/# took # ms",
    "POST /rooms/#/temperature took # ms from 10.0.0.#",
    "user \"u#\" logged in",
    "cache refreshed: # entries",
    "worker # of 8 is idle",
];

fn line(group: &Arc<Sensor>, micros: i64, stream: u8, id: u64, message: &str) -> Reading {
    let mut writer = FieldsWriter::new();
    writer
        .text("message", message)
        .text("log_stream", &format!("i-{stream}"));
    writer.text("id", &id.to_string());
    let time = Timestamp::from_micros(START + micros).unwrap();
    Reading::new(group.clone(), time, Value::Event(writer.finish().unwrap())).unwrap()
}

fn group() -> Arc<Sensor> {
    Arc::new(Sensor::new(GROUP, lines::KIND))
}

/// Lines of two streams, each in order, many of them at the same instants.
fn some() -> impl Strategy<Value = Vec<Reading>> {
    let step = prop_oneof![3 => Just(0), 5 => 1i64..900, 1 => 5_000i64..60_000];
    prop::collection::vec((step, 0u8..3, 0usize..5, 0u32..1_000), 1..400).prop_map(|drawn| {
        let (group, mut time) = (group(), 0);
        let drawn = drawn.into_iter().enumerate();
        drawn
            .map(|(id, (step, stream, template, number))| {
                time += step * MS;
                let message = TEMPLATES[template].replace('#', &number.to_string());
                // The streams come with a delay of their own.
                line(&group, time - i64::from(stream) * 700 * MS, stream, id as u64, &message)
            })
            .collect()
    })
}

fn fold(
    partition: &mut Partition,
    readings: &[Reading],
    journal: &mut Journal,
) -> (Vec<Derived>, Vec<Event>, Vec<Disposition>) {
    let settings = Settings::default();
    let (mut derived, mut events, mut dispositions) = (Vec::new(), Vec::new(), Vec::new());
    for reading in readings {
        dispositions.push(partition.fold(reading, &settings, journal, &mut events).disposition);
        derived.extend_from_slice(partition.derived());
    }
    (derived, events, dispositions)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_line_is_a_vector_however_they_are_cut(readings in some(), size in 1usize..60) {
        let mut whole = Partition::new();
        let (derived, events, dispositions) = fold(&mut whole, &readings, &mut Journal::new());
        prop_assert_eq!(derived.len(), readings.len().saturating_sub(LEARNT));
        prop_assert!(dispositions.iter().all(|disposition| *disposition == Disposition::Event));
        prop_assert!(derived.iter().all(|one| one.folded.disposition == Disposition::Fresh));
        let (mut stored, mut replayed, mut again) = (Partition::new(), Partition::new(), (Vec::new(), Vec::new()));
        for part in readings.chunks(size) {
            let mut journal = Journal::new();
            let (derived, events, _) = fold(&mut stored, part, &mut journal);
            again.0.extend(derived);
            again.1.extend(events);
            replayed.replay(&journal.into_bytes()).unwrap();
            stored = Partition::decode(&stored.encode(), u64::MAX).unwrap();
        }
        prop_assert_eq!(&stored, &whole);
        prop_assert_eq!(&replayed, &whole);
        prop_assert_eq!(again, (derived, events));
    }

    #[test]
    fn what_is_delivered_again_is_late_and_moves_nothing(readings in some(), from in 0usize..400) {
        let mut partition = Partition::new();
        fold(&mut partition, &readings, &mut Journal::new());
        let before = partition.clone();
        let mut journal = Journal::new();
        let (derived, _, dispositions) = fold(&mut partition, &readings[from.min(readings.len() - 1)..], &mut journal);
        prop_assert!(derived.is_empty() && dispositions.iter().all(|one| *one == Disposition::Late));
        prop_assert!(journal.is_empty());
        prop_assert_eq!(partition, before);
    }
}

#[test]
fn a_vector_says_how_long_after_which_how_long_from_where_and_how_rare() {
    let (mut partition, group) = (Partition::new(), group());
    let mut lines: Vec<Reading> = (0..LEARNT as u64).map(|id| line(&group, 0, 0, id, "started")).collect();
    lines.push(line(&group, 999 * MS, 0, 1_000, "GET /rooms/1"));
    lines.push(line(&group, 999 * MS, 1, 1_001, "GET /rooms/22"));
    let (derived, ..) = fold(&mut partition, &lines, &mut Journal::new());
    assert_eq!(derived[1].reading.sensor().id(), "/app/house/lines");
    assert_eq!(derived[1].reading.sensor().kind(), lines::NAME);
    let features: Vec<&[f64]> = derived.iter().map(|one| one.reading.value().numbers()).collect();
    let near = |numbers: &[f64], expected: [f64; 4]| numbers.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(
        near(features[0], [1_000f64.ln(), 13f64.ln(), 0.0, 101.0]),
        "{features:?}"
    );
    assert!(near(features[1], [0.0, 14f64.ln(), 102f64.ln(), 51.0]), "{features:?}");
    let read = lines::Line::of(derived[1].reading.sensor(), derived[1].reading.value()).unwrap();
    let read = [read.gap_ms, read.bytes, read.lines_a_stream, read.lines_a_template];
    assert!(near(&read, [0.0, 13.0, 102.0, 51.0]), "{read:?}");
    let times: Vec<i64> = derived
        .iter()
        .map(|one| one.reading.time().as_micros() - START)
        .collect();
    assert_eq!(times, [999 * MS, 999 * MS + 1]);
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// So many ordinary lines, about ten a second from three instances.
fn ordinary(seed: u64, count: usize) -> Vec<Reading> {
    let (group, mut state, mut time) = (group(), seed, 0);
    (0..count)
        .map(|id| {
            let uniform = (random(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
            time += (-(1.0 - uniform).ln() * 100.0) as i64 * MS;
            let drawn = random(&mut state);
            // The last two are rare.
            let template = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4][(drawn % 13) as usize];
            let message = TEMPLATES[template].replace('#', &(drawn >> 32).rem_euclid(2_000).to_string());
            line(&group, time, (drawn >> 16) as u8 % 3, id as u64, &message)
        })
        .collect()
}

#[test]
fn a_line_never_seen_is_found_and_ordinary_ones_seldom() {
    const LINES: usize = 4_000;
    let mut false_alarms = 0;
    for seed in 1..=4 {
        let mut lines = ordinary(seed, LINES);
        let time = lines[LINES - 1].time().as_micros() - START + 40 * MS;
        lines.push(line(
            &group(),
            time,
            1,
            u64::MAX,
            "panicked at src/main.rs: index out of bounds",
        ));
        let (derived, events, _) = fold(&mut Partition::new(), &lines, &mut Journal::new());
        let new = derived.last().unwrap();
        assert!(new.folded.score >= 2.0, "seed {seed}: {new:?}");
        let opened = events.iter().filter_map(|event| match event {
            Event::Incident(one) if one.change == Change::Opened => Some(one.time),
            _ => None,
        });
        false_alarms += opened.filter(|time| *time < new.reading.time()).count();
    }
    assert_eq!(false_alarms, 0, "incidents in 4 times {LINES} ordinary lines");
}
