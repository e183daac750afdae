//! Durations as people write them, with their range in the type.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, SpanParser, SpanPrinter};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration from `MIN_MS` to `MAX_MS` milliseconds, written `"500ms"`, `"25s"` or `"1h 30m"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Within<const MIN_MS: u64, const MAX_MS: u64>(Duration);

/// A duration that cannot be used, and what can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not a duration from {least} to {most}; write one such as \"{example}\"")]
pub struct NotWithin {
    given: String,
    least: String,
    most: String,
    example: String,
}

/// A duration as people write it: `500ms`, `1m 30s`.
pub fn friendly(duration: Duration) -> String {
    const PRINTER: SpanPrinter = SpanPrinter::new().designator(Designator::Compact);
    PRINTER.unsigned_duration_to_string(&duration)
}

impl<const MIN_MS: u64, const MAX_MS: u64> Within<MIN_MS, MAX_MS> {
    /// The shortest that is allowed.
    pub const LEAST: Duration = Duration::from_millis(MIN_MS);
    /// The longest that is allowed.
    pub const MOST: Duration = Duration::from_millis(MAX_MS);

    /// This many milliseconds; does not compile in a constant where they are out of range.
    pub const fn from_millis(millis: u64) -> Self {
        assert!(MIN_MS <= millis && millis <= MAX_MS, "the duration is out of its range");
        Self(Duration::from_millis(millis))
    }

    /// The duration itself.
    pub const fn get(self) -> Duration {
        self.0
    }

    fn refused(given: String) -> NotWithin {
        NotWithin {
            given,
            least: friendly(Self::LEAST),
            most: friendly(Self::MOST),
            example: friendly(Self::LEAST.max(Duration::from_secs(1)).min(Self::MOST)),
        }
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> FromStr for Within<MIN_MS, MAX_MS> {
    type Err = NotWithin;

    fn from_str(text: &str) -> Result<Self, NotWithin> {
        match SpanParser::new().parse_unsigned_duration(text) {
            Ok(duration) if (Self::LEAST..=Self::MOST).contains(&duration) => Ok(Self(duration)),
            _ => Err(Self::refused(format!("{text:?}"))),
        }
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> fmt::Display for Within<MIN_MS, MAX_MS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&friendly(self.0))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> fmt::Debug for Within<MIN_MS, MAX_MS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Serialize for Within<MIN_MS, MAX_MS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Within<MIN_MS, MAX_MS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const MIN_MS: u64, const MAX_MS: u64>;

        impl<const MIN_MS: u64, const MAX_MS: u64> serde::de::Visitor<'_> for Visitor<MIN_MS, MAX_MS> {
            type Value = Within<MIN_MS, MAX_MS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"500ms\" or \"15m\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    type Linger = Within<1, 60_000>;

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for (text, millis) in [("500ms", 500), ("1s", 1000), ("1m", 60_000), ("1.5s", 1500)] {
            let linger: Linger = text.parse().unwrap();
            assert_eq!(linger.get(), Duration::from_millis(millis), "{text}");
            assert_eq!(linger.to_string().parse::<Linger>().unwrap(), linger, "{text}");
        }
        assert_eq!(Linger::from_millis(500).to_string(), "500ms");
    }

    #[test]
    fn what_is_out_of_range_says_the_range() {
        for text in ["0s", "61s", "-1s", "500", "soon", "1 day", ""] {
            let error = text.parse::<Linger>().unwrap_err().to_string();
            assert!(error.contains("from 1ms to 1m; write one such as \"1s\""), "{error}");
        }
    }
}
