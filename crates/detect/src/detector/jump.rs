//! A value much further from what the last ones foretell than it ever goes by chance: a spike, or the edge of a shift.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;

/// So many changes are learnt before one is judged.
const WARM_UP: u32 = 300;
/// From so many on, what is far is not believed, but not told either: it may be a habit.
const LEARNT: u32 = 150;
/// Innovations may have heavy tails.
const HEAVIEST: f64 = 0.5;
/// What was told fades by this part with every reading; what is no worse is not told again.
const FADE: f64 = 1.0 / 64.0;
/// No distance is more limits than so many.
const LARGEST: f64 = 1e9;
/// Neighbours of a jump lie within so many limits of each other.
const NEAR: f64 = 1.5;

/// The distance from what was foretold, and the one that was not believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Jump {
    peaks: PeaksOverThreshold,
    /// How far out the last ones were, in limits.
    told: f64,
    /// The last distance, with its sign, where it was above the bar: two on one side are a jump, however small.
    rare: f64,
    doubted: Option<f64>,
}

/// What is to be made of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is where it should be.
    Expected,
    /// It is too far out to be believed; whether to tell it.
    Outlier(bool),
    /// It is near the one that was not believed: the course has jumped.
    Shifted,
}

impl Jump {
    /// The largest distance that is usual.
    pub fn limit(&self, usual: i64) -> f64 {
        self.peaks.limit(usual, HEAVIEST)
    }

    /// Judges a value by what was foretold; `factor` limits are too far.
    pub fn judge(&mut self, number: f64, foretold: f64, usual: i64, factor: f64) -> Verdict {
        self.told *= 1.0 - FADE;
        self.peaks.count();
        let off = number - foretold;
        let distance = off.abs();
        let rare = if distance > self.peaks.bar() { off } else { 0.0 };
        let twice = self.rare * rare > 0.0;
        self.rare = rare;
        let known = self.peaks.knows(LEARNT);
        // The limit costs more than all the rest, so it is asked for where it may matter only.
        let high = known && self.peaks.high(distance);
        let limit = if high {
            self.limit(usual) * factor
        } else {
            f64::INFINITY
        };
        if distance <= limit {
            self.doubted = None;
            return if known && twice {
                Verdict::Shifted
            } else {
                Verdict::Expected
            };
        }
        let doubted = self.doubted.replace(number);
        if doubted.is_some_and(|doubted| (number - doubted).abs() <= limit * NEAR) {
            self.doubted = None;
            return Verdict::Shifted;
        }
        let part = (distance / limit).min(LARGEST);
        let worse = part > self.told;
        self.told = self.told.max(part);
        if !worse {
            self.peaks.again();
        } else if !self.peaks.odd(distance, usual) {
            self.doubted = None;
            return Verdict::Expected;
        }
        Verdict::Outlier(worse && self.peaks.knows(WARM_UP))
    }

    /// Learns a distance in which nothing is wrong.
    pub fn learn(&mut self, distance: f64) {
        self.peaks.learn(distance);
    }
}
