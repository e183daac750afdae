//! An anomaly that goes on: it opens once, may worsen, resolves once. It does not know why it ends; its sensor's track does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::event::{Lasting, Worst};
use crate::{Change, Kinds, Transition, encoding};

/// Something is wrong, at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm<'a> {
    pub kinds: Kinds,
    pub score: f64,
    pub expected: Option<(f64, f64)>,
    /// The reading; the last one heard where it is silence.
    pub value: &'a Value,
    pub lasting: Option<Lasting>,
    /// By the sensor's own time.
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
    /// A peak from here on is worse than what was told.
    pub worse: f64,
    pub expected: Option<(f64, f64)>,
    pub anomalies: u32,
    /// When it was held open last, by the sensor's own time and by the partition's clock.
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

    /// Takes another alarm in; true where the incident got worse by it.
    pub fn join(&mut self, alarm: &Alarm<'_>) -> bool {
        // Who is stuck for longer scores higher, and that is no news.
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

    /// Begins the quiet period anew.
    pub fn hold(&mut self, time: Timestamp, now: i64) {
        self.time = time;
        self.now = now;
    }

    /// What people hear of an alarm it has taken in.
    pub fn told(&self, change: Change, sensor: &Arc<Sensor>, alarm: &Alarm<'_>) -> Transition {
        Transition {
            now: alarm.kinds,
            lasting: alarm.lasting,
            ..self.transition(change, sensor, alarm.value, alarm.time)
        }
    }

    /// What people hear at its end.
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

    /// When it was held open last, by the sensor's own time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// When it was held open last, by the partition's clock.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The partition's clock is another one from here on, ahead by so much.
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
