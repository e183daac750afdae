#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use detect::Worst;
use proptest::prelude::*;
use wire::{Sensor, Value};

use super::*;

const SECOND: i64 = 1_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000 * SECOND + micros).unwrap()
}

/// A moment of the incident of a sensor that began at `since`.
fn moment(sensor: usize, since: i64, number: u32, change: Change, time: i64) -> Transition {
    let id = format!("sensor-{sensor}");
    Transition {
        sensor: Arc::new(Sensor::new(&id, "Temperature").with_group("hall")),
        since: at(since),
        number,
        change,
        kinds: Kinds::ABOVE,
        now: Kinds::ABOVE,
        value: Value::Scalar(30.0),
        expected: Some((10.0, 20.0)),
        lasting: None,
        peak: 2.0 + sensor as f64 / 1e4,
        worst: Worst {
            time: at(since),
            kinds: Kinds::ABOVE,
            value: Value::Scalar(30.0),
            expected: Some((10.0, 20.0)),
            lasting: None,
        },
        anomalies: 1,
        time: at(time),
    }
}

fn opened(sensor: usize, second: i64) -> Transition {
    moment(sensor, second * SECOND, 1, Change::Opened, second * SECOND)
}

fn resolved(sensor: usize, since: i64, second: i64) -> Transition {
    moment(sensor, since * SECOND, 2, Change::Resolved, second * SECOND)
}

fn take(group: &mut Group, moments: &[Transition]) -> Vec<String> {
    let moments: Vec<(&Transition, bool)> = moments.iter().map(|one| (one, false)).collect();
    group.take(&moments).iter().map(told).collect()
}

fn told(telling: &Notification<'_>) -> String {
    match telling {
        Notification::Sensor(transition) => format!("{} {}", transition.sensor.id(), transition.change.name()),
        Notification::Group(report) => format!("{} {}", report.sensors, report.change.name()),
    }
}

#[test]
fn a_sensor_that_fails_alone_is_told_as_without_a_group() {
    let mut group = Group::default();
    assert_eq!(take(&mut group, &[opened(1, 0)]), ["sensor-1 opened"]);
    let worse = moment(1, 0, 2, Change::Worsened, 9 * SECOND);
    assert_eq!(take(&mut group, std::slice::from_ref(&worse)), ["sensor-1 worsened"]);
    assert_eq!(take(&mut group, &[worse]), [""; 0], "what comes again");
    let over = moment(1, 0, 3, Change::Resolved, 99 * SECOND);
    assert_eq!(take(&mut group, std::slice::from_ref(&over)), ["sensor-1 resolved"]);
    assert_eq!(
        take(&mut group, &[opened(1, 0), over]),
        [""; 0],
        "what comes again when it is over"
    );
    assert_eq!(
        take(&mut group, &[opened(2, 100)]),
        ["sensor-2 opened"],
        "it is another episode"
    );
}

#[test]
fn what_fails_together_is_one_message_and_its_end_another() {
    let mut group = Group::default();
    let three = [opened(1, 0), opened(2, 3), opened(3, 200)];
    assert_eq!(take(&mut group, &three), ["3 opened"]);
    assert_eq!(
        take(&mut group, &[opened(4, 400), opened(5, 600)]),
        [""; 0],
        "not twice as many"
    );
    assert_eq!(take(&mut group, &[opened(6, 700)]), ["6 opened"]);
    let most: Vec<_> = [(1, 0), (2, 3), (3, 200), (4, 400), (5, 600)]
        .into_iter()
        .map(|(sensor, since)| resolved(sensor, since, 2_000))
        .collect();
    assert_eq!(take(&mut group, &most), [""; 0], "one is left");
    assert_eq!(take(&mut group, &[resolved(6, 700, 2_001)]), ["6 resolved"]);
}

#[test]
fn partitions_that_come_one_after_the_other_are_brought_together() {
    let all: Vec<_> = (0..9)
        .flat_map(|sensor| [opened(sensor, 1), resolved(sensor, 1, 900)])
        .collect();
    assert_eq!(take(&mut Group::default(), &all), ["9 opened", "9 resolved"]);
}

#[test]
fn what_fails_later_is_another_episode() {
    let mut group = Group::default();
    let window = WINDOW / SECOND;
    assert_eq!(take(&mut group, &[opened(1, 0), opened(2, 1)]), ["2 opened"]);
    assert_eq!(take(&mut group, &[opened(3, window + 2)]), ["sensor-3 opened"]);
    assert_eq!(
        take(&mut group, &[opened(4, 2 * window + 2)]),
        ["2 opened"],
        "with the one before"
    );
    let both = [resolved(1, 0, 5_000), resolved(2, 1, 5_000)];
    assert_eq!(take(&mut group, &both), ["2 resolved"]);
}

#[test]
fn what_gets_worse_is_told_of_the_group() {
    let mut group = Group::default();
    take(&mut group, &[opened(1, 0), opened(2, 1), opened(3, 2)]);
    let mut worse = moment(2, SECOND, 2, Change::Worsened, 9 * SECOND);
    worse.peak = 3.0;
    assert_eq!(
        take(&mut group, std::slice::from_ref(&worse)),
        [""; 0],
        "not twice the score"
    );
    (worse.number, worse.peak) = (3, 40.0);
    let report = group.take(&[(&worse, false)]);
    let [Notification::Group(report)] = &report[..] else {
        panic!("{report:?}")
    };
    assert_eq!(
        (report.change, report.sensors, report.peak),
        (Change::Worsened, 3, 40.0)
    );
    assert_eq!((&*report.named[0].sensor, report.named.len()), ("sensor-2", 3));
    (worse.number, worse.kinds) = (4, Kinds::ABOVE | Kinds::SILENT);
    assert_eq!(take(&mut group, &[worse]), ["3 worsened"], "something else");
}

#[test]
fn how_bad_it_was_is_no_news_when_it_is_over() {
    let mut group = Group::default();
    take(&mut group, &[opened(1, 0), opened(2, 1), opened(3, 2)]);
    let mut over = resolved(2, 1, 2_000);
    over.peak = 90.0;
    assert_eq!(take(&mut group, &[over]), [""; 0]);
    assert_eq!(
        take(&mut group, &[resolved(1, 0, 2_001), resolved(3, 2, 2_001)]),
        ["3 resolved"]
    );
}

#[test]
fn who_is_muted_counts_for_nothing_and_holds_nothing_up() {
    let mut group = Group::default();
    let (muted, loud) = (opened(1, 0), opened(2, 1));
    let tellings = group.take(&[(&muted, true), (&loud, false)]);
    assert_eq!(tellings.iter().map(told).collect::<Vec<_>>(), ["sensor-2 opened"]);
    assert_eq!(take(&mut group, &[opened(3, 2)]), ["2 opened"]);
    // Muted since: the group is well once it is.
    assert_eq!(take(&mut group, &[resolved(2, 1, 2_000)]), [""; 0]);
    let over = resolved(3, 2, 2_001);
    assert_eq!(
        group.take(&[(&over, true)]).iter().map(told).collect::<Vec<_>>(),
        ["2 resolved"]
    );
    assert_eq!(group.take(&[(&resolved(1, 0, 2_002), true)]), []);
}

#[test]
fn what_nobody_knows_is_told_by_itself() {
    let mut group = Group::default();
    assert_eq!(take(&mut group, &[resolved(1, 0, 9)]), ["sensor-1 resolved"]);
    let worse = moment(2, 0, 2, Change::Worsened, 9 * SECOND);
    assert_eq!(take(&mut group, &[worse]), ["sensor-2 worsened"]);
}

#[test]
fn a_group_stays_within_what_a_store_takes() {
    let mut group = Group::default();
    for episode in 0..20 {
        let start = episode * 3 * WINDOW / SECOND;
        let all: Vec<_> = (0..MAX_MEMBERS + 1).map(|sensor| opened(sensor, start)).collect();
        assert_eq!(take(&mut group, &all), ["2000 opened", "sensor-2000 opened"]);
    }
    let bytes = group.encode();
    assert!(bytes.len() < 390_000, "{} bytes", bytes.len());
    assert_eq!(Group::decode("hall", &bytes).unwrap(), group);
    // What was forgotten is told by itself, and what is long over makes room.
    assert_eq!(take(&mut group, &[resolved(0, 0, 90_000)]), ["sensor-0 resolved"]);
    let mut group = Group::default();
    for episode in 0..100 {
        let start = episode * 100_000;
        take(&mut group, &[opened(1, start), opened(2, start)]);
        take(
            &mut group,
            &[resolved(1, start, start + 1_000), resolved(2, start, start + 1_000)],
        );
    }
    assert!(group.encode().len() < 400, "{}", group.encode().len());
}

/// The moments of `sensors` incidents: all begin within the window, and are over when all have begun.
fn burst() -> impl Strategy<Value = Vec<Transition>> {
    let sensor = (0..WINDOW, 0..WINDOW, any::<bool>());
    proptest::collection::vec(sensor, 1..60).prop_map(|sensors| {
        let mut all = Vec::new();
        for (sensor, (since, lasted, worse)) in sensors.into_iter().enumerate() {
            all.push(moment(sensor, since, 1, Change::Opened, since));
            if worse {
                all.push(moment(sensor, since, 2, Change::Worsened, since + lasted));
            }
            all.push(moment(sensor, since, 3, Change::Resolved, 3 * WINDOW + lasted));
        }
        all.sort_by_key(|one| one.time);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_burst_is_told_as_the_logarithm_of_its_size(all in burst(), cuts in proptest::collection::vec(1usize..40, 1..40)) {
        let mut group = Group::default();
        let mut tellings = Vec::new();
        let mut rest = &all[..];
        for cut in cuts.into_iter().chain(std::iter::repeat(7)) {
            if rest.is_empty() {
                break;
            }
            let (batch, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            tellings.extend(take(&mut group, batch));
            // What is delivered again changes nothing.
            let before = group.encode();
            prop_assert_eq!(take(&mut group, batch), [""; 0]);
            prop_assert_eq!(group.encode(), before);
        }
        let sensors = all.iter().filter(|one| one.change == Change::Opened).count();
        let of = |change: &str| tellings.iter().filter(|told| told.ends_with(change)).count();
        prop_assert!((1..=1 + sensors.ilog2() as usize).contains(&of("opened")), "{:?}", tellings);
        prop_assert_eq!(of("resolved"), 1);
        prop_assert!(tellings.last().unwrap().ends_with("resolved"));
        if sensors > 1 {
            let most = format!("{sensors} resolved");
            prop_assert!(tellings.contains(&most), "{:?}", tellings);
            // Nothing but its score, which is all but the same, could be worse; and that only while it is one.
            prop_assert!(of("worsened") <= 1, "{:?}", tellings);
        }
    }
}
