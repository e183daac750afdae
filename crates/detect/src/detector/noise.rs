//! The noise is far stronger than it ever was: innovations of the last readings against those of long.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;

/// The noise of now is that of about so many readings, the usual one of so many.
const NOW: f64 = 32.0;
const USUAL: f64 = 4096.0;
/// So many readings are learnt before noise is judged.
const WARM_UP: u32 = 1000;
/// Averages have light tails.
const HEAVIEST: f64 = 0.25;
/// Less than so many times the usual noise is never told.
const LEAST: f64 = 3.0;

/// The mean distance from what was foretold, lately and usually.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noise {
    now: f64,
    usual: f64,
    seen: u32,
    peaks: PeaksOverThreshold,
    strong: bool,
}

impl Noise {
    /// Takes in a distance; while noise is strong, whether to tell it.
    pub fn judge(&mut self, distance: f64, usual: i64, factor: f64) -> Option<bool> {
        if self.seen == 0 {
            self.now = distance;
        }
        self.now += (distance - self.now) / NOW;
        let ratio = self.ratio();
        self.peaks.count();
        if !self.peaks.high(ratio) || ratio < LEAST || !self.peaks.knows(WARM_UP) {
            self.strong = false;
            return None;
        }
        let limit = self.peaks.limit(usual, HEAVIEST).max(LEAST) * factor;
        let tell = ratio > limit && !self.strong;
        if tell && !self.peaks.odd(ratio, usual) {
            return None;
        }
        self.strong |= tell;
        self.strong.then_some(tell)
    }

    /// Learns a distance with which nothing was wrong.
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
