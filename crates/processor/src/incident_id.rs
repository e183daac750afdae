//! A short name of an incident, for people to type.

use std::fmt;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp};

/// A short name of an incident: 12 hexadecimal digits derived from its sensor and start, so that every copy of the
/// incident has the same. People may give any unambiguous prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(u64);

impl IncidentId {
    /// The id of the incident of `sensor` that began at `since`.
    pub fn of(sensor: &Sensor, since: Timestamp) -> Self {
        // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): incidents of one sensor differ in few bits.
        let mut mixed = (sensor.hash() >> 64) as u64 ^ (since.as_micros() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) >> 16)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}
