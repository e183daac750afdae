//! What a partition says of each reading it folds.

use wire::{Reading, Timestamp};

use crate::Kinds;

/// What a fold found out about a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    /// Whether it moved the state.
    pub disposition: Disposition,
    /// On the seeds' scale, where 2 is an alert; 0 where it was not judged.
    pub score: f64,
    /// The lowest and the highest value that would have been usual, where the detector knows.
    pub expected: Option<(f64, f64)>,
    /// What is wrong with it.
    pub kinds: Kinds,
    /// When the incident began that is open for the sensor after this reading.
    pub incident: Option<Timestamp>,
}

/// Whether a reading moved the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Newer than all its sensor said before.
    Fresh,
    /// Not newer than its sensor's last one: repeated or out of order. It moved nothing. Of an event: a window it belongs
    /// to is closed.
    Late,
    /// Its sensor is new and the partition full, or it is a longer vector than there is room for. It moved nothing.
    Refused,
    /// An event: nothing to judge by itself, but counted wherever settings want it.
    Event,
}

/// A reading that follows from events, and what the fold found out about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// Of a derived sensor.
    pub reading: Reading,
    /// As of any other reading.
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
