//! What a partition answers for each reading it folds.

use wire::{Reading, Timestamp};

use crate::Kinds;

/// What a fold found out about a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    /// Whether it moved the state.
    pub disposition: Disposition,
    /// Anomaly score: 2 is an alert, 0 was not judged.
    pub score: f64,
    /// The expected range, if known.
    pub expected: Option<(f64, f64)>,
    /// What is wrong with it.
    pub kinds: Kinds,
    /// Start of the incident that is open for the sensor after this reading.
    pub incident: Option<Timestamp>,
}

/// Whether a reading moved the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Newer than its sensor's last one.
    Fresh,
    /// Not newer than its sensor's last one: repeated or out of order. It moved nothing. An event is late if a window
    /// it belongs to is closed.
    Late,
    /// Its sensor is new and the partition is full, or there is no room for so long a vector. It moved nothing.
    Refused,
    /// An event: not judged by itself, but counted as the settings say.
    Event,
}

/// A reading derived from events, and what the fold found out about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// Of a derived sensor.
    pub reading: Reading,
    /// As for any other reading.
    pub folded: Folded,
}

impl Folded {
    pub(crate) fn unjudged(disposition: Disposition, incident: Option<Timestamp>) -> Self {
        Self {
            disposition,
            score: 0.0,
            expected: None,
            kinds: Kinds::NONE,
            incident,
        }
    }
}
