//! What the next value should be: an autoregression of order one about a slow level.

use serde::{Deserialize, Serialize};

/// Moments are those of about so many readings, the level that of far fewer: it must not lag behind a drift.
const MEMORY: f64 = 1000.0;
const LEVEL: f64 = 128.0;
/// After a jump the level is found anew within about so many readings.
const ANEW: u32 = 64;

/// A slow level, the correlation of neighbours, and the last value that was believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ar1Predictor {
    seen: u32,
    level: f64,
    variance: f64,
    covariance: f64,
    believed: f64,
}

impl Ar1Predictor {
    /// The next value, as far as it can be known.
    pub fn foretold(&self) -> f64 {
        let correlation = if self.variance > 0.0 {
            (self.covariance / self.variance).clamp(0.0, 1.0)
        } else {
            1.0
        };
        self.level + correlation * (self.believed - self.level)
    }

    /// Begins here, without knowing how it came here: the first value, and the first after a gap.
    pub fn begin(&mut self, number: f64) {
        if self.seen == 0 {
            self.level = number;
            self.seen = 1;
        }
        self.believed = number;
    }

    /// Learns a value that was to be expected.
    pub fn follow(&mut self, number: f64) {
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let (before, after) = (self.believed - self.level, number - self.level);
        self.covariance += (before * after - self.covariance) / memory;
        self.variance += (before * before - self.variance) / memory;
        self.level += after / memory.min(LEVEL);
        self.believed = number;
    }

    /// The course goes on from here, as far from its level as it was foretold.
    pub fn jump(&mut self, number: f64) {
        self.level += number - self.foretold();
        self.believed = number;
        self.seen = self.seen.min(ANEW);
    }

    /// The level has left its course or come back to it: it is found anew.
    pub fn loosen(&mut self) {
        self.seen = self.seen.min(ANEW);
    }

    /// A value that is not believed: it goes on as if the foretold one had come.
    pub fn pass(&mut self) {
        self.believed = self.foretold();
    }
}
