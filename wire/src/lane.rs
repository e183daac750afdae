//! Names and slices of the hash space that readings of one lane share.

use std::fmt;
use std::ops::RangeInclusive;

/// One of a power of two of equal slices of the 128-bit hash space, written `16/03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneName {
    lanes: u32,
    index: u32,
}

impl LaneName {
    /// The lane of a hash where there are `lanes` of them, a power of two from 1 to 65,536.
    pub fn of(hash: u128, lanes: u32) -> Self {
        debug_assert!(lanes.is_power_of_two() && lanes <= 65_536);
        let bits = lanes.trailing_zeros();
        let index = if bits == 0 { 0 } else { (hash >> (128 - bits)) as u32 };
        Self { lanes, index }
    }

    /// How many lanes there are.
    pub fn lanes(self) -> u32 {
        self.lanes
    }

    /// Which of them it is, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The hashes that belong to it; its start is the explicit hash key of its records.
    pub fn slice(self) -> RangeInclusive<u128> {
        let bits = self.lanes.trailing_zeros();
        if bits == 0 {
            return 0..=u128::MAX;
        }
        let start = u128::from(self.index) << (128 - bits);
        start..=start + (u128::MAX >> bits)
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lanes.saturating_sub(1).max(1).ilog10() as usize + 1;
        write!(f, "{}/{:0width$}", self.lanes, self.index)
    }
}
