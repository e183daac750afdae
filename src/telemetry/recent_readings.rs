//! The last readings of some sensors and what was made of them, kept only while a person looks on. Otherwise a batch costs
//! the look at one flag.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wire::{Reading, Timestamp, Value};

/// The readings of a sensor that are kept: ten minutes at one a second.
pub const POINTS: usize = 600;
/// Sensors that are kept. With [`POINTS`] of each they take about 4 MB.
pub const SENSORS: usize = 100;
/// Sensors that somebody asked for by name are kept before others.
const ASKED: usize = 8;
/// So long after somebody looked nobody looks any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was observed.
    pub time: Timestamp,
    /// The value; `None` where it is not one number.
    pub value: Option<f64>,
    /// On the seeds' scale; `None` where it was not judged here.
    pub score: Option<f64>,
    /// The lowest and the highest value that would have been usual, where the detector knew.
    pub expected: Option<(f64, f64)>,
    /// It was an anomaly.
    pub anomaly: bool,
}

/// The last readings of a sensor, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentReading {
    /// The unit of the values.
    pub unit: Option<Box<str>>,
    /// At most [`POINTS`].
    pub points: VecDeque<Point>,
}

/// The last readings of some sensors.
#[derive(Debug, Default)]
pub struct RecentReadings {
    wanted: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    until: Option<Instant>,
    /// Sensors asked for by name, the latest last.
    asked: VecDeque<Box<str>>,
    sensors: BTreeMap<Box<str>, RecentReading>,
}

impl RecentReadings {
    /// True while somebody looks on: only then is [`RecentReadings::keep`] worth its while.
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Somebody looks on, from now for a minute; at this sensor, where one is named.
    pub fn look(&self, sensor: Option<&str>) {
        let mut kept = self.kept();
        kept.until = Some(Instant::now() + PATIENCE);
        if let Some(sensor) = sensor
            && kept.asked.back().is_none_or(|last| **last != *sensor)
        {
            kept.asked.retain(|asked| **asked != *sensor);
            kept.asked.push_back(sensor.into());
            if kept.asked.len() > ASKED {
                kept.asked.pop_front();
            }
        }
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// The sensors whose readings are kept.
    pub fn sensors(&self) -> Vec<String> {
        self.kept().sensors.keys().map(|id| id.to_string()).collect()
    }

    /// What is kept of a sensor.
    pub fn of(&self, sensor: &str) -> Option<RecentReading> {
        self.kept().sensors.get(sensor).cloned()
    }

    /// Keeps these readings. A second one of the same sensor and time takes the place of the first.
    pub fn keep<'a>(&self, readings: impl Iterator<Item = (&'a Reading, Point)>) {
        let mut kept = self.kept();
        if kept.until.is_none_or(|until| until < Instant::now()) {
            self.wanted.store(false, Ordering::Relaxed);
            *kept = Kept::default();
            return;
        }
        for (reading, point) in readings {
            kept.add(reading, point);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, reading: &Reading, point: Point) {
        let id = reading.sensor().id();
        if !self.sensors.contains_key(id) {
            if self.sensors.len() >= SENSORS && !self.make_room_for(id) {
                return;
            }
            let unit = reading.sensor().unit().map(Into::into);
            let points = VecDeque::new();
            self.sensors.insert(id.into(), RecentReading { unit, points });
        }
        if let Some(trace) = self.sensors.get_mut(id) {
            trace.add(point);
        }
    }

    /// True where a sensor that nobody asked for has left for one that somebody did.
    fn make_room_for(&mut self, id: &str) -> bool {
        let is_asked = |id: &str| self.asked.iter().any(|asked| **asked == *id);
        if !is_asked(id) {
            return false;
        }
        let leaves = self.sensors.keys().rev().find(|other| !is_asked(other)).cloned();
        leaves.is_some_and(|leaves| self.sensors.remove(&leaves).is_some())
    }
}

impl RecentReading {
    fn add(&mut self, point: Point) {
        let place = self.points.partition_point(|other| other.time < point.time);
        match self.points.get_mut(place) {
            Some(same) if same.time == point.time => *same = point,
            _ => {
                self.points.insert(place, point);
                if self.points.len() > POINTS {
                    self.points.pop_front();
                }
            }
        }
    }
}

impl Point {
    /// Of a reading that nobody has judged.
    pub fn unjudged(reading: &Reading) -> Self {
        let value = match reading.value() {
            Value::Scalar(value) => Some(*value),
            _ => None,
        };
        Self {
            time: reading.time(),
            value,
            score: None,
            expected: None,
            anomaly: false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Arc;

    use wire::Sensor;

    use super::*;

    fn reading(id: &str, second: i64, value: f64) -> Reading {
        let time = Timestamp::from_micros(second * 1_000_000).unwrap();
        let sensor = Arc::new(Sensor::new(id, "temperature").with_unit("°C"));
        Reading::new(sensor, time, Value::Scalar(value)).unwrap()
    }

    fn keep(recent: &RecentReadings, readings: &[Reading]) {
        recent.keep(readings.iter().map(|reading| (reading, Point::unjudged(reading))));
    }

    #[test]
    fn nothing_is_kept_until_somebody_looks_and_no_more_once_nobody_does() {
        let recent = RecentReadings::default();
        assert!(!recent.wanted());
        keep(&recent, &[reading("a", 1, 1.0)]);
        assert!(recent.sensors().is_empty());
        recent.look(None);
        assert!(recent.wanted());
        keep(&recent, &[reading("a", 1, 1.0)]);
        assert_eq!(recent.sensors(), ["a"]);
        recent.kept().until = Some(Instant::now() - Duration::from_secs(1));
        keep(&recent, &[reading("a", 2, 1.0)]);
        assert!(!recent.wanted());
        assert!(recent.sensors().is_empty());
    }

    #[test]
    fn points_are_in_order_once_each_and_bounded() {
        let recent = RecentReadings::default();
        recent.look(None);
        let seconds = [3, 1, 2, 3];
        keep(
            &recent,
            &seconds.map(|second| reading("a", second, second as f64 * 10.0)),
        );
        keep(&recent, &[reading("a", 2, 7.0)]);
        let trace = recent.of("a").unwrap();
        let values: Vec<_> = trace.points.iter().filter_map(|point| point.value).collect();
        assert_eq!(values, [10.0, 7.0, 30.0]);
        assert_eq!(trace.unit.as_deref(), Some("°C"));
        for second in 0..2 * POINTS as i64 {
            keep(&recent, &[reading("a", second, 0.0)]);
        }
        let points = recent.of("a").unwrap().points;
        assert_eq!(points.len(), POINTS);
        assert_eq!(points[0].time.as_micros(), POINTS as i64 * 1_000_000);
    }

    #[test]
    fn a_sensor_that_is_asked_for_comes_before_others() {
        let recent = RecentReadings::default();
        recent.look(Some("zz"));
        let many: Vec<_> = (0..SENSORS + 5)
            .map(|index| reading(&format!("s{index:04}"), 1, 1.0))
            .collect();
        keep(&recent, &many);
        assert_eq!(recent.sensors().len(), SENSORS);
        keep(&recent, &[reading("zz", 1, 1.0)]);
        assert_eq!(recent.sensors().len(), SENSORS);
        assert!(recent.of("zz").is_some());
        assert!(recent.of("s0000").is_some());
    }
}
