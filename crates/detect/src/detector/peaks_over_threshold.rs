//! The limit that distances exceed by chance only [`PER_WEEK`] times a week: peaks over a threshold, extrapolated.
//!
//! The threshold follows the distances so that it is crossed from below once in [`RARE`] readings. Of each excursion
//! above it only the highest point counts, so neighbours need not be independent (the runs method: Coles, An
//! Introduction to Statistical Modeling of Extreme Values, 2001, 5.3). The first two logarithmic moments of the peaks
//! give the shape of the tail (Dekkers, Einmahl and de Haan, Annals of Statistics 17, 1989), and the shape gives the
//! limit.

use serde::{Deserialize, Serialize};

/// Readings per excursion above the threshold.
const RARE: f64 = 256.0;
/// How often a week the limit may be exceeded with nothing wrong.
const PER_WEEK: f64 = 0.1;
/// A week in µs.
const WEEK: f64 = 7.0 * 86_400e6;
/// Distances that set the first threshold.
const WARM_UP: u32 = 128;
/// The first threshold, in mean distances.
const FIRST: f64 = 2.5;
/// Readings during which the threshold moves faster.
const SETTLING: u32 = 2048;
/// The fraction by which an excursion raises the threshold, at first and later.
const STEPS: (f64, f64) = (0.25, 0.05);
/// Prior: the moments of a normal distribution's peaks, and how many peaks they count as.
const PRIOR: (f32, f32, f32) = (0.12, 0.0265, 32.0);
/// The tail is that of about this many recent peaks.
const MEMORY: f32 = 256.0;
/// With this many peaks, a tail may be half as heavy as the heaviest.
const SURE: f64 = 64.0;
/// The most a peak counts, as the logarithm of its ratio to the threshold: one fault must not hide the next.
const FURTHEST: f32 = 1.0;
/// The lowest limit, in thresholds.
const CLOSEST: f64 = 2.0;
/// Recurrence suppression: after this many exceedances within this many readings, or within this time (µs), only one
/// that exceeds the second largest of them by this factor is still reported.
const RECURRENCES: usize = 3;
const RECURRENCE_READINGS: u32 = 512;
const RECURRENCE_TIME: f64 = 2.0 * 3600e6;
const UNSUPPRESSED: f64 = 1.2;
/// Exceedances closer together than this many readings are one.
const APART: u32 = 32;

/// The threshold and the tail above it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PeaksOverThreshold {
    threshold: f64,
    /// The highest point of the current excursion; 0 without one.
    peak: f64,
    mean: f32,
    square: f32,
    peaks: u16,
    seen: u32,
    /// Readings so far, learnt or not.
    readings: u32,
    /// The latest exceedances of the limit: at which reading, how far.
    exceedances: [(u32, f32); RECURRENCES],
}

impl Default for PeaksOverThreshold {
    fn default() -> Self {
        Self {
            threshold: 0.0,
            peak: 0.0,
            mean: PRIOR.0,
            square: PRIOR.1,
            peaks: 0,
            seen: 0,
            readings: 0,
            exceedances: [(0, 0.0); RECURRENCES],
        }
    }
}

impl PeaksOverThreshold {
    /// True once this many distances were learnt.
    pub fn is_warm(&self, readings: u32) -> bool {
        self.seen >= readings && self.threshold > 0.0
    }

    /// The distance that is exceeded once in [`RARE`] readings.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Counts a reading, learnt or not.
    pub fn count(&mut self) {
        self.readings = self.readings.saturating_add(1);
    }

    /// False if a distance is certainly within the limit: cheaper than computing it.
    pub fn may_exceed(&self, distance: f64) -> bool {
        distance > self.threshold * CLOSEST
    }

    /// Notes an exceedance of the limit; false if it recurs and is suppressed. Recurrence raises the threshold.
    pub fn exceeded(&mut self, distance: f64, usual: i64) -> bool {
        let window = (RECURRENCE_TIME / usual as f64).max(f64::from(RECURRENCE_READINGS));
        let recurs = self
            .exceedances
            .iter()
            .all(|(at, far)| *far > 0.0 && f64::from(self.readings.saturating_sub(*at)) <= window);
        let mut sizes = self.exceedances.map(|(_, far)| far);
        sizes.sort_unstable_by(f32::total_cmp);
        let report = !recurs || distance > f64::from(sizes[RECURRENCES - 2]) * UNSUPPRESSED;
        let last = &mut self.exceedances[RECURRENCES - 1];
        if last.1 > 0.0 && self.readings.saturating_sub(last.0) < APART {
            *last = (self.readings, last.1.max(distance as f32));
        } else {
            self.exceedances.rotate_left(1);
            self.exceedances[RECURRENCES - 1] = (self.readings, distance as f32);
        }
        if !report {
            self.threshold *= 1.0 + STEPS.0;
        }
        report
    }

    /// The latest exceedance goes on.
    pub fn still_exceeded(&mut self) {
        let last = &mut self.exceedances[RECURRENCES - 1];
        if self.readings.saturating_sub(last.0) < APART {
            last.0 = self.readings;
        }
    }

    /// The limit, at one reading per `usual` µs. `heaviest` bounds the shape of the tail (0: exponential, 0.5: infinite
    /// variance).
    pub fn limit(&self, usual: i64, heaviest: f64) -> f64 {
        let excursions = (WEEK / usual as f64 / RARE / PER_WEEK).max(1.0);
        let (mean, square) = (f64::from(self.mean), f64::from(self.square));
        let shape = mean + 1.0 - 0.5 / (1.0 - mean * mean / square).max(0.01);
        // A few peaks cannot distinguish a heavy tail from a fault.
        let sure = f64::from(self.peaks) / (f64::from(self.peaks) + SURE);
        let shape = shape.clamp(0.0, heaviest * sure);
        let growth = if shape < 1e-3 {
            libm::log(excursions)
        } else {
            (libm::pow(excursions, shape) - 1.0) / shape
        };
        self.threshold * (1.0 + mean * growth).max(CLOSEST)
    }

    /// Learns a distance with little or nothing wrong.
    pub fn learn(&mut self, distance: f64) {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= WARM_UP {
            self.threshold += (distance * FIRST - self.threshold) / f64::from(self.seen);
            return;
        }
        let step = if self.seen < SETTLING { STEPS.0 } else { STEPS.1 };
        if self.peak == 0.0 {
            self.threshold *= 1.0 - step / RARE;
        }
        if distance > self.threshold {
            self.peak = self.peak.max(distance);
        } else if self.peak > 0.0 {
            let excess = (libm::log(self.peak / self.threshold) as f32).clamp(0.0, FURTHEST);
            self.peak = 0.0;
            self.threshold *= 1.0 + step;
            self.peaks = self.peaks.saturating_add(1);
            let memory = (f32::from(self.peaks) + PRIOR.2).min(MEMORY);
            self.mean += (excess - self.mean) / memory;
            self.square += (excess * excess - self.square) / memory;
        }
    }
}
