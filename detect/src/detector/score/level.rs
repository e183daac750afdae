//! The next value as the last one foretells it: an autoregression of order one about a slow level.

use serde::{Deserialize, Serialize};

use super::Sight;
use super::surprise::{Bar, Surprise};

/// The level and the moments are those of about so many readings.
const MEMORY: f64 = 1000.0;
const BAR: Bar = Bar {
    floor: 6.0,
    memory: 2000.0,
};

/// A slow level, the correlation of neighbours, and the last value as far as it was believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    seen: u32,
    level: f64,
    variance: f64,
    covariance: f64,
    believed: f64,
    raw: f64,
    surprise: Surprise,
}

impl Level {
    /// After a gap the value is believed as it is: the one before foretells nothing.
    pub fn look(&mut self, number: f64, gap: bool) -> Sight {
        if self.seen == 0 {
            self.level = number;
        }
        if self.seen == 0 || gap {
            (self.believed, self.raw) = (number, number);
        }
        let repeated = number == self.raw && self.seen > 0;
        self.raw = number;
        let correlation = if self.variance > 0.0 {
            (self.covariance / self.variance).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let foretold = self.level + correlation * (self.believed - self.level);
        let limit = self.surprise.limit(BAR);
        let residual = number - foretold;
        // A value that repeats tells nothing about how far the next may lie: a night of zeros must not narrow the day.
        let part = if repeated {
            0.0
        } else {
            self.surprise.part(residual.abs(), BAR)
        };
        let believed = if limit > 0.0 {
            foretold + residual.clamp(-limit, limit)
        } else {
            number
        };
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let (before, after) = (self.believed - self.level, believed - self.level);
        self.covariance += (before * after - self.covariance) / memory;
        self.variance += (before * before - self.variance) / memory;
        self.level += after / memory;
        self.believed = believed;
        Sight {
            part,
            expected: (limit > 0.0).then_some((foretold - limit, foretold + limit)),
        }
    }
}
