//! The `[detect]` table. Every field has a default, ranges are in the types, unknown keys fail.

mod pattern;
mod rates;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use self::pattern::Pattern;
pub(crate) use self::rates::{LINES, Written};
pub use self::rates::{MAX_RATES, MAX_WAITING, Rate, RateError, Rates};

/// The `[detect]` table. A partition keeps the settings in force, so that a journal is replayed as it was folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A score at or above it is an anomaly. Certain findings (bounds, jump, noise, drift, stuck, silence) score at
    /// least this.
    pub threshold: Threshold,
    /// An incident resolves after this long without an anomaly or a score of half the threshold, by the partition's
    /// clock; later if its sensor flaps.
    pub quiet: Period,
    /// A value further from the prediction than this multiple of the limit is an anomaly. Chance exceeds the limit,
    /// learnt from the sensor, once in ten weeks.
    pub jump: Factor,
    /// So is noise above this multiple of its limit,
    pub noise: Factor,
    /// and a level that drifts further than this multiple of its limit.
    pub drift: Factor,
    /// The same value for more than this multiple of the longest run learnt is an anomaly.
    pub stuck: Factor,
    /// A sensor is silent after this multiple of the longest interval learnt.
    pub silence: Factor,
    /// No sensor is called silent sooner than this.
    pub silence_minimum: Period,
    /// A sensor silent for this long is forgotten, and its incident resolved.
    pub forget: Period,
    /// How many sensors a partition (by default, a lane's sensors) may hold. Readings of further sensors are not
    /// judged. A sensor silent for three days without an open incident makes room for a new one.
    pub max_sensors_per_partition: SensorLimit,
    /// How much is kept of a sensor.
    pub memory: Memory,
    /// Counts and rates of events: each a derived sensor of every sensor that sends such events.
    pub rates: Rates,
}

/// How much is kept of a sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// At most 4 KB.
    #[default]
    Full,
    /// At most 1 KB: novel values and changes are found, but not what is novel only for its hour of the day, its level
    /// or its noise.
    Small,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threshold: Threshold(2.0),
            quiet: Period(SignedDuration::from_mins(15)),
            jump: Factor(1.0),
            noise: Factor(1.0),
            drift: Factor(1.0),
            stuck: Factor(10.0),
            silence: Factor(5.0),
            silence_minimum: Period(SignedDuration::from_secs(30)),
            forget: Period(SignedDuration::from_hours(30 * 24)),
            max_sensors_per_partition: SensorLimit(8_000),
            memory: Memory::Full,
            rates: Rates::default(),
        }
    }
}

/// An anomaly score, where 2 is an alert: above 0, at most 1000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Threshold(f64);

/// A multiple of what is usual: from 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Factor(f64);

/// A length of event time, from a millisecond to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "SignedDuration", into = "SignedDuration")]
pub struct Period(SignedDuration);

/// How many sensors a partition may hold: from 1 to 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SensorLimit(u32);

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutOfRange {
    /// A threshold must be above 0 and at most 1000.
    #[error("{0} is not a threshold: give a number above 0, at most 1000; 2 is usual")]
    Threshold(f64),
    /// A factor must be from 1 to 1,000,000.
    #[error("{0} is not a factor: give a number from 1 (the usual) to 1000000 (practically never)")]
    Factor(f64),
    /// A limit must be from 1 to 100,000.
    #[error("{0} is not a limit of sensors: give a number from 1 to 100000; each takes up to 5 KiB of memory")]
    SensorLimit(u32),
    /// A period must be from 1 ms to 10 years.
    #[error("{0:#} is not a period: give one from 1ms to 10 years, such as \"15m\"")]
    Period(SignedDuration),
}

impl Threshold {
    /// The score.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Factor {
    /// The factor.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl SensorLimit {
    /// The highest limit.
    pub const HIGHEST: Self = Self(100_000);

    /// The number of sensors.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Period {
    const SHORTEST: SignedDuration = SignedDuration::from_millis(1);
    const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

    /// Its length in microseconds, always above 0.
    pub fn as_micros(self) -> i64 {
        // Ten years are 3.2e14 µs.
        self.0.as_micros() as i64
    }
}

impl TryFrom<f64> for Threshold {
    type Error = OutOfRange;

    fn try_from(score: f64) -> Result<Self, OutOfRange> {
        if score > 0.0 && score <= 1000.0 {
            Ok(Self(score))
        } else {
            Err(OutOfRange::Threshold(score))
        }
    }
}

impl TryFrom<f64> for Factor {
    type Error = OutOfRange;

    fn try_from(factor: f64) -> Result<Self, OutOfRange> {
        if (1.0..=1e6).contains(&factor) {
            Ok(Self(factor))
        } else {
            Err(OutOfRange::Factor(factor))
        }
    }
}

impl TryFrom<SignedDuration> for Period {
    type Error = OutOfRange;

    fn try_from(length: SignedDuration) -> Result<Self, OutOfRange> {
        if (Self::SHORTEST..=Self::LONGEST).contains(&length) {
            Ok(Self(length))
        } else {
            Err(OutOfRange::Period(length))
        }
    }
}

impl TryFrom<u32> for SensorLimit {
    type Error = OutOfRange;

    fn try_from(sensors: u32) -> Result<Self, OutOfRange> {
        if (1..=Self::HIGHEST.0).contains(&sensors) {
            Ok(Self(sensors))
        } else {
            Err(OutOfRange::SensorLimit(sensors))
        }
    }
}

impl From<SensorLimit> for u32 {
    fn from(limit: SensorLimit) -> Self {
        limit.0
    }
}

impl From<Threshold> for f64 {
    fn from(threshold: Threshold) -> Self {
        threshold.0
    }
}

impl From<Factor> for f64 {
    fn from(factor: Factor) -> Self {
        factor.0
    }
}

impl From<Period> for SignedDuration {
    fn from(period: Period) -> Self {
        period.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }

    #[test]
    fn friendly_periods_are_read() {
        let settings: Settings = toml::from_str("quiet = \"1h 30m\"\nthreshold = 3").unwrap();
        assert_eq!(settings.quiet.as_micros(), 5_400_000_000);
        assert_eq!(settings.threshold.get(), 3.0);
    }

    #[test]
    fn what_is_out_of_range_or_unknown_names_its_line() {
        for text in [
            "threshold = 0.0",
            "threshold = inf",
            "jump = 0.5",
            "stuck = nan",
            "quiet = \"0s\"",
            "silence_minimum = \"-1s\"",
            "forget = \"20000 days\"",
            "max_sensors_per_partition = 0",
            "max_sensors_per_partition = 100001",
            "quite = \"15m\"",
        ] {
            let error = toml::from_str::<Settings>(&format!("# first line\n{text}")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{text}: {error}");
        }
    }

    #[test]
    fn settings_survive_their_compact_form() {
        let settings = Settings::default();
        let bytes = postcard::to_stdvec(&settings).unwrap();
        assert_eq!(postcard::from_bytes::<Settings>(&bytes).unwrap(), settings);
    }
}
