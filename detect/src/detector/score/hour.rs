//! The value as the same hour of earlier days foretells it.

use serde::{Deserialize, Serialize};

use super::Sight;
use super::surprise::{Bar, Surprise};

const HOUR: i64 = 3_600_000_000;
/// So many days are seen of an hour before it foretells anything.
const WARM_UP: u8 = 2;
/// The level of an hour is that of about so many days.
const MEMORY: u8 = 7;
const BAR: Bar = Bar {
    floor: 6.0,
    memory: 10_000.0,
};

/// A level for each hour of the day (UTC), moved once that hour is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hour {
    levels: [f64; 24],
    days: [u8; 24],
    /// The hour that is running: hours since the epoch, and the mean of its readings.
    hour: i64,
    mean: f64,
    readings: u32,
    surprise: Surprise,
}

impl Hour {
    pub fn look(&mut self, time: i64, number: f64) -> Sight {
        let hour = time.div_euclid(HOUR);
        if hour != self.hour {
            self.close();
            (self.hour, self.mean, self.readings) = (hour, 0.0, 0);
        }
        self.readings = self.readings.saturating_add(1);
        self.mean += (number - self.mean) / f64::from(self.readings);
        let Some(foretold) = self.foretell(time) else {
            return Sight::default();
        };
        let limit = self.surprise.limit(BAR);
        Sight {
            part: self.surprise.part((number - foretold).abs(), BAR),
            expected: (limit > 0.0).then_some((foretold - limit, foretold + limit)),
        }
    }

    /// The running hour is over: its level moves towards the mean of its readings, no further than the limit.
    fn close(&mut self) {
        if self.readings == 0 {
            return;
        }
        let at = self.hour.rem_euclid(24) as usize;
        self.days[at] = (self.days[at] + 1).min(MEMORY);
        let mut step = self.mean - self.levels[at];
        let limit = self.surprise.limit(BAR);
        if limit > 0.0 {
            step = step.clamp(-limit, limit);
        }
        self.levels[at] += step / f64::from(self.days[at]);
    }

    /// Between the middles of the two nearest hours, in proportion.
    fn foretell(&self, time: i64) -> Option<f64> {
        let shifted = time.saturating_sub(HOUR / 2);
        let earlier = shifted.div_euclid(HOUR).rem_euclid(24) as usize;
        let later = (earlier + 1) % 24;
        let part = shifted.rem_euclid(HOUR) as f64 / HOUR as f64;
        let known = self.days[earlier] >= WARM_UP && self.days[later] >= WARM_UP;
        known.then(|| self.levels[earlier] * (1.0 - part) + self.levels[later] * part)
    }
}
