//! Two views of one model, an autoregression of order one about a slow level: how far a value lies from what the last one
//! foretells, and how far from the level.

use serde::{Deserialize, Serialize};

use super::Sight;
use super::surprise::{Bar, Surprise};

/// The level and the moments are those of about so many readings.
const MEMORY: f64 = 1000.0;
const NEXT: Bar = Bar {
    floor: 6.0,
    memory: 2000.0,
};
/// A memory far longer than the level's: a drift must not move its own limit along.
const AWAY: Bar = Bar {
    floor: 6.0,
    memory: 10_000.0,
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
    next: Surprise,
    away: Surprise,
}

impl Level {
    /// The distances from what the last value foretells, and from the level. After a gap the value is believed as it is:
    /// the one before foretells nothing.
    pub fn look(&mut self, number: f64, gap: bool) -> [Sight; 2] {
        if self.seen == 0 {
            self.level = number;
        }
        if self.seen == 0 || gap {
            (self.believed, self.raw) = (number, number);
        }
        // A value that repeats tells nothing about how far the next may lie: a night of zeros must not narrow the day.
        let repeated = number == self.raw;
        self.raw = number;
        let correlation = if self.variance > 0.0 {
            (self.covariance / self.variance).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let foretold = self.level + correlation * (self.believed - self.level);
        let limit = self.next.limit(NEXT);
        let sights = [
            Self::sight(&mut self.next, NEXT, foretold, number, repeated),
            Self::sight(&mut self.away, AWAY, self.level, number, repeated),
        ];
        self.follow(if limit > 0.0 {
            number.clamp(foretold - limit, foretold + limit)
        } else {
            number
        });
        sights
    }

    /// The mean distance of a value from what the last one foretells.
    pub fn noise(&self) -> f64 {
        self.next.mean()
    }

    fn sight(surprise: &mut Surprise, bar: Bar, centre: f64, number: f64, repeated: bool) -> Sight {
        let limit = surprise.limit(bar);
        Sight {
            part: if repeated {
                0.0
            } else {
                surprise.part((number - centre).abs(), bar)
            },
            expected: (limit > 0.0).then_some((centre - limit, centre + limit)),
        }
    }

    fn follow(&mut self, believed: f64) {
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let (before, after) = (self.believed - self.level, believed - self.level);
        self.covariance += (before * after - self.covariance) / memory;
        self.variance += (before * before - self.variance) / memory;
        self.level += after / memory;
        self.believed = believed;
    }
}
