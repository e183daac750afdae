//! Values outside the sensor's own bounds.

use serde::{Deserialize, Serialize};

use super::{Context, Detector, Finding};
use crate::{Kinds, MAX_SCORE};

/// Learns nothing: the bounds come with the sensor. Both ends are allowed. Every number of a vector counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bounds;

impl Detector for Bounds {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let Some(bounds) = context.sensor.bounds() else {
            return Finding::default();
        };
        let mut kinds = Kinds::NONE;
        let mut excess = 0f64;
        for number in numbers {
            if *number < bounds.lowest {
                kinds |= Kinds::BELOW;
                excess = excess.max(bounds.lowest - number);
            }
            if *number > bounds.highest {
                kinds |= Kinds::ABOVE;
                excess = excess.max(number - bounds.highest);
            }
        }
        if kinds.is_empty() {
            return Finding::default();
        }
        // One width outside scores twice the threshold. Without a width, any excess gets the highest score.
        let severity = 1.0 + excess / (bounds.highest - bounds.lowest).max(f64::MIN_POSITIVE);
        Finding {
            score: (context.settings.threshold.get() * severity).min(MAX_SCORE),
            ..Finding::certain(kinds, context.settings, Some((bounds.lowest, bounds.highest)))
        }
    }
}
