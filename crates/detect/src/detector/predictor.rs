//! Predicts the next value: an autoregression of order one about a slow level.

use serde::{Deserialize, Serialize};

/// Readings that the moments remember. The level remembers far fewer: it must not lag behind a drift.
const MEMORY: f64 = 1000.0;
const LEVEL: f64 = 128.0;
/// Readings within which the level is learnt anew after a shift.
const RELEARN: u32 = 64;

/// A slow level, the correlation of neighbours, and the last accepted value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ar1Predictor {
    seen: u32,
    level: f64,
    variance: f64,
    covariance: f64,
    accepted: f64,
}

impl Ar1Predictor {
    /// The expected next value.
    pub fn predicted(&self) -> f64 {
        let correlation = if self.variance > 0.0 {
            (self.covariance / self.variance).clamp(0.0, 1.0)
        } else {
            1.0
        };
        self.level + correlation * (self.accepted - self.level)
    }

    /// Restarts at a value: the first one, or the first after a gap.
    pub fn restart(&mut self, number: f64) {
        if self.seen == 0 {
            self.level = number;
            self.seen = 1;
        }
        self.accepted = number;
    }

    /// Learns an expected value.
    pub fn learn(&mut self, number: f64) {
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let (before, after) = (self.accepted - self.level, number - self.level);
        self.covariance += (before * after - self.covariance) / memory;
        self.variance += (before * before - self.variance) / memory;
        self.level += after / memory.min(LEVEL);
        self.accepted = number;
    }

    /// The signal has shifted: continues from here, at the predicted distance from the level.
    pub fn shift(&mut self, number: f64) {
        self.level += number - self.predicted();
        self.accepted = number;
        self.seen = self.seen.min(RELEARN);
    }

    /// The level has drifted away or come back: it is learnt anew.
    pub fn relearn_level(&mut self) {
        self.seen = self.seen.min(RELEARN);
    }

    /// Ignores a value: continues as if the predicted one had come.
    pub fn skip(&mut self) {
        self.accepted = self.predicted();
    }
}
