//! An anomaly that goes on: it opens once, may worsen, resolves once. It does not know why it ends; its sensor's track does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::{Change, Kinds, Transition, encoding};

/// Something is wrong, at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    pub kinds: Kinds,
    pub score: f64,
    pub expected: Option<(f64, f64)>,
    /// By the sensor's own time.
    pub time: Timestamp,
    /// By the page's clock.
    pub now: i64,
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    #[serde(with = "encoding::timestamp")]
    since: Timestamp,
    number: u32,
    kinds: Kinds,
    peak: f64,
    /// A peak from here on is worse than what was told.
    worse: f64,
    expected: Option<(f64, f64)>,
    /// The last alarm, by the sensor's own time and by the page's clock.
    #[serde(with = "encoding::timestamp")]
    time: Timestamp,
    now: i64,
}

impl Incident {
    pub fn open(since: Timestamp, alarm: &Alarm) -> Self {
        Self {
            since,
            number: 1,
            kinds: alarm.kinds,
            peak: alarm.score,
            worse: alarm.score * 2.0,
            expected: alarm.expected,
            time: alarm.time,
            now: alarm.now,
        }
    }

    /// Takes another alarm in; true where the incident got worse by it.
    pub fn join(&mut self, alarm: &Alarm) -> bool {
        let worse = alarm.score >= self.worse || !self.kinds.contains(alarm.kinds);
        self.kinds |= alarm.kinds;
        self.peak = self.peak.max(alarm.score);
        self.expected = alarm.expected.or(self.expected);
        self.hold(alarm.time, alarm.now);
        if worse {
            self.worse = self.peak * 2.0;
            self.number += 1;
        }
        worse
    }

    /// Begins the quiet period anew.
    pub fn hold(&mut self, time: Timestamp, now: i64) {
        self.time = time;
        self.now = now;
    }

    /// The last moment of an incident that is over.
    pub fn close(&mut self) {
        self.number += 1;
    }

    /// What people hear about it now.
    pub fn transition(&self, change: Change, sensor: &Arc<Sensor>, value: &Value, time: Timestamp) -> Transition {
        Transition {
            sensor: sensor.clone(),
            since: self.since,
            number: self.number,
            change,
            kinds: self.kinds,
            value: value.clone(),
            expected: self.expected,
            peak: self.peak,
            time,
        }
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The last alarm by the sensor's own time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The last alarm by the page's clock.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The page's clock is another one from here on, ahead by so much.
    pub fn shift(&mut self, ahead: i64) {
        self.now = self.now.saturating_add(ahead);
    }
}
