//! A sensor that goes in and out of alarm is one incident, or a few; what an incident carries is what happened.

use std::sync::Arc;

use detect::{Change, Event, Journal, Kinds, Lasting, Partition, Settings, Transition};
use proptest::prelude::*;
use wire::{Bounds, Reading, Sensor, Timestamp, Value};

const QUIET: i64 = 900;

/// A partition with one sensor that is judged by its bounds, 10 to 20, and by little else; and all it told.
struct Scene {
    partition: Partition,
    settings: Settings,
    sensor: Arc<Sensor>,
    transitions: Vec<Transition>,
    anomalies: u32,
}

impl Scene {
    fn new() -> Self {
        let sensor = Sensor::new("a", "Temperature").with_bounds(Bounds {
            lowest: 10.0,
            highest: 20.0,
        });
        Self {
            partition: Partition::new(),
            settings: toml::from_str("threshold = 1000\njump = 1e6\nnoise = 1e6\ndrift = 1e6").unwrap(),
            sensor: Arc::new(sensor),
            transitions: Vec::new(),
            anomalies: 0,
        }
    }

    fn see(&mut self, second: i64, value: f64) {
        let mut events = Vec::new();
        let reading = Reading::new(self.sensor.clone(), at(second), Value::Scalar(value)).unwrap();
        self.partition
            .fold(&reading, &self.settings, &mut Journal::new(), &mut events);
        for event in events {
            match event {
                Event::Incident(transition) => self.transitions.push(transition),
                Event::Anomaly(_) => self.anomalies += 1,
            }
        }
    }

    /// When each incident opened, in seconds.
    fn of(&self, change: Change) -> Vec<i64> {
        let of = self.transitions.iter().filter(|one| one.change == change);
        of.map(|one| one.time.as_micros() / 1_000_000).collect()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

/// Steady, never twice the same, never wild.
fn wave(second: i64) -> f64 {
    15.0 + (second as f64 / 70.0).sin() + (second as f64).sin() / 10.0
}

/// Whatever makes an incident: alarms this far apart, in readings of ten seconds.
fn flap(gaps: &[i64], calm: i64) -> Scene {
    let mut scene = Scene::new();
    let mut next = 100;
    let mut gaps = gaps.iter();
    let mut left = calm;
    for step in 0.. {
        let alarm = step == next;
        if alarm {
            match gaps.next() {
                Some(gap) => next += gap,
                None => next = i64::MAX,
            }
        }
        if next == i64::MAX {
            left -= 1;
        }
        if left < 0 {
            break;
        }
        scene.see(step * 10, if alarm { 21.0 } else { wave(step * 10) });
    }
    scene
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Whatever comes again within five quiet periods is told at most four times, however often it comes.
    #[test]
    fn a_pattern_of_any_period_is_told_a_few_times(gaps in proptest::collection::vec(1..=5 * QUIET / 10, 10..60)) {
        let scene = flap(&gaps, 20 * QUIET / 10);
        let opened = scene.of(Change::Opened).len();
        prop_assert!((1..=4).contains(&opened), "{opened} incidents of {} alarms", gaps.len());
        prop_assert_eq!(scene.of(Change::Resolved).len(), opened);
        prop_assert_eq!(scene.anomalies as usize, gaps.len() + 1);
    }

    /// The longer the period, the more often; but only as its logarithm.
    #[test]
    fn a_steady_pattern_is_told_as_the_logarithm_of_its_period(period in 1..=5 * QUIET / 10) {
        let scene = flap(&vec![period; 40], 20 * QUIET / 10);
        let quiets = (period * 10) as f64 / QUIET as f64;
        // A period of just the quiet time is quiet.
        let most = if quiets < 1.0 { 1 } else { 2 + quiets.log2() as usize };
        let opened = scene.of(Change::Opened).len();
        prop_assert!(opened <= most, "{opened} incidents at {quiets} quiet periods");
    }
}

#[test]
fn calm_is_forgiven() {
    let seldom = 12 * QUIET / 10;
    let scene = flap(&[seldom; 4], 2 * QUIET / 10);
    assert_eq!(scene.of(Change::Opened).len(), 5, "each is an incident of its own");
    let lasted: Vec<i64> = scene
        .transitions
        .iter()
        .filter(|one| one.change == Change::Resolved)
        .map(|one| (one.time.as_micros() - one.since.as_micros()) / 1_000_000)
        .collect();
    assert_eq!(lasted, [QUIET; 5]);
    // Three flaps, then calm, then one more alarm: it is over after one quiet period again.
    let soon = 2 * QUIET / 10;
    let scene = flap(&[soon, soon, soon, 40 * QUIET / 10], 2 * QUIET / 10);
    let resolved = scene.transitions.last().unwrap();
    assert_eq!(resolved.change, Change::Resolved);
    assert_eq!(
        resolved.time.as_micros() - resolved.since.as_micros(),
        QUIET * 1_000_000
    );
}

#[test]
fn something_else_that_goes_wrong_is_no_relapse() {
    let mut scene = Scene::new();
    for second in 0..4 * QUIET {
        let value = match second {
            100 => 21.0,
            1500 => 9.0,
            _ => wave(second),
        };
        scene.see(second, value);
    }
    assert_eq!(scene.of(Change::Opened), [100, 1500]);
    assert_eq!(scene.of(Change::Resolved), [100 + QUIET, 1500 + QUIET]);
}

#[test]
fn half_the_threshold_holds_an_incident_open() {
    let mut scene = Scene::new();
    for second in 0..2000 {
        scene.see(second, if second == 1900 { 21.0 } else { wave(second) });
    }
    // Within its bounds, and yet a little unlike all before.
    let score_of = |value| {
        let reading = Reading::new(scene.sensor.clone(), at(2000), Value::Scalar(value)).unwrap();
        let mut partition = scene.partition.clone();
        partition
            .fold(&reading, &scene.settings, &mut Journal::new(), &mut Vec::new())
            .score
    };
    let (value, score) = (100..200)
        .map(|tenths| f64::from(tenths) / 10.0)
        .map(|value| (value, score_of(value)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap();
    for (times, over) in [(1.5, 2000 + QUIET), (3.0, 1900 + QUIET)] {
        let mut scene = Scene {
            partition: scene.partition.clone(),
            ..Scene::new()
        };
        let usual = std::mem::replace(&mut scene.settings.threshold, (times * score).try_into().unwrap());
        scene.see(2000, value);
        scene.settings.threshold = usual;
        for second in 2001..2000 + 2 * QUIET {
            scene.see(second, wave(second));
        }
        assert_eq!(scene.of(Change::Opened), [0; 0], "it opens none");
        assert_eq!(
            scene.of(Change::Resolved),
            [over],
            "threshold {times} times the score {score}"
        );
    }
}

#[test]
fn a_transition_carries_its_worst_moment_and_how_many_readings() {
    let mut scene = Scene::new();
    scene.settings.threshold = 2.0.try_into().unwrap();
    for (second, value) in [(0, 15.0), (1, 21.0), (2, 24.0), (3, 55.0), (4, 25.0)] {
        scene.see(second, value);
    }
    for second in 5..2 * QUIET {
        scene.see(second, wave(second));
    }
    let told: Vec<_> = scene
        .transitions
        .iter()
        .map(|one| {
            (
                one.change,
                one.worst.time,
                one.worst.value.clone(),
                one.anomalies,
                one.now,
            )
        })
        .collect();
    let scalar = Value::Scalar;
    assert_eq!(told[0], (Change::Opened, at(1), scalar(21.0), 1, Kinds::ABOVE));
    let (change, time, value, anomalies, now) = &told[1];
    assert_eq!(
        (*change, *time, value, *anomalies),
        (Change::Worsened, at(3), &scalar(55.0), 3)
    );
    assert!(now.contains(Kinds::ABOVE));
    let over = scene.transitions.last().unwrap();
    assert_eq!(
        (over.change, over.now, over.lasting),
        (Change::Resolved, Kinds::NONE, None)
    );
    assert_eq!(
        (over.worst.time, &over.worst.value, over.anomalies),
        (at(3), &scalar(55.0), scene.anomalies)
    );
    assert_eq!(over.worst.expected, Some((10.0, 20.0)));
    assert!(over.worst.kinds.contains(Kinds::ABOVE));
}

#[test]
fn stuck_and_silent_say_for_how_long_and_how_long_before() {
    let mut scene = Scene::new();
    scene.settings.threshold = 100.0.try_into().unwrap();
    for second in 0..1000 {
        // The same for five seconds at most.
        let step = if second % 100 < 6 {
            second - second % 100
        } else {
            second
        };
        scene.see(second, wave(step));
    }
    for second in 1000..1300 {
        scene.see(second, 15.5);
    }
    let stuck = &scene.transitions[0];
    let seconds = |lasting: Option<Lasting>| lasting.map(|one| (one.micros / 1_000_000, one.before / 1_000_000));
    assert_eq!(stuck.now, Kinds::STUCK);
    let since = stuck.time.as_micros() / 1_000_000;
    assert_eq!(seconds(stuck.lasting), Some((since - 1000, 5)));

    // Being stuck for longer is no news.
    for second in 1300..4000 {
        scene.see(second, 15.5);
    }
    assert_eq!(scene.transitions.len(), 1, "{:?}", scene.transitions);

    let other = Arc::new(Sensor::new("other", "x"));
    let mut silent = Scene::new();
    for second in 0..1000 {
        let reading = Reading::new(other.clone(), at(second), Value::Scalar(wave(second))).unwrap();
        if second < 600 {
            silent.see(second, wave(second));
        }
        let mut events = Vec::new();
        silent
            .partition
            .fold(&reading, &silent.settings, &mut Journal::new(), &mut events);
        silent
            .transitions
            .extend(events.into_iter().filter_map(|event| match event {
                Event::Incident(transition) => Some(transition),
                Event::Anomaly(_) => None,
            }));
    }
    let told = &silent.transitions[0];
    assert_eq!(
        (told.now, seconds(told.lasting), told.anomalies),
        (Kinds::SILENT, Some((30, 1)), 0)
    );
    assert_eq!(told.worst.lasting, told.lasting);
}
