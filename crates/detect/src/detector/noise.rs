//! Noise far stronger than ever: the latest prediction errors against those of a long time.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;

/// Readings that the current noise and the usual noise remember.
const NOW: f64 = 32.0;
const USUAL: f64 = 4096.0;
/// Readings learnt before noise is judged.
const WARM_UP: u32 = 1000;
/// Averages have light tails.
const HEAVIEST: f64 = 0.25;
/// The lowest ratio to the usual noise that is reported.
const LEAST: f64 = 3.0;

/// The mean distance from the prediction, lately and usually.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noise {
    now: f64,
    usual: f64,
    seen: u32,
    peaks: PeaksOverThreshold,
    strong: bool,
}

impl Noise {
    /// Takes in a distance. While noise is strong: whether to report it.
    pub fn judge(&mut self, distance: f64, usual: i64, factor: f64) -> Option<bool> {
        if self.seen == 0 {
            self.now = distance;
        }
        self.now += (distance - self.now) / NOW;
        let ratio = self.ratio();
        self.peaks.count();
        if !self.peaks.may_exceed(ratio) || ratio < LEAST || !self.peaks.is_warm(WARM_UP) {
            self.strong = false;
            return None;
        }
        let limit = self.peaks.limit(usual, HEAVIEST).max(LEAST) * factor;
        let report = ratio > limit && !self.strong;
        if report && !self.peaks.exceeded(ratio, usual) {
            return None;
        }
        self.strong |= report;
        self.strong.then_some(report)
    }

    /// Learns a distance with nothing wrong.
    pub fn learn(&mut self, distance: f64) {
        self.seen = self.seen.saturating_add(1);
        self.usual += (distance - self.usual) / f64::from(self.seen).min(USUAL);
        if f64::from(self.seen) > NOW {
            self.peaks.learn(self.ratio());
        }
    }

    fn ratio(&self) -> f64 {
        if self.usual > 0.0 { self.now / self.usual } else { 0.0 }
    }
}
