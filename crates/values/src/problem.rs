//! What is wrong with a configuration, told so that a person can mend it. Knows no file and no line: those come from the loader.

use std::fmt;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, with its table: `source.house.interval`.
    pub key: String,
    /// Its value as the person wrote it; empty where there is none.
    pub value: String,
    /// What is wrong, and how to mend it.
    pub remedy: String,
}

impl Problem {
    /// Something wrong with `value` at `key`.
    pub fn new(key: impl Into<String>, value: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}: {}", self.key, self.remedy),
            value => write!(f, "{} = {value}: {}", self.key, self.remedy),
        }
    }
}
