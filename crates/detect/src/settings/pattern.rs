//! Selects events by their fields.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::{FieldValue, Fields};

/// Events with all of these field values; without a field, every event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(BTreeMap<Box<str>, Said>);

/// The value of a field. Settings have it as written, stored state with its type.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(Box<str>),
    Number(f64),
    Boolean(bool),
}

#[derive(Serialize, Deserialize)]
enum Stored {
    Text(Box<str>),
    Number(f64),
    Boolean(bool),
}

impl Pattern {
    /// True if the event matches.
    pub fn matches(&self, event: &Fields) -> bool {
        self.0.iter().all(|(name, said)| match (said, event.get(name)) {
            (Said::Text(wanted), Some(FieldValue::Text(text))) => **wanted == *text,
            (Said::Number(wanted), Some(FieldValue::Number(number))) => *wanted == number,
            (Said::Boolean(wanted), Some(FieldValue::Boolean(boolean))) => *wanted == boolean,
            _ => false,
        })
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let readable = serializer.is_human_readable();
        match self.clone() {
            Self::Text(text) if readable => serializer.serialize_str(&text),
            Self::Number(number) if readable => serializer.serialize_f64(number),
            Self::Boolean(boolean) if readable => serializer.serialize_bool(boolean),
            Self::Text(text) => Stored::Text(text).serialize(serializer),
            Self::Number(number) => Stored::Number(number).serialize(serializer),
            Self::Boolean(boolean) => Stored::Boolean(boolean).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(AsWritten);
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(text) => Self::Text(text),
            Stored::Number(number) => Self::Number(number),
            Stored::Boolean(boolean) => Self::Boolean(boolean),
        })
    }
}

struct AsWritten;

impl Visitor<'_> for AsWritten {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean")
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<Said, E> {
        Ok(Said::Boolean(boolean))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Said, E> {
        Ok(Said::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn every_field_must_match() {
        let pattern: Pattern = toml::from_str("action = \"Click\"\nstatus = 404\nbot = false").unwrap();
        let event = |json| Fields::parse(json).unwrap();
        let right = event(r#"{"status":404,"more":1,"action":"\u0043lick","bot":false}"#);
        assert!(pattern.matches(&right) && Pattern::default().matches(&right));
        for wrong in [
            r#"{"status":404,"action":"Click"}"#,
            r#"{"status":404,"action":"Clock","bot":false}"#,
            r#"{"status":"404","action":"Click","bot":false}"#,
            r#"{"status":404,"action":"Click","bot":0}"#,
        ] {
            assert!(!pattern.matches(&event(wrong)), "{wrong}");
        }
        let stored = postcard::to_stdvec(&pattern).unwrap();
        assert_eq!(postcard::from_bytes::<Pattern>(&stored).unwrap(), pattern);
        let error = toml::from_str::<Pattern>("action = [1]").unwrap_err().to_string();
        assert!(error.contains("a text, a number or a boolean"), "{error}");
    }
}
