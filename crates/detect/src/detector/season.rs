//! The usual level of each hour of the day.

use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000_000;
/// Days that the level of an hour remembers.
const MEMORY: u8 = 7;

/// A level for each hour of the day (UTC), moved once that hour is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    levels: [f32; 24],
    days: [u8; 24],
    /// The current hour: hours since the epoch, and the mean of its readings.
    hour: i64,
    mean: f64,
    readings: u32,
}

impl Season {
    /// Takes in a value. An hour that ends moves its level by at most `most`.
    pub fn learn(&mut self, time: i64, number: f64, most: f64) {
        let hour = time.div_euclid(HOUR);
        if hour != self.hour {
            self.close(most);
            (self.hour, self.mean, self.readings) = (hour, 0.0, 0);
        }
        self.readings = self.readings.saturating_add(1);
        self.mean += (number - self.mean) / f64::from(self.readings);
    }

    /// The level at a time, interpolated between the middles of two hours; `None` if one of them was never seen.
    pub fn at(&self, time: i64) -> Option<f64> {
        let shifted = time.saturating_sub(HOUR / 2);
        let earlier = shifted.div_euclid(HOUR).rem_euclid(24) as usize;
        let later = (earlier + 1) % 24;
        let part = shifted.rem_euclid(HOUR) as f64 / HOUR as f64;
        let level = |at: usize| f64::from(self.levels[at]);
        (self.days[earlier] > 0 && self.days[later] > 0).then(|| level(earlier) * (1.0 - part) + level(later) * part)
    }

    /// True if every hour of the day was seen.
    pub fn whole(&self) -> bool {
        self.days.iter().all(|days| *days > 0)
    }

    fn close(&mut self, most: f64) {
        if self.readings == 0 {
            return;
        }
        let at = self.hour.rem_euclid(24) as usize;
        let first = self.days[at] == 0;
        self.days[at] = self.days[at].saturating_add(1).min(MEMORY);
        let step = self.mean - f64::from(self.levels[at]);
        let step = if first { step } else { step.clamp(-most, most) };
        let level = f64::from(self.levels[at]) + step / f64::from(self.days[at]);
        self.levels[at] = level.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    }
}
