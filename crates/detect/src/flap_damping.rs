//! Flap damping: a sensor that raises an alarm again soon after an incident has to be quiet for twice as long each
//! time.

use serde::{Deserialize, Serialize};

use crate::Kinds;

/// An alarm within this many quiet periods after the end of an incident is a flap.
const SOON: i64 = 4;
/// How often the quiet period doubles at most.
const MOST_DOUBLINGS: u8 = 4;

/// How a sensor's incidents follow each other.
///
/// A sensor that flaps at least once in five quiet periods is notified at most four times, however long it goes on. A
/// longer calm starts over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlapDamping {
    doublings: u8,
    /// All that was wrong since the last calm.
    kinds: Kinds,
    /// When the last incident was over, by the partition's clock.
    over: Option<i64>,
}

impl FlapDamping {
    /// The quiet period, given the undamped one.
    pub fn quiet(&self, usual: i64) -> i64 {
        usual.saturating_mul(1 << self.doublings.min(MOST_DOUBLINGS))
    }

    /// An incident opens. Another kind of fault is not a flap.
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
