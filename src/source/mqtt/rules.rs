//! How messages become readings, checked.

use jiff::tz::TimeZone;

use super::fields::Value;
use super::template::Template;
use super::topic::Pattern;
use super::{glob, words};

/// The fields that usually hold the time, at the top of the object.
pub(super) const TIMES: [&str; 5] = ["last_seen", "Time", "timestamp", "time", "ts"];

/// How messages become readings, checked.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::source) struct Rules {
    pub topics: Vec<Pattern>,
    pub ignore_topics: Vec<Pattern>,
    pub format: Format,
    pub sensor: Option<Template>,
    pub group: Option<Template>,
    pub datatype: Option<Template>,
    /// Of all values.
    pub unit: Option<String>,
    /// Of fields, by their name or the last part of it.
    pub units: Vec<(String, String)>,
    /// Only these, where there are any.
    pub fields: Option<Vec<String>>,
    pub ignore_fields: Vec<String>,
    pub text_numbers: bool,
    pub booleans: bool,
    /// The field that tells the time. Without, those that usually do are tried.
    pub time: Option<String>,
    /// Of times that do not name theirs.
    pub zone: Option<TimeZone>,
}

/// What payloads look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Each payload shows it: a reading, an object of numbers, or a number.
    #[default]
    Auto,
    /// A reading as JSON, in the general form or the device's.
    Reading,
    /// An object whose numbers are readings of one sensor each.
    Object,
    /// A plain number.
    Number,
    /// A plain number, or a text that is none and is passed over.
    State,
}

impl Rules {
    /// The number that a field is a reading of.
    pub(super) fn number(&self, path: &str, value: Value<'_>) -> Option<f64> {
        let number = match value {
            Value::Number(number) => number,
            Value::Boolean(boolean) if self.booleans => f64::from(u8::from(boolean)),
            Value::Text(text) => {
                let number = words::number(text).filter(|_| self.text_numbers);
                number.or_else(|| {
                    words::boolean(text)
                        .filter(|_| self.booleans)
                        .map(|boolean| f64::from(u8::from(boolean)))
                })?
            }
            Value::Boolean(_) | Value::Null => return None,
        };
        let is_time = match &self.time {
            Some(name) => name == path,
            None => TIMES.contains(&path),
        };
        let among = |list: &[String]| list.iter().any(|pattern| glob::matches(pattern, path));
        let wanted = self.fields.as_deref().is_none_or(among) && !among(&self.ignore_fields);
        (wanted && !is_time).then_some(number)
    }
}
