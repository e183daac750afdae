//! A value on a logarithmic scale of its sensor's own: ten times as much is equally far at any height.

use serde::{Deserialize, Serialize};

/// Below this fraction of the mean magnitude the scale is linear, as 0 has no logarithm.
const LINEAR: f64 = 0.01;

/// The mean magnitude of all values: the scale has no unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    seen: u32,
    magnitude: f64,
}

impl Ratio {
    /// The value on that scale, with its sign.
    pub fn of(&mut self, value: f64) -> f64 {
        self.seen = self.seen.saturating_add(1);
        self.magnitude += (value.abs() - self.magnitude) / f64::from(self.seen);
        if value == 0.0 {
            return 0.0;
        }
        // Not by the C library of the machine: state must be the same everywhere.
        libm::log1p(value.abs() / (self.magnitude * LINEAR)).copysign(value)
    }
}
