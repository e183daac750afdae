//! The median time between a sensor's readings.

use serde::{Deserialize, Serialize};

/// A median tracked in steps of a sixteenth, µs of event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MedianInterval(i64);

impl MedianInterval {
    /// The median interval so far, then learns from this one. `None` before the second reading.
    pub fn follow(&mut self, step: Option<i64>) -> Option<i64> {
        let step = step?;
        if self.0 == 0 {
            self.0 = step;
        }
        let usual = self.0;
        let part = usual / 16 + 1;
        self.0 = usual.saturating_add((step - usual).clamp(-part, part)).max(1);
        Some(usual)
    }

    /// The median interval so far, at least 1 µs.
    pub fn usual(&self) -> i64 {
        self.0.max(1)
    }
}
