//! How unlike its past a value is, without bounds: a streaming, causal novelty score, calibrated so that 2 is rare.
//!
//! Several views of the signal each measure a distance from what was to be expected; each distance is compared with its own
//! past. The highest counts, and it is an alert only as a peak: above all recent ones.

use serde::{Deserialize, Serialize};

use self::hour::Hour;
use self::level::Level;
use self::nearest::Nearest;
use self::norm::Norm;
use super::{Context, Detector, Finding, finite};
use crate::{Kinds, MAX_SCORE};

mod hour;
mod level;
mod nearest;
mod norm;
mod surprise;

/// An alert on the seeds' scale: what a view that is exactly at its limit scores.
const ALERT: f64 = 2.0;
/// Larger numbers count as this, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// The memory of recent peaks fades by this part with every reading.
const FADE: f64 = 1.0 / 64.0;
/// After so many times the usual interval, the last value foretells nothing.
const GAP: i64 = 5;
/// What is no peak scores at most this part of an alert.
const NO_PEAK: f64 = 0.95;

/// What one view sees.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    /// The distance as part of the limit: from 1 on it is an alert.
    part: f64,
    /// The values within the limit.
    expected: Option<(f64, f64)>,
}

/// The novelty of one sensor's values. A vector is judged by the norm of its standardised residuals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Score {
    norm: Norm,
    level: Level,
    hour: Hour,
    nearest: Nearest,
    /// The highest part of recent readings, fading.
    peak: f64,
}

impl Detector for Score {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let number = match numbers {
            [number] => number.clamp(-LARGEST, LARGEST),
            _ => self.norm.of(numbers),
        };
        let gap = context.step > context.usual.map(|usual| usual.saturating_mul(GAP));
        let [next, away] = self.level.look(number, gap);
        let views = [
            next,
            away,
            self.hour.look(context.time, number),
            self.nearest.look(number, self.level.noise()),
        ];
        let mut highest = views[0];
        for view in views {
            if view.part > highest.part {
                highest = view;
            }
        }
        let peak = highest.part > self.peak;
        self.peak = highest.part.max(self.peak * (1.0 - FADE));
        let part = if peak { highest.part } else { highest.part.min(NO_PEAK) };
        let score = (part * ALERT).min(MAX_SCORE);
        let kinds = if score >= context.settings.threshold.get() {
            Kinds::NOVEL
        } else {
            Kinds::NONE
        };
        let expected = highest.expected.filter(|_| numbers.len() == 1);
        Finding {
            score,
            kinds,
            expected: expected.map(|(lowest, highest)| (finite(lowest), finite(highest))),
        }
    }
}
