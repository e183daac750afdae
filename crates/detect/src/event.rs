//! What a fold tells the world: anomalies, one a reading, and the moments of an incident people hear about.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::{Kinds, encoding};

/// What a fold tells the world, in the order it happened.
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
    /// On the seeds' scale, at least the threshold, at most [`MAX_SCORE`](crate::MAX_SCORE).
    pub score: f64,
    /// The lowest and the highest value that would have been usual, where the detector knows.
    pub expected: Option<(f64, f64)>,
    /// When the incident it belongs to began.
    #[serde(with = "encoding::timestamp")]
    pub incident: Timestamp,
}

/// One moment of an incident. Sensor and `since` together name the incident; `number` orders its moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whose incident: id, kind, unit, group and bounds.
    #[serde(with = "encoding::sensor")]
    pub sensor: Arc<Sensor>,
    /// When the incident began, by the sensor's own time. No two incidents of a sensor share it.
    #[serde(with = "encoding::timestamp")]
    pub since: Timestamp,
    /// Counts the moments of this incident, from 1.
    pub number: u32,
    /// What changed.
    pub change: Change,
    /// All that has been wrong during the incident.
    pub kinds: Kinds,
    /// What is wrong at this moment; nothing where it is over.
    pub now: Kinds,
    /// The reading that changed it; the last one heard where silence or quiet did.
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// The lowest and the highest value that would have been usual at the last anomaly, where the detector knew.
    pub expected: Option<(f64, f64)>,
    /// For how long the sensor has said nothing, or nothing new, where that is what is wrong at this moment.
    pub lasting: Option<Lasting>,
    /// The highest score so far.
    pub peak: f64,
    /// The incident at that score.
    pub worst: Worst,
    /// Readings that were anomalies so far.
    pub anomalies: u32,
    /// When it changed, by the sensor's own time.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
}

/// An incident at its highest score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// When that was, by the sensor's own time.
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
    /// What was wrong then.
    pub kinds: Kinds,
    /// The reading; the last one heard where it was silence.
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// The lowest and the highest value that would have been usual, where the detector knew.
    pub expected: Option<(f64, f64)>,
    /// For how long the sensor had said nothing, or nothing new, where that was wrong.
    pub lasting: Option<Lasting>,
}

/// How long something goes on that should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// So far, in microseconds.
    pub micros: i64,
    /// The longest it ever did before, in microseconds; 0 where it never did.
    pub before: i64,
}

/// What changed about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// It began.
    Opened,
    /// Something else is wrong too, or the score reached twice the height last told.
    Worsened,
    /// It is over.
    Resolved,
}

impl Change {
    /// In one word, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worsened => "worsened",
            Self::Resolved => "resolved",
        }
    }
}
