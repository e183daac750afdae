//! A value much further from the prediction than chance explains: a spike, or the edge of a shift.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;

/// Changes learnt before one is reported.
const WARM_UP: u32 = 300;
/// Changes learnt before an outlier is not accepted any more. Until [`WARM_UP`] it is not reported: it may recur.
const LEARNT: u32 = 150;
/// Prediction errors may have heavy tails.
const HEAVIEST: f64 = 0.5;
/// The size of the last reported outlier fades by this fraction per reading; only a larger one is reported.
const FADE: f64 = 1.0 / 64.0;
/// The largest distance, in limits.
const LARGEST: f64 = 1e9;
/// Two outliers within this many limits of each other are a shift.
const NEAR: f64 = 1.5;

/// The distances from the prediction, and the value that was not accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Jump {
    peaks: PeaksOverThreshold,
    /// Size of the last outliers, in limits, fading.
    reported: f64,
    /// The last signed distance if it was above the threshold: two on one side are a shift, however small.
    rare: f64,
    /// The last value that was not accepted.
    doubted: Option<f64>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Within the limit of the prediction.
    Expected,
    /// Too far out to be accepted; whether to report it.
    Outlier(bool),
    /// Near the value that was not accepted before: the signal has shifted.
    Shifted,
}

impl Jump {
    /// The largest distance that chance explains.
    pub fn limit(&self, usual: i64) -> f64 {
        self.peaks.limit(usual, HEAVIEST)
    }

    /// Judges a value by its prediction; more than `factor` limits away is too far.
    pub fn judge(&mut self, number: f64, predicted: f64, usual: i64, factor: f64) -> Verdict {
        self.reported *= 1.0 - FADE;
        self.peaks.count();
        let off = number - predicted;
        let distance = off.abs();
        let rare = if distance > self.peaks.threshold() { off } else { 0.0 };
        let twice = self.rare * rare > 0.0;
        self.rare = rare;
        let known = self.peaks.is_warm(LEARNT);
        // The limit costs more than all the rest, so it is computed only if it may matter.
        let high = known && self.peaks.may_exceed(distance);
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
        let worse = part > self.reported;
        self.reported = self.reported.max(part);
        if !worse {
            self.peaks.still_exceeded();
        } else if !self.peaks.exceeded(distance, usual) {
            self.doubted = None;
            return Verdict::Expected;
        }
        Verdict::Outlier(worse && self.peaks.is_warm(WARM_UP))
    }

    /// Learns a distance with nothing wrong.
    pub fn learn(&mut self, distance: f64) {
        self.peaks.learn(distance);
    }
}
