//! A sensor that is in alarm again soon after an incident of it was over: each time it has to be quiet for twice as long.

use serde::{Deserialize, Serialize};

use crate::Kinds;

/// A flap_damping is an alarm within so many quiet periods after the end of an incident.
const SOON: i64 = 4;
/// The quiet period doubles so often at most.
const MOST_DOUBLINGS: u8 = 4;

/// How a sensor's incidents follow each other.
///
/// Whatever goes in and out of alarm at least once in five quiet periods is told at most four times, however long it
/// goes on; whatever is calm for longer begins anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlapDamping {
    doublings: u8,
    /// What was wrong in the incidents since it was calm.
    kinds: Kinds,
    /// When the last of them was over, by the partition's clock.
    over: Option<i64>,
}

impl FlapDamping {
    /// How long the sensor must be quiet, where without flap_damping that would be `usual`.
    pub fn quiet(&self, usual: i64) -> i64 {
        usual.saturating_mul(1 << self.doublings.min(MOST_DOUBLINGS))
    }

    /// An incident opens. Something else that goes wrong is no flap_damping.
    pub fn open(&mut self, kinds: Kinds, now: i64, usual: i64) {
        let Some(over) = self.over.take() else { return };
        if now.saturating_sub(over) > self.quiet(usual).saturating_mul(SOON) {
            *self = Self::default();
        } else if self.kinds.contains(kinds) {
            self.doublings = self.doublings.saturating_add(1).min(MOST_DOUBLINGS);
        }
    }

    /// An incident is over.
    pub fn close(&mut self, kinds: Kinds, now: i64) {
        self.kinds |= kinds;
        self.over = Some(now);
    }

    /// The partition's clock is another one from here on, ahead by so much.
    pub fn shift(&mut self, ahead: i64) {
        self.over = self.over.map(|over| over.saturating_add(ahead));
    }
}
