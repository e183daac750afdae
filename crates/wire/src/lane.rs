//! Names and slices of the hash space that readings of one lane share.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One of a power of two of equal slices of the 128-bit hash space, written `16/03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneName {
    lanes: u32,
    index: u32,
}

/// The most lanes there can be.
pub const MAX_LANES: u32 = 65_536;

/// Text that is not the name of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lane's name is a power of two up to {MAX_LANES} and an index below it, padded with zeros, such as 16/03")]
pub struct NotALane;

impl LaneName {
    /// The lane of a hash where there are `lanes` of them, a power of two from 1 to 65,536.
    pub fn of(hash: u128, lanes: u32) -> Self {
        debug_assert!(lanes.is_power_of_two() && lanes <= MAX_LANES);
        let bits = lanes.trailing_zeros();
        let index = if bits == 0 { 0 } else { (hash >> (128 - bits)) as u32 };
        Self { lanes, index }
    }

    /// Every lane where there are `lanes` of them, a power of two.
    pub fn all(lanes: u32) -> impl Iterator<Item = Self> {
        (0..lanes).map(move |index| Self { lanes, index })
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

    /// The lanes whose slices hold this one's, where there are fewer lanes: the nearest first, `1/0` last.
    pub fn enclosing(self) -> impl Iterator<Item = Self> {
        (1..=self.lanes.trailing_zeros()).map(move |halvings| Self {
            lanes: self.lanes >> halvings,
            index: self.index >> halvings,
        })
    }

    /// The lanes that divide this one's slice where there are `lanes` of them, in order; none unless `lanes` is a
    /// larger power of two up to [`MAX_LANES`].
    pub fn enclosed(self, lanes: u32) -> impl Iterator<Item = Self> {
        let finer = lanes.is_power_of_two() && lanes <= MAX_LANES && lanes > self.lanes;
        let parts = if finer { lanes / self.lanes } else { 0 };
        (0..parts).map(move |part| Self {
            lanes,
            index: self.index * parts + part,
        })
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lanes.saturating_sub(1).max(1).ilog10() as usize + 1;
        write!(f, "{}/{:0width$}", self.lanes, self.index)
    }
}

impl FromStr for LaneName {
    type Err = NotALane;

    fn from_str(text: &str) -> Result<Self, NotALane> {
        let (lanes, index) = text.split_once('/').ok_or(NotALane)?;
        let lanes: u32 = lanes.parse().map_err(|_| NotALane)?;
        let index: u32 = index.parse().map_err(|_| NotALane)?;
        if !lanes.is_power_of_two() || lanes > MAX_LANES || index >= lanes {
            return Err(NotALane);
        }
        let name = Self { lanes, index };
        // A page is found by its name: one lane must have one spelling.
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(NotALane)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> LaneName {
        text.parse().unwrap()
    }

    fn names(lanes: impl Iterator<Item = LaneName>) -> Vec<String> {
        lanes.map(|lane| lane.to_string()).collect()
    }

    #[test]
    fn a_lane_has_one_spelling() {
        for text in ["1/0", "2/1", "16/03", "16/15", "1024/0999", "65536/00007"] {
            assert_eq!(name(text).to_string(), text);
        }
        for text in [
            "",
            "16",
            "16/3",
            "16/003",
            "016/03",
            "+16/03",
            "16/16",
            "15/03",
            "131072/000000",
            "0/0",
            "16/-1",
            "16/03 ",
        ] {
            assert_eq!(text.parse::<LaneName>(), Err(NotALane), "{text}");
        }
    }

    #[test]
    fn slices_hold_one_another() {
        assert_eq!(names(LaneName::all(4)), ["4/0", "4/1", "4/2", "4/3"]);
        assert_eq!(names(name("16/11").enclosing()), ["8/5", "4/2", "2/1", "1/0"]);
        assert_eq!(names(name("1/0").enclosing()), [""; 0]);
        assert_eq!(names(name("4/2").enclosed(16)), ["16/08", "16/09", "16/10", "16/11"]);
        for lanes in [0, 2, 4, 12, 131_072] {
            assert_eq!(names(name("4/2").enclosed(lanes)), [""; 0], "{lanes}");
        }
        assert_eq!(name("1/0").enclosed(MAX_LANES).count(), 65_536);
    }

    #[test]
    fn slices_begin_where_explicit_hash_keys_say() {
        assert_eq!(name("1/0").slice(), 0..=u128::MAX);
        assert_eq!(name("16/03").slice(), 3 << 124..=(4 << 124) - 1);
        assert_eq!(*name("65536/65535").slice().end(), u128::MAX);
    }

    proptest! {
        #[test]
        fn a_hash_is_in_its_lane_and_in_those_around_it(hash: u128, power in 0_u32..=16) {
            let lane = LaneName::of(hash, 1 << power);
            prop_assert!(lane.slice().contains(&hash));
            prop_assert_eq!(lane.to_string().parse(), Ok(lane));
            for around in lane.enclosing() {
                prop_assert_eq!(around, LaneName::of(hash, around.lanes()));
                prop_assert!(around.enclosed(lane.lanes()).any(|inner| inner == lane));
            }
        }
    }
}
