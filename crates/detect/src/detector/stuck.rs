//! The same value for far longer than ever.

use serde::{Deserialize, Serialize};

use super::{Context, Detector, Finding};
use crate::Kinds;

/// Changes seen before a run is judged: a sensor that hardly ever changes cannot be distinguished from a stuck one.
const WARM_UP: u16 = 32;
/// No shorter run is an anomaly.
const SHORTEST: f64 = 30.0;
/// Many sensors rest at zero (light at night, wind in a lull, a counter of rare events): a run of zeros is judged only
/// if the sensor was known for this long before it, µs of event time.
const REST: i64 = 24 * 3_600_000_000;
/// A run that was an anomaly may be the new normal, but not at once: it raises the longest run by this fraction.
const LEARN: f32 = 1.0 / 16.0;

/// The longest run of equal values; vectors count as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stuck {
    /// A digest of the value.
    value: u64,
    run: u32,
    longest: f32,
    changes: u16,
    first: i64,
    run_began: i64,
    /// Length at which the run is reported again; 0 before it is an anomaly.
    report_at: u32,
}

impl Detector for Stuck {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let value = digest(numbers);
        if context.step.is_none() {
            self.first = context.time;
        }
        if value != self.value || self.run == 0 {
            let run = self.run as f32;
            let most = match self.report_at {
                0 => run,
                _ => self.longest * (1.0 + LEARN),
            };
            if !context.wrong {
                self.longest = self.longest.max(run.min(most));
            }
            self.changes = self.changes.saturating_add(u16::from(self.run > 0));
            (self.value, self.run, self.run_began, self.report_at) = (value, 1, context.time, 0);
            return Finding::default();
        }
        self.run = self.run.saturating_add(1);
        let limit = (f64::from(self.longest) * context.settings.stuck.get()).max(SHORTEST);
        let resting = self.run_began.saturating_sub(self.first) < REST && numbers.iter().all(|number| *number == 0.0);
        if self.changes < WARM_UP || f64::from(self.run) <= limit || resting {
            return Finding::default();
        }
        if self.run < self.report_at {
            return Finding::held(context.settings);
        }
        self.report_at = self.run.saturating_mul(2);
        Finding::certain(Kinds::STUCK, context.settings, None)
    }
}

/// FNV-1a over the bits, one number at a time; both zeros are equal.
fn digest(numbers: &[f64]) -> u64 {
    numbers.iter().fold(0xcbf2_9ce4_8422_2325, |digest, number| {
        let mixed = (digest ^ (number + 0.0).to_bits()).wrapping_mul(0x0000_0100_0000_01b3);
        mixed ^ mixed >> 32
    })
}
