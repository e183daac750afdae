//! The tables `[detect.rates.NAME]`: which events are counted, per which others, in what windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use wire::sensor::MAX_NAME_BYTES;

use super::Period;
use super::pattern::Pattern;

/// The most windows open at once besides the newest two: each sensor keeps those that wait for late events.
pub const MAX_WAITING: i64 = 64;

/// The most rates: each is a derived sensor of every sensor whose events it counts.
pub const MAX_RATES: usize = 16;

/// The derivation of log lines, which no rate may be called: its name ends the id of a derived sensor.
pub(crate) const LINES: &str = "lines";

/// The longest name of a rate, in bytes.
const MAX_NAME: usize = 64;

/// The `[detect.rates]` tables, by name. Cloning them allocates nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Rate>", into = "BTreeMap<String, Rate>")]
pub struct Rates(Arc<BTreeMap<String, Rate>>);

/// The table `[detect.rates.NAME]`: a count of events, or their ratio to others, by windows of event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rate(Written);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// Only events of sensors of this kind. Default: all.
    #[serde(default)]
    pub kind: Option<String>,
    /// The events that are counted.
    pub count: Pattern,
    /// Divides by the number of these events. Default: a plain count.
    #[serde(default)]
    pub per: Option<Pattern>,
    /// The length of a window; windows begin at whole multiples of it since 1970.
    pub window: Period,
    /// How long after its end a window closes. Default: at its end.
    #[serde(default)]
    pub lateness: Option<Period>,
    /// What the number is multiplied by; 100 for per cent. Default 1.
    #[serde(default = "one")]
    pub factor: f64,
    /// The unit of the product.
    #[serde(default)]
    pub unit: Option<String>,
}

/// Rates that are not allowed.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// The name becomes part of a sensor's id, and its kind.
    #[error("{0:?} cannot name a rate: use 1 to {MAX_NAME} letters, digits, - and _")]
    Name(String),
    /// The name is taken.
    #[error("{0:?} is the name of what is derived from log lines: choose another name for the rate")]
    Taken(String),
    /// More than [`MAX_RATES`].
    #[error("there are {0} rates: use at most {MAX_RATES}")]
    TooMany(usize),
    /// More than [`MAX_WAITING`] windows would be open.
    #[error(
        "lateness = {lateness:#} is more than {MAX_WAITING} windows of {window:#}: use a shorter lateness or longer windows"
    )]
    Lateness {
        /// The lateness.
        lateness: SignedDuration,
        /// The length of a window.
        window: SignedDuration,
    },
    /// Zero, infinite, or not a number.
    #[error("factor = {0} is not allowed: use a number other than 0, such as 100 for per cent")]
    Factor(f64),
    /// Longer than a sensor allows.
    #[error("a unit or kind of {0} bytes is too long: use at most {MAX_NAME_BYTES}")]
    TooLong(usize),
}

impl Rates {
    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Rate> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Rate)> {
        self.0.iter().map(|(name, rate)| (name.as_str(), rate))
    }

    /// Shares equal rates, so that comparing them again takes no time.
    pub(crate) fn share(&mut self, other: &Self) {
        if !Arc::ptr_eq(&self.0, &other.0) {
            self.0 = other.0.clone();
        }
    }
}

impl PartialEq for Rates {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl TryFrom<BTreeMap<String, Rate>> for Rates {
    type Error = RateError;

    fn try_from(rates: BTreeMap<String, Rate>) -> Result<Self, RateError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let usable = |name: &&String| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain);
        match rates.keys().find(|name| !usable(name)) {
            Some(name) => Err(RateError::Name(name.clone())),
            None if rates.contains_key(LINES) => Err(RateError::Taken(LINES.to_owned())),
            None if rates.len() > MAX_RATES => Err(RateError::TooMany(rates.len())),
            None => Ok(Self(Arc::new(rates))),
        }
    }
}

impl From<Rates> for BTreeMap<String, Rate> {
    fn from(rates: Rates) -> Self {
        Arc::unwrap_or_clone(rates.0)
    }
}

impl Rate {
    pub(crate) fn written(&self) -> &Written {
        &self.0
    }

    /// The length of a window, µs.
    pub(crate) fn window(&self) -> i64 {
        self.0.window.as_micros()
    }

    /// How long a window stays open after its end, µs.
    pub(crate) fn lateness(&self) -> i64 {
        self.0.lateness.map_or(0, Period::as_micros)
    }
}

impl TryFrom<Written> for Rate {
    type Error = RateError;

    fn try_from(written: Written) -> Result<Self, RateError> {
        let rate = Self(written);
        let Written { kind, unit, factor, .. } = &rate.0;
        if let Some(long) = [kind, unit]
            .into_iter()
            .flatten()
            .find(|text| text.len() > MAX_NAME_BYTES)
        {
            return Err(RateError::TooLong(long.len()));
        }
        if !factor.is_normal() {
            return Err(RateError::Factor(*factor));
        }
        match rate.lateness() / MAX_WAITING > rate.window() {
            true => Err(RateError::Lateness {
                lateness: SignedDuration::from_micros(rate.lateness()),
                window: SignedDuration::from_micros(rate.window()),
            }),
            false => Ok(rate),
        }
    }
}

impl From<Rate> for Written {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use crate::Settings;

    const CLICKS: &str = "[rates.clicks]\ncount = { action = \"Click\" }\nwindow = \"10s\"\n";

    #[test]
    fn a_rate_is_read_and_stored() {
        let text =
            format!("{CLICKS}per = {{ action = \"Impression\" }}\nlateness = \"5s\"\nfactor = 100\nunit = \"%\"");
        let settings: Settings = toml::from_str(&text).unwrap();
        assert_eq!(settings.rates.iter().count(), 1);
        let stored = postcard::to_stdvec(&settings).unwrap();
        assert_eq!(postcard::from_bytes::<Settings>(&stored).unwrap(), settings);
        let again = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&again).unwrap(), settings);
    }

    #[test]
    fn what_cannot_be_kept_names_its_line_and_remedy() {
        let many: String = (0..17).map(|at| CLICKS.replace("clicks", &format!("r{at}"))).collect();
        for (text, remedy) in [
            (CLICKS.replace("clicks", "\"a b\""), "use 1 to 64 letters"),
            (many, "use at most 16"),
            (format!("{CLICKS}lateness = \"11m\""), "is more than 64 windows of 10s"),
            (format!("{CLICKS}factor = 0"), "use a number other than 0"),
            (
                format!("{CLICKS}unit = \"{}\"", "x".repeat(257)),
                "257 bytes is too long",
            ),
            (format!("{CLICKS}windw = \"1s\""), "unknown field `windw`"),
            (CLICKS.replace("count", "counts"), "counts"),
            (CLICKS.replace("\"10s\"", "\"0s\""), "is not a period"),
        ] {
            let error = toml::from_str::<Settings>(&text).unwrap_err().to_string();
            assert!(error.contains("line ") && error.contains(remedy), "{text}: {error}");
        }
    }
}
