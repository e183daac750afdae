//! What is wrong with a reading or a sensor: a set, because several things can be wrong at once.

use std::ops::{BitOr, BitOrAssign};

use serde::{Deserialize, Serialize};

/// A set of the ways a reading or a sensor can be anomalous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kinds(u8);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// Below the sensor's lowest bound.
    pub const BELOW: Self = Self(1);
    /// Above the sensor's highest bound.
    pub const ABOVE: Self = Self(2);
    /// Far from the prediction: a spike or a shift.
    pub const JUMP: Self = Self(4);
    /// The same value for far longer than ever.
    pub const STUCK: Self = Self(8);
    /// No data for far longer than ever, while other sensors of its partition send some.
    pub const SILENT: Self = Self(16);
    /// Unlike anything the sensor sent before.
    pub const NOVEL: Self = Self(32);

    /// Much noisier than ever.
    pub const NOISE: Self = Self(64);
    /// Its level has drifted away.
    pub const DRIFT: Self = Self(128);

    const ALL: [(Self, &'static str); 8] = [
        (Self::BELOW, "Below"),
        (Self::ABOVE, "Above"),
        (Self::JUMP, "Jump"),
        (Self::STUCK, "Stuck"),
        (Self::SILENT, "Silent"),
        (Self::NOISE, "Noise"),
        (Self::DRIFT, "Drift"),
        (Self::NOVEL, "Novel"),
    ];

    /// Every one.
    pub fn all() -> Self {
        Self::ALL.into_iter().fold(Self::NONE, |all, (one, _)| all | one)
    }

    /// True if there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if any of `other` is among these.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These, but none of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Their names for a sensor that measures `kind`: out of bounds, a `Temperature` is `Cold` or `Hot`, all else is
    /// `Below` or `Above`.
    pub fn names(self, kind: &str) -> impl Iterator<Item = &'static str> {
        let temperature = kind.eq_ignore_ascii_case("temperature");
        Self::ALL
            .into_iter()
            .filter(move |(one, _)| self.contains(*one))
            .map(move |(one, name)| match (one, temperature) {
                (Self::BELOW, true) => "Cold",
                (Self::ABOVE, true) => "Hot",
                _ => name,
            })
    }

    /// Their names as [`names`](Self::names) gives them, in one text.
    pub fn joined(self, kind: &str, separator: &str) -> String {
        let names: Vec<&str> = self.names(kind).collect();
        names.join(separator)
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Kinds {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_cold_or_hot() {
        let kinds = Kinds::ABOVE | Kinds::NOVEL;
        assert!(kinds.names("Temperature").eq(["Hot", "Novel"]));
        assert!(Kinds::BELOW.names("temperature").eq(["Cold"]));
        assert_eq!(kinds.joined("Temperature", "+"), "Hot+Novel");
        assert!(kinds.names("wind_speed").eq(["Above", "Novel"]));
        assert_eq!(Kinds::NONE.names("Temperature").count(), 0);
    }
}
