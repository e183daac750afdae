//! The names of the profiles, as settings and the command line write them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The profiles this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Name {
    /// Rooms of a house, or the DHT device.
    Temperature,
    /// Wind turbines on sites.
    Wind,
    /// Visitors of web sites.
    Clickstream,
    /// Lines of an application's log.
    AppLog,
}

/// A profile as settings and the command line choose it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// One that this version knows.
    BuiltIn(Name),
    /// A profile file.
    File(PathBuf),
}

impl Name {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Temperature, Self::Wind, Self::Clickstream, Self::AppLog];

    /// As settings and the command line write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Wind => "wind",
            Self::Clickstream => "clickstream",
            Self::AppLog => "app_log",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("profile {text:?} is not known: use one of {known}")
        })
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().into()
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(name) => Ok(Self::BuiltIn(name)),
            Err(_) if text.ends_with(".toml") => Ok(Self::File(text.into())),
            Err(unknown) => Err(format!("{unknown}, or a profile file, whose name ends in .toml")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => name.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_an_unknown_one_names_the_known() {
        for name in Name::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        let error = "tide".parse::<Name>().err();
        assert_eq!(
            error.as_deref(),
            Some("profile \"tide\" is not known: use one of temperature, wind, clickstream, app_log")
        );
    }
}
