//! What follows from events: exact counts by windows of event time, however records are cut, and whether events were
//! folded or replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use detect::{Derived, Disposition, Event, Folded, Journal, Partition, Settings};
use proptest::prelude::*;
use wire::{Fields, LaneName, Reading, Sensor, Timestamp, Value};

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_040 * SECOND;

const SETTINGS: &str = r#"
quiet = "20s"
silence_minimum = "5s"
[rates.click_through_rate]
kind = "clickstream"
count = { action = "Click" }
per = { action = "Impression" }
window = "10s"
lateness = "5s"
factor = 100
unit = "%"
[rates.hits]
count = {}
window = "3s"
"#;

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

fn site(index: usize) -> Arc<Sensor> {
    Arc::new(Sensor::new(&format!("site-{index}"), "clickstream").with_group("shop"))
}

fn event(site: &Arc<Sensor>, micros: i64, action: &str) -> Reading {
    let fields = Fields::parse(&format!(r#"{{"action":"{action}","n":{micros}}}"#)).unwrap();
    let time = Timestamp::from_micros(START + micros).unwrap();
    Reading::new(site.clone(), time, Value::Event(fields)).unwrap()
}

fn number(id: &str, micros: i64, value: f64) -> Reading {
    let sensor = Arc::new(Sensor::new(id, "temperature"));
    let time = Timestamp::from_micros(START + micros).unwrap();
    Reading::new(sensor, time, Value::Scalar(value)).unwrap()
}

/// What a partition told of some readings.
#[derive(Debug, Default, PartialEq)]
struct Said {
    folded: Vec<Folded>,
    derived: Vec<Derived>,
    events: Vec<Event>,
}

fn fold(partition: &mut Partition, readings: &[Reading], settings: &Settings, journal: &mut Journal, told: &mut Said) {
    for reading in readings {
        told.folded
            .push(partition.fold(reading, settings, journal, &mut told.events));
        told.derived.extend_from_slice(partition.derived());
    }
}

fn folded(partition: &mut Partition, readings: &[Reading]) -> Said {
    let mut told = Said::default();
    fold(partition, readings, &settings(SETTINGS), &mut Journal::new(), &mut told);
    told
}

/// The readings of a derived sensor: seconds after the start, and value.
fn of(told: &Said, id: &str) -> Vec<(i64, f64)> {
    let mine = told
        .derived
        .iter()
        .filter(|derived| derived.reading.sensor().id() == id);
    mine.map(|derived| {
        let time = (derived.reading.time().as_micros() - START) / SECOND;
        (time, derived.reading.value().numbers()[0])
    })
    .collect()
}

/// Events of a few sites, mostly in order, and numbers of others among them.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let step = prop_oneof![
        12 => 0..SECOND,
        4 => Just(0),
        4 => -6 * SECOND..0,
        1 => -40 * SECOND..0,
        1 => 5 * SECOND..60 * SECOND,
    ];
    let who = prop_oneof![8 => 0usize..3, 1 => 3usize..5];
    let action = prop::sample::select(vec!["Click", "Impression", "Impression", "Impression", "Other"]);
    prop::collection::vec((who, step, action), 1..400).prop_map(|steps| {
        let sites: Vec<_> = (0..3).map(site).collect();
        let mut time = 0;
        let mut readings = Vec::new();
        for (who, step, action) in steps {
            time += step;
            readings.push(match sites.get(who) {
                Some(site) => event(site, time, action),
                None => number(&format!("room-{who}"), time, (time % 7) as f64),
            });
        }
        readings
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn batches_checkpoints_and_replays_change_nothing(readings in readings(), size in 1usize..80) {
        let settings = settings(SETTINGS);
        let mut whole = Partition::new();
        let told = folded(&mut whole, &readings);
        let (mut stored, mut replayed, mut again) = (Partition::new(), Partition::new(), Said::default());
        for batch in readings.chunks(size) {
            let mut journal = Journal::new();
            fold(&mut stored, batch, &settings, &mut journal, &mut again);
            stored = Partition::decode(&stored.encode(), u64::MAX).unwrap();
            replayed.replay(&journal.into_bytes()).unwrap();
        }
        prop_assert_eq!(&again, &told);
        prop_assert_eq!(stored.encode(), whole.encode());
        prop_assert_eq!(replayed.encode(), whole.encode());
    }

    #[test]
    fn a_window_says_what_its_events_say_that_were_not_late(mut readings in readings()) {
        // An event a day later closes whatever is open.
        readings.extend((0..3).map(|index| event(&site(index), 86_400 * SECOND, "Other")));
        let (rate, _) = SETTINGS.split_once("[rates.hits]").unwrap();
        let mut told = Said::default();
        fold(&mut Partition::new(), &readings, &settings(rate), &mut Journal::new(), &mut told);
        let mut windows = BTreeMap::<(String, i64), (f64, f64)>::new();
        for (reading, folded) in readings.iter().zip(&told.folded) {
            if folded.disposition == Disposition::Event {
                let end = (reading.time().as_micros() / (10 * SECOND) + 1) * 10 * SECOND;
                let id = format!("{}/click_through_rate", reading.sensor().id());
                let (clicks, impressions) = windows.entry((id, end)).or_default();
                let Value::Event(fields) = reading.value() else { panic!("{reading:?}") };
                *clicks += f64::from(u8::from(fields.as_json().contains("Click")));
                *impressions += f64::from(u8::from(fields.as_json().contains("Impression")));
            }
        }
        let expected: BTreeMap<_, _> = windows
            .into_iter()
            .filter(|((_, end), (_, impressions))| *impressions > 0.0 && *end < START + 86_400 * SECOND)
            .map(|(key, (clicks, impressions))| (key, 100.0 * clicks / impressions))
            .collect();
        let mut rates = BTreeMap::new();
        for derived in &told.derived {
            let key = (derived.reading.sensor().id().to_owned(), derived.reading.time().as_micros());
            prop_assert_eq!(derived.folded.disposition, Disposition::Fresh);
            prop_assert_eq!(rates.insert(key, derived.reading.value().numbers()[0]), None);
        }
        prop_assert_eq!(rates, expected);
    }

    #[test]
    fn counts_of_all_windows_are_all_events(mut readings in readings()) {
        readings.extend((0..3).map(|index| event(&site(index), 86_400 * SECOND, "Other")));
        let text = "[rates.hits]\ncount = {}\nwindow = \"3s\"\nlateness = \"2s\"";
        let mut told = Said::default();
        fold(&mut Partition::new(), &readings, &settings(text), &mut Journal::new(), &mut told);
        let counted: f64 = told.derived.iter().map(|derived| derived.reading.value().numbers()[0]).sum();
        let taken = readings.iter().zip(&told.folded).filter(|(_, folded)| folded.disposition == Disposition::Event);
        // The last three close the others' windows; their own stay open.
        prop_assert_eq!(counted as usize, taken.count() - 3);
    }

    #[test]
    fn a_damaged_journal_never_panics(readings in readings(), at: prop::sample::Index, bit in 0u8..8) {
        let mut journal = Journal::new();
        fold(&mut Partition::new(), &readings, &settings(SETTINGS), &mut journal, &mut Said::default());
        let mut bytes = journal.into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = Partition::new().replay(&bytes);
    }

    #[test]
    fn a_partition_that_is_split_keeps_what_is_derived_beside_its_sensor(readings in readings()) {
        let mut partition = Partition::new();
        folded(&mut partition, &readings);
        let next: Vec<_> = (0..3).map(|index| event(&site(index), 86_400 * SECOND, "Impression")).collect();
        let whole = folded(&mut partition.clone(), &next);
        let halves = [0u128, u128::MAX].map(|hash| LaneName::of(hash, 2).slice());
        let mut split = Said::default();
        for slice in &halves {
            let mut half = partition.clone();
            half.restrict(slice);
            let mine: Vec<_> = next.iter().filter(|reading| slice.contains(&reading.sensor().hash())).cloned().collect();
            fold(&mut half, &mine, &settings(SETTINGS), &mut Journal::new(), &mut split);
        }
        let merged = Partition::merge(halves.map(|slice| {
            let mut half = partition.clone();
            half.restrict(&slice);
            half
        }));
        let merged = folded(&mut merged.clone(), &next);
        for index in 0..3 {
            for name in ["click_through_rate", "hits"] {
                let id = format!("site-{index}/{name}");
                prop_assert_eq!(of(&split, &id), of(&whole, &id));
                prop_assert_eq!(of(&merged, &id), of(&whole, &id));
            }
        }
    }
}

#[test]
fn events_of_one_instant_all_count_and_a_window_without_impressions_says_nothing() {
    let site = site(1);
    let at = |second: i64, action| event(&site, second * SECOND, action);
    let mut readings = vec![at(1, "Impression"); 8];
    readings.extend([at(1, "Click"), at(9, "Click"), at(11, "Click"), at(24, "Impression")]);
    let told = folded(&mut Partition::new(), &readings);
    assert!(
        told.derived
            .iter()
            .all(|derived| derived.reading.sensor().group() == Some("shop"))
    );
    assert_eq!(of(&told, "site-1/click_through_rate"), [(10, 25.0)]);
    readings.push(at(40, "Other"));
    let told = folded(&mut Partition::new(), &readings);
    // The one from 10 to 20 saw a click and no impression.
    assert_eq!(of(&told, "site-1/click_through_rate"), [(10, 25.0), (30, 0.0)]);
    assert_eq!(of(&told, "site-1/hits"), [(3, 9.0), (12, 2.0), (27, 1.0)]);
    let rate = &told
        .derived
        .iter()
        .find(|derived| derived.reading.sensor().kind() == "click_through_rate")
        .unwrap();
    assert_eq!(rate.reading.sensor().unit(), Some("%"));
}

#[test]
fn an_event_behind_a_closed_window_is_late_and_moves_nothing() {
    let site = site(1);
    let text = "[rates.r]\ncount = {}\nwindow = \"10s\"\nlateness = \"5s\"";
    let (mut partition, mut journal, mut told) = (Partition::new(), Journal::new(), Said::default());
    let readings = [0, 14, 9, 15].map(|second| event(&site, second * SECOND, "Click"));
    fold(&mut partition, &readings, &settings(text), &mut journal, &mut told);
    assert_eq!(of(&told, "site-1/r"), [(10, 2.0)]);
    let (bytes, len) = (partition.encode(), journal.len());
    fold(
        &mut partition,
        &[event(&site, 9 * SECOND, "Click")],
        &settings(text),
        &mut journal,
        &mut told,
    );
    assert_eq!(told.folded.last().unwrap().disposition, Disposition::Late);
    assert_eq!((partition.encode(), journal.len()), (bytes, len));
}

#[test]
fn a_window_of_a_site_that_says_no_more_is_closed_by_the_time_of_others() {
    let mut readings = vec![event(&site(1), SECOND, "Impression"), event(&site(1), SECOND, "Click")];
    readings.extend((2..=20).map(|second| number("room", second * SECOND, 20.0)));
    let mut partition = Partition::new();
    let before = folded(&mut partition, &readings[..15]);
    assert_eq!(of(&before, "site-1/click_through_rate"), []);
    let after = folded(&mut partition, &readings[15..]);
    assert_eq!(of(&after, "site-1/click_through_rate"), [(10, 100.0)]);
}

#[test]
fn a_rate_that_is_changed_begins_anew_and_others_go_on() {
    let before = settings(SETTINGS);
    let after = settings(&SETTINGS.replace("window = \"3s\"", "window = \"4s\""));
    let (mut partition, mut journal, mut told) = (Partition::new(), Journal::new(), Said::default());
    let at = |second: i64, action| event(&site(1), second * SECOND, action);
    fold(
        &mut partition,
        &[at(1, "Impression"), at(1, "Click")],
        &before,
        &mut journal,
        &mut told,
    );
    fold(
        &mut partition,
        &[at(2, "Impression"), at(30, "Other")],
        &after,
        &mut journal,
        &mut told,
    );
    assert_eq!(of(&told, "site-1/click_through_rate"), [(10, 50.0)]);
    // What the old windows held is given up.
    assert_eq!(of(&told, "site-1/hits"), [(4, 1.0)]);
    let mut replayed = Partition::new();
    replayed.replay(&journal.into_bytes()).unwrap();
    assert_eq!(replayed.encode(), partition.encode());
}

#[test]
fn a_change_of_the_rate_is_an_incident_of_the_derived_sensor() {
    let site = site(1);
    let mut readings = Vec::new();
    for second in 0..3_000i64 {
        let share = if (2_700..2_800).contains(&second) { 2 } else { 20 };
        for at in 0..10 {
            let clicks = (second * 10 + at) % share == (second / 7) % share.min(5);
            readings.push(event(
                &site,
                second * SECOND + at * 100_000,
                if clicks { "Click" } else { "Impression" },
            ));
        }
    }
    let told = folded(&mut Partition::new(), &readings);
    let opened = told.events.iter().find_map(|event| match event {
        Event::Incident(transition) if transition.sensor.kind() == "click_through_rate" => Some(transition),
        _ => None,
    });
    let opened = opened.unwrap();
    assert_eq!(opened.sensor.id(), "site-1/click_through_rate");
    let second = (opened.since.as_micros() - START) / SECOND;
    assert!((2_710..=2_720).contains(&second), "{second}");
}

#[test]
fn a_sensor_with_the_longest_id_has_derived_ones() {
    let long = "é".repeat(128);
    let text = "[rates.r]\ncount = {}\nwindow = \"1s\"";
    let (mut partition, mut journal, mut told) = (Partition::new(), Journal::new(), Said::default());
    for end in ["é", "è"] {
        let sensor = Arc::new(Sensor::new(&format!("{}{end}", &long[2..]), "k"));
        let readings = [0, 2].map(|second| event(&sensor, second * SECOND, "Click"));
        fold(&mut partition, &readings, &settings(text), &mut journal, &mut told);
    }
    let ids: Vec<&str> = told
        .derived
        .iter()
        .map(|derived| derived.reading.sensor().id())
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1] && ids[0].ends_with("/r"), "{ids:?}");
    assert_eq!(Partition::decode(&partition.encode(), u64::MAX).unwrap(), partition);
}

#[test]
fn an_event_takes_few_bytes_of_the_journal() {
    let site = site(1);
    let readings: Vec<_> = (0..1_000).map(|at| event(&site, at * 1_234, "Impression")).collect();
    let (mut partition, mut journal) = (Partition::new(), Journal::new());
    fold(
        &mut partition,
        &readings[..1],
        &settings(SETTINGS),
        &mut journal,
        &mut Said::default(),
    );
    let first = journal.len();
    fold(
        &mut partition,
        &readings[1..],
        &settings(SETTINGS),
        &mut journal,
        &mut Said::default(),
    );
    assert!(journal.len() - first <= 999 * 9, "{} bytes", journal.len() - first);
}
