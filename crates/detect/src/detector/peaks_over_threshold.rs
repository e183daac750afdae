//! How far a distance goes by chance: peaks over a threshold, extrapolated to once in so many weeks.
//!
//! A bar that is crossed from below once in [`RARE`] readings follows the distances; of each excursion above it the highest
//! point counts once, so that neighbours need not be independent (the runs method: Coles, An Introduction to Statistical
//! Modeling of Extreme Values, 2001, 5.3). How far the peaks exceed the bar gives the shape of the tail by its first two
//! logarithmic moments (Dekkers, Einmahl and de Haan, Annals of Statistics 17, 1989), and the shape the limit that is
//! exceeded [`PER_WEEK`] times a week.

use serde::{Deserialize, Serialize};

/// An excursion above the bar begins once in so many readings.
const RARE: f64 = 256.0;
/// So often a week a limit may be exceeded with nothing wrong.
const PER_WEEK: f64 = 0.1;
/// A week in µs.
const WEEK: f64 = 7.0 * 86_400e6;
/// So many distances give the first bar.
const WARM_UP: u32 = 128;
/// The first bar is so many times the mean distance.
const FIRST: f64 = 2.5;
/// For so many readings the bar moves faster.
const SETTLING: u32 = 2048;
/// By what part an excursion raises the bar, at first and later.
const STEPS: (f64, f64) = (0.25, 0.05);
/// Before there were peaks, those of about a normal distribution are believed, as if there had been so many.
const PRIOR: (f32, f32, f32) = (0.12, 0.0265, 32.0);
/// The tail is that of about so many peaks.
const MEMORY: f32 = 256.0;
/// With so many peaks a tail may be half as heavy as it can be.
const SURE: f64 = 64.0;
/// No peak counts for more than so many times the bar (as a logarithm): one fault must not hide the next.
const FURTHEST: f32 = 1.0;
/// No limit is closer to the bar than so many times.
const CLOSEST: f64 = 2.0;
/// What goes beyond the limit so many times within so many readings, or within so long (µs), is a habit, not a fault: then only
/// what goes beyond the furthest but one by this part is.
const HABIT: usize = 3;
const HABIT_READINGS: u32 = 512;
const HABIT_TIME: f64 = 2.0 * 3600e6;
const BEYOND: f64 = 1.2;
/// Closer together than so many readings they are one.
const APART: u32 = 32;

/// The bar and the tail above it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PeaksOverThreshold {
    bar: f64,
    /// The highest point of the excursion that goes on; 0 without one.
    peak: f64,
    mean: f32,
    square: f32,
    peaks: u16,
    seen: u32,
    /// Readings so far, learnt or not.
    readings: u32,
    /// The latest that went beyond the limit: at which reading, how far.
    beyond: [(u32, f32); HABIT],
}

impl Default for PeaksOverThreshold {
    fn default() -> Self {
        Self {
            bar: 0.0,
            peak: 0.0,
            mean: PRIOR.0,
            square: PRIOR.1,
            peaks: 0,
            seen: 0,
            readings: 0,
            beyond: [(0, 0.0); HABIT],
        }
    }
}

impl PeaksOverThreshold {
    /// True once so many distances were learnt.
    pub fn knows(&self, readings: u32) -> bool {
        self.seen >= readings && self.bar > 0.0
    }

    /// The distance that is exceeded once in so many readings.
    pub fn bar(&self) -> f64 {
        self.bar
    }

    /// Counts a reading, learnt or not.
    pub fn count(&mut self) {
        self.readings = self.readings.saturating_add(1);
    }

    /// True where a distance is worth asking for the limit.
    pub fn high(&self, distance: f64) -> bool {
        distance > self.bar * CLOSEST
    }

    /// Notes what went beyond the limit; true where that is no habit. A habit raises the bar.
    pub fn odd(&mut self, distance: f64, usual: i64) -> bool {
        let window = (HABIT_TIME / usual as f64).max(f64::from(HABIT_READINGS));
        let habit = self
            .beyond
            .iter()
            .all(|(at, far)| *far > 0.0 && f64::from(self.readings.saturating_sub(*at)) <= window);
        let mut sizes = self.beyond.map(|(_, far)| far);
        sizes.sort_unstable_by(f32::total_cmp);
        let odd = !habit || distance > f64::from(sizes[HABIT - 2]) * BEYOND;
        let last = &mut self.beyond[HABIT - 1];
        if last.1 > 0.0 && self.readings.saturating_sub(last.0) < APART {
            *last = (self.readings, last.1.max(distance as f32));
        } else {
            self.beyond.rotate_left(1);
            self.beyond[HABIT - 1] = (self.readings, distance as f32);
        }
        if !odd {
            self.bar *= 1.0 + STEPS.0;
        }
        odd
    }

    /// What went beyond the limit still does.
    pub fn again(&mut self) {
        let last = &mut self.beyond[HABIT - 1];
        if self.readings.saturating_sub(last.0) < APART {
            last.0 = self.readings;
        }
    }

    /// What a distance exceeds by chance [`PER_WEEK`] times a week, at a reading each `usual` µs; `heaviest` is the heaviest
    /// tail that such distances can have (0: exponential, 0.5: infinite variance).
    pub fn limit(&self, usual: i64, heaviest: f64) -> f64 {
        let excursions = (WEEK / usual as f64 / RARE / PER_WEEK).max(1.0);
        let (mean, square) = (f64::from(self.mean), f64::from(self.square));
        let shape = mean + 1.0 - 0.5 / (1.0 - mean * mean / square).max(0.01);
        // A few peaks cannot tell a heavy tail from a fault.
        let sure = f64::from(self.peaks) / (f64::from(self.peaks) + SURE);
        let shape = shape.clamp(0.0, heaviest * sure);
        let growth = if shape < 1e-3 {
            libm::log(excursions)
        } else {
            (libm::pow(excursions, shape) - 1.0) / shape
        };
        self.bar * (1.0 + mean * growth).max(CLOSEST)
    }

    /// Learns a distance in which nothing is wrong, or not much.
    pub fn learn(&mut self, distance: f64) {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= WARM_UP {
            self.bar += (distance * FIRST - self.bar) / f64::from(self.seen);
            return;
        }
        let step = if self.seen < SETTLING { STEPS.0 } else { STEPS.1 };
        if self.peak == 0.0 {
            self.bar *= 1.0 - step / RARE;
        }
        if distance > self.bar {
            self.peak = self.peak.max(distance);
        } else if self.peak > 0.0 {
            let excess = (libm::log(self.peak / self.bar) as f32).clamp(0.0, FURTHEST);
            self.peak = 0.0;
            self.bar *= 1.0 + step;
            self.peaks = self.peaks.saturating_add(1);
            let memory = (f32::from(self.peaks) + PRIOR.2).min(MEMORY);
            self.mean += (excess - self.mean) / memory;
            self.square += (excess * excess - self.square) / memory;
        }
    }
}
