//! What judges a reading. Each detector knows one sensor and one kind of fault; all of them judge every reading.

use serde::{Deserialize, Serialize};
use wire::Sensor;

use crate::{Kinds, Settings};

mod bounds;
mod drift;
mod jump;
mod median_interval;
mod noise;
mod peaks_over_threshold;
mod predictor;
mod score;
mod season;
mod signal;
mod silence;
mod stuck;
mod zero;

pub(crate) use self::median_interval::MedianInterval;
pub(crate) use self::silence::Silence;

/// An incident opens at the threshold; a score of this fraction of it keeps it open.
pub(crate) const HOLD: f64 = 0.5;

/// The circumstances of a reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub sensor: &'a Sensor,
    pub settings: &'a Settings,
    /// Event time, µs.
    pub time: i64,
    /// Event time since the sensor's previous reading, µs, above 0; `None` at the first.
    pub step: Option<i64>,
    /// The median time between its readings, µs; `None` at the first.
    pub usual: Option<i64>,
    /// Time since the previous reading by the partition's clock, µs; `None` at the first.
    pub age: Option<i64>,
    /// Something is wrong with the signal: nothing normal can be learnt from it.
    pub wrong: bool,
}

/// What a detector finds in a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Finding {
    /// Anomaly score; at the threshold or above, the reading is an anomaly.
    pub score: f64,
    /// What is wrong; empty below the threshold.
    pub kinds: Kinds,
    /// The expected range, if known.
    pub expected: Option<(f64, f64)>,
}

/// Judges the readings of one sensor, one after another, and learns from them.
pub(crate) trait Detector {
    /// Judges the next reading by the ones before it, then learns from it. Numbers are finite; there is at least one.
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding;
}

/// All detectors of one sensor, with what they have learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detectors {
    pub interval: MedianInterval,
    bounds: bounds::Bounds,
    signal: signal::Signal,
    stuck: stuck::Stuck,
    pub silence: Silence,
    score: score::Score,
}

impl Finding {
    /// A certain finding: an anomaly at any threshold. How novel it is, the score says.
    fn certain(kinds: Kinds, settings: &Settings, expected: Option<(f64, f64)>) -> Self {
        Self {
            score: settings.threshold.get(),
            kinds,
            expected: expected.map(|(lowest, highest)| (finite(lowest), finite(highest))),
        }
    }

    /// A reported fault goes on: nothing new, but no quiet either.
    fn held(settings: &Settings) -> Self {
        Self {
            score: settings.threshold.get() * HOLD,
            ..Self::default()
        }
    }

    /// Combines the findings of several detectors about one reading.
    fn join(&mut self, other: Self) {
        self.kinds |= other.kinds;
        if other.score > self.score || self.expected.is_none() {
            self.expected = other.expected.or(self.expected);
        }
        self.score = self.score.max(other.score);
    }
}

impl Detector for Detectors {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let mut all = self.bounds.observe(context, numbers);
        all.join(self.score.zero().limited(self.signal.observe(context, numbers)));
        let context = &Context {
            wrong: self.signal.wrong(),
            ..*context
        };
        all.join(self.stuck.observe(context, numbers));
        all.join(self.silence.observe(context, numbers));
        all.join(self.score.observe(context, numbers));
        all
    }
}

/// The nearest finite number.
fn finite(number: f64) -> f64 {
    number.clamp(f64::MIN, f64::MAX)
}
