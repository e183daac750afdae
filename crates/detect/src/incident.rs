//! An incident opens once, may worsen, and resolves once. It does not know why it ends; its sensor's track does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::event::{Lasting, Worst};
use crate::{Change, Kinds, Transition, encoding};

/// Something is wrong with a sensor now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm<'a> {
    pub kinds: Kinds,
    pub score: f64,
    pub expected: Option<(f64, f64)>,
    /// The reading; for silence, the latest one.
    pub value: &'a Value,
    pub lasting: Option<Lasting>,
    /// By the sensor's own clock.
    pub time: Timestamp,
    /// By the partition's clock.
    pub now: i64,
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    #[serde(with = "encoding::timestamp")]
    pub since: Timestamp,
    pub number: u32,
    pub kinds: Kinds,
    pub peak: f64,
    pub worst: Worst,
    /// A score from here on is worse than what was reported.
    pub worse: f64,
    pub expected: Option<(f64, f64)>,
    pub anomalies: u32,
    /// When it was last held open, by the sensor's own clock and by the partition's.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
    pub now: i64,
}

impl Incident {
    pub fn open(since: Timestamp, alarm: &Alarm<'_>) -> Self {
        Self {
            since,
            number: 1,
            kinds: alarm.kinds,
            peak: alarm.score,
            worst: alarm.worst(),
            worse: alarm.score * 2.0,
            expected: alarm.expected,
            anomalies: alarm.readings(),
            time: alarm.time,
            now: alarm.now,
        }
    }

    /// Takes in another alarm; true if the incident got worse.
    pub fn join(&mut self, alarm: &Alarm<'_>) -> bool {
        // Stuck for longer scores higher, but is nothing new.
        let worse = (alarm.score >= self.worse && alarm.kinds != Kinds::STUCK) || !self.kinds.contains(alarm.kinds);
        self.kinds |= alarm.kinds;
        if alarm.score > self.peak {
            self.peak = alarm.score;
            self.worst = alarm.worst();
        }
        self.expected = alarm.expected.or(self.expected);
        self.anomalies = self.anomalies.saturating_add(alarm.readings());
        self.hold(alarm.time, alarm.now);
        if worse {
            self.worse = self.peak * 2.0;
            self.number = self.number.saturating_add(1);
        }
        worse
    }

    /// Restarts the quiet period.
    pub fn hold(&mut self, time: Timestamp, now: i64) {
        self.time = time;
        self.now = now;
    }

    /// The transition caused by an alarm it has taken in.
    pub fn transition_by(&self, change: Change, sensor: &Arc<Sensor>, alarm: &Alarm<'_>) -> Transition {
        Transition {
            now: alarm.kinds,
            lasting: alarm.lasting,
            ..self.transition(change, sensor, alarm.value, alarm.time)
        }
    }

    /// The transition at its end.
    pub fn resolved(mut self, sensor: &Arc<Sensor>, value: &Value, time: Timestamp) -> Transition {
        self.number = self.number.saturating_add(1);
        self.transition(Change::Resolved, sensor, value, time)
    }

    fn transition(&self, change: Change, sensor: &Arc<Sensor>, value: &Value, time: Timestamp) -> Transition {
        Transition {
            sensor: sensor.clone(),
            since: self.since,
            number: self.number,
            change,
            kinds: self.kinds,
            now: Kinds::NONE,
            value: value.clone(),
            expected: self.expected,
            lasting: None,
            peak: self.peak,
            worst: self.worst.clone(),
            anomalies: self.anomalies,
            time,
        }
    }

    /// All that has been wrong.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// When it was last held open, by the sensor's own clock.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// When it was last held open, by the partition's clock.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Moves its times to a clock that is ahead by this much.
    pub fn shift(&mut self, ahead: i64) {
        self.now = self.now.saturating_add(ahead);
    }
}

impl Alarm<'_> {
    fn worst(&self) -> Worst {
        Worst {
            time: self.time,
            kinds: self.kinds,
            value: self.value.clone(),
            expected: self.expected,
            lasting: self.lasting,
        }
    }

    /// Silence has no reading.
    fn readings(&self) -> u32 {
        u32::from(self.kinds != Kinds::SILENT)
    }
}
