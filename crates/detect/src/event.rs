//! What a fold causes: anomalies, one per reading, and transitions of incidents.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::{Kinds, encoding};

/// What a fold causes, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A reading is an anomaly.
    Anomaly(Anomaly),
    /// An incident opened, worsened or resolved.
    Incident(Transition),
}

/// A reading that is an anomaly, in one way or in several. Silence has no reading, so it is an incident only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Whose reading: id, kind, unit, group and bounds.
    #[serde(with = "encoding::sensor")]
    pub sensor: Arc<Sensor>,
    /// When it was observed.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
    /// What was observed.
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// What is wrong with it.
    pub kinds: Kinds,
    /// Anomaly score: at least the threshold, at most [`MAX_SCORE`](crate::MAX_SCORE).
    pub score: f64,
    /// The expected range, if known.
    pub expected: Option<(f64, f64)>,
    /// Start of the incident it belongs to.
    #[serde(with = "encoding::timestamp")]
    pub incident: Timestamp,
}

/// One transition of an incident. Sensor and `since` together name the incident; `number` orders its transitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whose incident: id, kind, unit, group and bounds.
    #[serde(with = "encoding::sensor")]
    pub sensor: Arc<Sensor>,
    /// Start of the incident, by the sensor's own clock. No two incidents of a sensor share it.
    #[serde(with = "encoding::timestamp")]
    pub since: Timestamp,
    /// Counts the transitions of this incident, from 1.
    pub number: u32,
    /// What changed.
    pub change: Change,
    /// All that has been wrong during the incident.
    pub kinds: Kinds,
    /// What is wrong now; nothing once it is over.
    pub now: Kinds,
    /// The reading that caused it; for silence or quiet, the latest one.
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// The expected range at the last anomaly, if known.
    pub expected: Option<(f64, f64)>,
    /// How long the sensor has been silent or stuck, if it is.
    pub lasting: Option<Lasting>,
    /// The highest score so far.
    pub peak: f64,
    /// The incident at that score.
    pub worst: Worst,
    /// Readings that were anomalies so far.
    pub anomalies: u32,
    /// When it changed, by the sensor's own clock.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
}

/// An incident at its highest score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// When that was, by the sensor's own clock.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
    /// What was wrong then.
    pub kinds: Kinds,
    /// The reading; for silence, the latest one.
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// The expected range, if known.
    pub expected: Option<(f64, f64)>,
    /// How long the sensor had been silent or stuck, if it was.
    pub lasting: Option<Lasting>,
}

/// How long a sensor has been silent or stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// So far, in microseconds.
    pub micros: i64,
    /// The longest before, in microseconds; 0 if there was none.
    pub before: i64,
}

/// What changed about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// It began.
    Opened,
    /// Something else is wrong too, or the score is twice the one last reported.
    Worsened,
    /// It is over.
    Resolved,
}

impl Change {
    /// One word, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worsened => "worsened",
            Self::Resolved => "resolved",
        }
    }
}
