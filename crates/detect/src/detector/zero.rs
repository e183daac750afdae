//! What 0 is to a sensor. A speed, a count or a humidity is never below it, so its expected range is not either.

use super::Finding;

/// On which side of 0 no value ever was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    /// Below 0, or nothing was seen yet.
    Floor,
    /// Above 0.
    Ceiling,
    /// Values were on both sides of it.
    Crossed,
}

impl Zero {
    /// By the lowest and the highest value ever seen.
    pub fn of(lowest: f64, highest: f64) -> Self {
        match (lowest >= 0.0, highest <= 0.0) {
            (true, _) => Self::Floor,
            (false, true) => Self::Ceiling,
            (false, false) => Self::Crossed,
        }
    }

    /// The possible part of a range.
    pub fn bound(self, (lowest, highest): (f64, f64)) -> (f64, f64) {
        match self {
            Self::Floor => (lowest.max(0.0), highest.max(0.0)),
            Self::Ceiling => (lowest.min(0.0), highest.min(0.0)),
            Self::Crossed => (lowest, highest),
        }
    }

    /// The same finding, its expected range limited to what is possible.
    pub fn limited(self, finding: Finding) -> Finding {
        Finding {
            expected: finding.expected.map(|range| self.bound(range)),
            ..finding
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_range_is_on_the_side_of_the_values() {
        for (seen, range, bound) in [
            ((0.0, 9.0), (-1.2, 9.0), (0.0, 9.0)),
            ((0.5, 9.0), (-3.0, -1.0), (0.0, 0.0)),
            ((-90.0, -0.5), (-80.0, 3.0), (-80.0, 0.0)),
            ((-90.0, 0.0), (1.0, 3.0), (0.0, 0.0)),
            ((-0.1, 9.0), (-1.2, 9.0), (-1.2, 9.0)),
            // A value that was always 0 may well rise.
            ((0.0, 0.0), (-1.0, 1.0), (0.0, 1.0)),
        ] {
            assert_eq!(Zero::of(seen.0, seen.1).bound(range), bound, "{seen:?}");
        }
    }
}
