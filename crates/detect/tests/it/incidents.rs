//! The life of incidents: they open once, may worsen, resolve once, by the partition's own time.

use std::sync::Arc;

use detect::{Change, Event, Journal, Kinds, Partition, Settings, Transition};
use wire::{Bounds, Reading, Sensor, Timestamp, Value};

const QUIET: i64 = 900;

/// A partition, and all it told.
#[derive(Default)]
struct Scene {
    partition: Partition,
    settings: Settings,
    journal: Journal,
    events: Vec<Event>,
}

impl Scene {
    fn see(&mut self, sensor: &Arc<Sensor>, second: i64, value: f64) {
        let reading = Reading::new(sensor.clone(), at(second), Value::Scalar(value)).unwrap();
        self.partition
            .fold(&reading, &self.settings, &mut self.journal, &mut self.events);
    }

    fn transitions(&self) -> Vec<&Transition> {
        let events = self.events.iter();
        events
            .filter_map(|event| match event {
                Event::Incident(transition) => Some(transition),
                Event::Anomaly(_) => None,
            })
            .collect()
    }

    /// Sensor, number, change, and second of each transition.
    fn story(&self) -> Vec<(&str, u32, Change, i64)> {
        let part = |transition: &&Transition| transition.time.as_micros() / 1_000_000;
        self.transitions()
            .iter()
            .map(|one| (one.sensor.id(), one.number, one.change, part(one)))
            .collect()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn sensor(id: &str) -> Arc<Sensor> {
    Arc::new(Sensor::new(id, "Temperature"))
}

fn bounded(id: &str) -> Arc<Sensor> {
    Arc::new(Sensor::new(id, "Temperature").with_bounds(Bounds {
        lowest: 10.0,
        highest: 20.0,
    }))
}

/// Steady, never twice the same, never wild.
fn wave(second: i64) -> f64 {
    15.0 + (second as f64 / 7.0).sin() + (second as f64).sin() / 10.0
}

#[test]
fn an_incident_opens_worsens_and_resolves() {
    let sensor = bounded("a");
    let mut scene = Scene::default();
    scene.see(&sensor, 0, 15.0);
    scene.see(&sensor, 1, 21.0);
    scene.see(&sensor, 2, 22.0);
    scene.see(&sensor, 3, 45.0);
    scene.see(&sensor, 4, 5.0);
    scene.see(&sensor, 5, 46.0);
    for second in 6..2 * QUIET {
        scene.see(&sensor, second, 15.0);
    }
    let story = [
        ("a", 1, Change::Opened, 1),
        ("a", 2, Change::Worsened, 3),
        ("a", 3, Change::Worsened, 4),
        ("a", 4, Change::Resolved, 5 + QUIET),
    ];
    assert_eq!(scene.story(), story);
    let kinds = scene
        .transitions()
        .iter()
        .map(|one| one.kinds.names("Temperature").collect())
        .collect::<Vec<Vec<_>>>();
    assert_eq!(
        kinds,
        [vec!["Hot"], vec!["Hot"], vec!["Cold", "Hot"], vec!["Cold", "Hot"]]
    );
    assert!(scene.transitions().iter().all(|one| one.since == at(1)));
    let peaks: Vec<_> = scene.transitions().iter().map(|one| one.peak).collect();
    assert_eq!(peaks, [2.2, 7.0, 7.0, 7.2]);
    let anomalies = scene.events.iter().filter_map(|event| match event {
        Event::Anomaly(anomaly) => Some((anomaly.time, anomaly.incident, anomaly.expected)),
        Event::Incident(_) => None,
    });
    let anomalies: Vec<_> = anomalies.collect();
    assert_eq!(
        anomalies,
        [1, 2, 3, 4, 5].map(|second| (at(second), at(1), Some((10.0, 20.0))))
    );
    assert!(matches!(&scene.events[..2], [Event::Anomaly(_), Event::Incident(_)]));
}

#[test]
fn a_flapping_sensor_is_one_incident() {
    let sensor = bounded("a");
    let mut scene = Scene::default();
    for second in 0..3600 {
        let out = if second % 60 < 30 { 0.0 } else { 7.0 };
        scene.see(&sensor, second, wave(second) + out);
    }
    for second in 3600..3600 + 2 * QUIET {
        scene.see(&sensor, second, wave(second));
    }
    let of = |change| {
        scene
            .story()
            .into_iter()
            .filter(|one| one.2 == change)
            .map(|one| one.3)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Change::Opened), [30]);
    // What it is not yet used to may hold it open a little longer.
    let resolved = of(Change::Resolved);
    assert!(
        matches!(resolved[..], [one] if (3599..3660).contains(&(one - QUIET))),
        "{resolved:?}"
    );
}

#[test]
fn a_slow_sensor_stays_open_until_it_was_heard_well_several_times() {
    let (slow, fast) = (bounded("slow"), sensor("fast"));
    let mut scene = Scene::default();
    for second in 0..20 * 3600 {
        scene.see(&fast, second, wave(second));
        if second % 3600 == 0 {
            // Out of bounds every other hour: between two of them is more than the quiet time.
            let hot = second % 7200 == 0 && (4 * 3600..=8 * 3600).contains(&second);
            scene.see(&slow, second, if hot { 20.5 } else { 15.0 });
        }
    }
    let resolved = (8 + 3) * 3600;
    assert_eq!(
        scene.story(),
        [
            ("slow", 1, Change::Opened, 4 * 3600),
            ("slow", 2, Change::Resolved, resolved)
        ]
    );
}

#[test]
fn a_silent_sensor_is_told_once_and_resolves_when_it_speaks_again() {
    let sensors = ["a", "b", "c"].map(sensor);
    let mut scene = Scene::default();
    for second in 0..3600 {
        for (index, sensor) in sensors.iter().enumerate() {
            if index == 1 && (600..1200).contains(&second) {
                continue;
            }
            scene.see(sensor, second, wave(second));
        }
    }
    // Silent 30 s after its last word at 599, heard again at 1200.
    let story = [("b", 1, Change::Opened, 629), ("b", 2, Change::Resolved, 1200 + QUIET)];
    assert_eq!(scene.story(), story);
    assert_eq!(scene.transitions()[0].kinds, Kinds::SILENT);
    assert_eq!(scene.transitions()[0].value, Value::Scalar(wave(599)));
}

#[test]
fn an_outage_of_everything_makes_nobody_silent() {
    let sensors = ["a", "b", "c"].map(sensor);
    let mut scene = Scene::default();
    for second in (0..600).chain(7200..9000) {
        for sensor in &sensors {
            scene.see(sensor, second, wave(second));
        }
    }
    assert_eq!(scene.story(), []);
}

#[test]
fn one_clock_years_ahead_makes_nobody_silent() {
    let sensors = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(sensor);
    let mut scene = Scene::default();
    for second in 0..7200 {
        for (index, sensor) in sensors.iter().enumerate() {
            let ahead = if index == 4 && second >= 600 { 3_000_000_000 } else { 0 };
            scene.see(sensor, second + ahead, wave(second));
        }
    }
    assert_eq!(scene.story(), []);
}

#[test]
fn silence_is_found_while_another_clock_is_years_ahead() {
    let sensors = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(sensor);
    let mut scene = Scene::default();
    for second in 0..3600 {
        for (index, sensor) in sensors.iter().enumerate() {
            let ahead = if index == 4 { 3_000_000_000 } else { 0 };
            if index != 7 || second < 600 {
                scene.see(sensor, second + ahead, wave(second));
            }
        }
    }
    assert_eq!(scene.story(), [("h", 1, Change::Opened, 629)]);
}

#[test]
fn a_sensor_that_is_gone_is_forgotten_and_its_incident_resolved() {
    let (gone, stays) = (bounded("gone"), sensor("stays"));
    let mut scene = Scene {
        settings: toml::from_str("forget = \"1h\"").unwrap(),
        ..Scene::default()
    };
    for second in 0..100 {
        scene.see(&gone, second, 25.0);
        scene.see(&stays, second, wave(second));
    }
    let known = scene.partition.encode().len();
    for second in 100..4000 {
        scene.see(&stays, second, wave(second));
    }
    let story = scene.story();
    let (first, last) = (story[0], story[story.len() - 1]);
    assert_eq!(
        (first, last.2, last.3),
        (("gone", 1, Change::Opened, 0), Change::Resolved, 99 + 3600)
    );
    assert!(scene.partition.encode().len() < known + 200, "its state is gone");
    // Its place is taken by the next one.
    scene.see(&bounded("new"), 4000, 25.0);
    assert_eq!(scene.story().last().unwrap(), &("new", 1, Change::Opened, 4000));
}

#[test]
fn a_sensor_that_repeats_itself_is_not_stuck() {
    let (counter, house) = (sensor("counter"), sensor("house"));
    let mut scene = Scene::default();
    for second in 0..20_000 {
        // Mostly zero; a count now and then.
        let count = if second % 97 == 0 {
            f64::from(second % 3 == 0) + 1.0
        } else {
            0.0
        };
        scene.see(&counter, second, count);
        // A slow temperature to one decimal: the same value for a minute.
        scene.see(&house, second, (wave(second / 60) * 10.0).round() / 10.0);
    }
    assert!(
        scene.transitions().iter().all(|one| !one.kinds.contains(Kinds::STUCK)),
        "{:?}",
        scene.story()
    );
}

#[test]
fn a_first_night_of_zeros_is_not_stuck() {
    let sensor = sensor("light");
    let mut scene = Scene::default();
    for minute in 0..24 * 60 {
        let light = if minute < 6 * 60 { wave(minute) } else { 0.0 };
        scene.see(&sensor, minute * 60, light);
    }
    assert!(
        scene.transitions().iter().all(|one| !one.kinds.contains(Kinds::STUCK)),
        "{:?}",
        scene.story()
    );
}

#[test]
fn two_incidents_never_share_a_name() {
    let (slow, fast) = (bounded("slow"), sensor("fast"));
    let mut scene = Scene {
        settings: toml::from_str("quiet = \"1s\"").unwrap(),
        ..Scene::default()
    };
    // The slow one's clock all but stands still, so that an incident is over before its silence should have begun.
    let mut clock = 0;
    for second in 0..900 {
        scene.see(&fast, second, wave(second));
        if !(100..140).contains(&second) {
            clock += 1;
            let time = Timestamp::from_micros(99_000_000 + clock).unwrap();
            scene.partition.fold(
                &Reading::new(slow.clone(), time, Value::Scalar(15.0)).unwrap(),
                &scene.settings,
                &mut scene.journal,
                &mut scene.events,
            );
        }
    }
    let first = scene.transitions()[0].since;
    assert_eq!(scene.transitions()[0].change, Change::Opened);
    assert_eq!(scene.transitions()[1].change, Change::Resolved);
    let reading = Reading::new(slow, first, Value::Scalar(99.0)).unwrap();
    scene
        .partition
        .fold(&reading, &scene.settings, &mut scene.journal, &mut scene.events);
    let opened = scene
        .transitions()
        .into_iter()
        .filter(|one| one.change == Change::Opened);
    let mut since: Vec<_> = opened.map(|one| one.since).collect();
    let incidents = since.len();
    since.sort();
    since.dedup();
    assert!(incidents >= 2 && since.len() == incidents, "{since:?}");
}

#[test]
fn merged_partitions_keep_their_incidents_and_ages() {
    let (old, young) = (sensor("old"), bounded("young"));
    let (mut first, mut second) = (Scene::default(), Scene::default());
    for at in 0..=10_000 {
        first.see(&old, at, wave(at));
    }
    for at in 9_000..10_000 {
        second.see(&young, at, wave(at));
    }
    second.see(&young, 10_000, 25.0);
    let mut merged = Scene {
        partition: Partition::merge([first.partition, second.partition]),
        ..Scene::default()
    };
    for at in 10_001..12_000 {
        merged.see(&old, at, wave(at));
        merged.see(&young, at, wave(at));
    }
    let told: Vec<_> = merged
        .story()
        .into_iter()
        .map(|(id, _, change, at)| (id, change, at))
        .collect();
    assert_eq!(told, [("young", Change::Resolved, 10_000 + QUIET)]);
}

#[test]
fn a_value_that_no_longer_changes_is_stuck() {
    let sensor = sensor("a");
    let mut scene = Scene::default();
    for second in 0..1000 {
        scene.see(&sensor, second, wave(second));
    }
    for second in 1000..1100 {
        scene.see(&sensor, second, wave(999));
    }
    assert_eq!(scene.story()[0], ("a", 1, Change::Opened, 1029));
    assert_eq!(scene.transitions()[0].kinds, Kinds::STUCK);
}

#[test]
fn a_change_far_too_fast_is_an_anomaly_even_in_range() {
    let sensor = sensor("a");
    let mut scene = Scene::default();
    for second in 0..2000 {
        scene.see(&sensor, second, 15.0 + 5.0 * (second as f64 / 100.0).sin());
    }
    scene.see(&sensor, 2000, 12.0);
    assert!(scene.transitions()[0].kinds.contains(Kinds::JUMP), "{:?}", scene.events);
}

#[test]
fn a_vector_that_is_unlike_all_others_is_novel() {
    let sensor = sensor("log");
    let mut scene = Scene::default();
    let mut see = |second: i64, numbers: [f64; 4]| {
        let reading = Reading::new(sensor.clone(), at(second), Value::Vector(numbers.into())).unwrap();
        scene
            .partition
            .fold(&reading, &scene.settings, &mut scene.journal, &mut scene.events)
    };
    for second in 0..2000 {
        let wave = wave(second);
        see(second, [wave, 200.0 - 3.0 * wave, f64::from(second % 2 == 0), 12.0]);
    }
    let usual = see(2000, [15.0, 155.0, 1.0, 12.0]);
    let unlike = see(2001, [15.0, 155.0, 1.0, 40.0]);
    assert!(
        usual.kinds.is_empty() && unlike.kinds.contains(Kinds::NOVEL),
        "{usual:?} {unlike:?}"
    );
}
