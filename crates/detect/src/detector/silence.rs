//! How long a sensor may be silent, learnt from its earlier intervals. It is checked as time passes, not when a reading
//! arrives; the partition keeps the deadline.

use serde::{Deserialize, Serialize};

use super::{Context, Detector, Finding};
use crate::Settings;

/// Intervals learnt before silence is judged.
const WARM_UP: u16 = 16;
/// The longest interval fades by one part in this many with every reading.
const FADE: i64 = 256;

/// The longest interval between readings, by the partition's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Silence {
    longest: i64,
    intervals: u16,
    /// Set while the sensor has been silent for too long.
    pub broken: bool,
}

impl Silence {
    /// The longest silence allowed, µs of the partition's clock; `None` while too little is known.
    pub fn allowed(&self, settings: &Settings) -> Option<i64> {
        (self.intervals >= WARM_UP && !self.broken).then(|| {
            // A float too large for i64 becomes the largest one.
            let allowed = (self.longest as f64 * settings.silence.get()) as i64;
            allowed.max(settings.silence_minimum.as_micros())
        })
    }

    /// The longest usual interval, µs of the partition's clock.
    pub fn longest(&self) -> i64 {
        self.longest
    }
}

impl Detector for Silence {
    fn observe(&mut self, context: &Context<'_>, _numbers: &[f64]) -> Finding {
        let Some(age) = context.age else {
            return Finding::default();
        };
        // A silence that was an anomaly may be the new normal, but not at once.
        let age = if self.broken {
            age.min(self.longest.saturating_mul(2))
        } else {
            age
        };
        self.longest = age.max(self.longest - self.longest / FADE);
        self.intervals = self.intervals.saturating_add(1);
        self.broken = false;
        Finding::default()
    }
}
