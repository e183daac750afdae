//! Changes far faster than the sensor ever made.

use serde::{Deserialize, Serialize};

use super::{Context, Detector, Finding};
use crate::Kinds;

/// So many changes are learnt before one is judged.
const WARM_UP: u16 = 100;
/// The fastest change fades by this part with every reading.
const FADE: f64 = 1.0 / 4096.0;
/// By how much the fastest change may grow through one that was an anomaly.
const LEARN: f64 = 1.5;

/// The fastest change of one number, in its unit per second. Vectors are left to the score.
///
/// A change between readings closer together than usual counts as if it took the usual time: noise does not shrink with
/// the interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    previous: Option<f64>,
    fastest: f64,
    changes: u16,
}

impl Detector for Rate {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let &[number] = numbers else {
            *self = Self::default();
            return Finding::default();
        };
        let (Some(previous), Some(step), Some(usual)) = (self.previous.replace(number), context.step, context.usual)
        else {
            return Finding::default();
        };
        let seconds = step.max(usual) as f64 / 1e6;
        let rate = ((number - previous) / seconds).abs().min(f64::MAX);
        if rate == 0.0 {
            return Finding::default();
        }
        let limit = self.fastest * context.settings.rate.get();
        if self.changes < WARM_UP || rate <= limit {
            self.changes = self.changes.saturating_add(1);
            self.fastest = rate.max(self.fastest * (1.0 - FADE));
            return Finding::default();
        }
        self.fastest = rate.min(self.fastest * LEARN);
        let reach = limit * seconds;
        Finding::certain(
            Kinds::RATE,
            context.settings,
            rate / limit,
            Some((previous - reach, previous + reach)),
        )
    }
}
