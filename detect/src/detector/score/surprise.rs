//! Whether a distance is large for the view it comes from: compared with the distances that view saw before.

use serde::{Deserialize, Serialize};

/// So many distances are learnt before one is judged.
const WARM_UP: u32 = 150;
/// The highest ratio fades by this part with every reading.
const FADE: f64 = 1.0 / 10_000.0;
/// An alert is so many times the highest ratio of the past.
const MARGIN: f64 = 1.03;
/// By how much the highest ratio may grow through one that was an alert.
const LEARN: f64 = 1.1;
/// No ratio is higher.
const LARGEST: f64 = 1e9;

/// How a view judges its distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// An alert is at least so many times the mean distance.
    pub floor: f64,
    /// The mean is that of about so many distances.
    pub memory: f64,
}

/// The usual size of a distance and the highest ratio to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Surprise {
    mean: f64,
    highest: f64,
    seen: u32,
}

impl Surprise {
    /// The mean distance.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The distance from which on it is an alert.
    pub fn limit(&self, bar: Bar) -> f64 {
        self.mean * bar.floor.max(self.highest * MARGIN)
    }

    /// A distance as part of the limit; 0 while it warms up. Then learns from it, the less the further out it is.
    pub fn part(&mut self, distance: f64, bar: Bar) -> f64 {
        let usual = self.mean;
        let ratio = if distance == 0.0 {
            0.0
        } else {
            (distance / usual).min(LARGEST)
        };
        let allowed = bar.floor.max(self.highest * MARGIN);
        let part = if self.seen < WARM_UP { 0.0 } else { ratio / allowed };
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(bar.memory);
        let learnt = if usual > 0.0 && self.seen > WARM_UP {
            distance.min(usual * allowed)
        } else {
            distance
        };
        self.mean += (learnt - self.mean) / memory;
        // Without a usual distance there is no ratio to learn from.
        if usual > 0.0 && self.seen > WARM_UP / 2 {
            let ratio = if part >= 1.0 {
                ratio.min(allowed / MARGIN * LEARN)
            } else {
                ratio
            };
            self.highest = ratio.max(self.highest * (1.0 - FADE));
        }
        part
    }
}
