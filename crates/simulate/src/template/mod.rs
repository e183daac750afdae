//! Events made of a template: which fields they have, how often they come, and what is injected. A template is a profile
//! that is a file; some are built in.

use std::collections::BTreeMap;

use serde::Deserialize;
use values::document::Document;
use values::duration::Within;
use values::problem::Problem;
use wire::fields::{FieldsWriter, MAX_EVENT_BYTES, MAX_FIELDS};
use wire::sensor::MAX_NAME_BYTES;

use crate::Name;

mod draw;
mod events;
mod fake;
mod field;

pub use events::{Events, Plan};
use field::Field;

const CLICKSTREAM: &str = include_str!("clickstream.toml");
const APP_LOG: &str = include_str!("app_log.toml");

/// How events are made, checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What their sensors measure. Default `"event"`.
    #[serde(default = "event")]
    pub kind: Label,
    /// What sensor ids begin with, before their number.
    #[serde(default)]
    pub prefix: Option<Label>,
    /// The group of all sensors.
    #[serde(default)]
    pub group: Option<Label>,
    /// Events a second of each sensor.
    pub rate: Rate,
    /// How they are spread over time. Default `"poisson"`.
    #[serde(default)]
    pace: Pace,
    /// Their fields, in the order of their names.
    event: BTreeMap<FieldName, Field>,
    /// What is injected where a simulation has faults.
    #[serde(default)]
    anomaly: Option<Anomaly>,
}

/// While it lasts, these fields are drawn otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anomaly {
    /// In event time.
    lasts: Within<1_000, 86_400_000>,
    event: BTreeMap<FieldName, Field>,
}

/// How events are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Pace {
    /// At any moment as likely as at any other.
    #[default]
    Poisson,
    /// One as long after the other.
    Steady,
}

/// Events a second: above 0, at most 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, serde::Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

/// A kind, prefix or group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Label(String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct FieldName(String);

impl Template {
    /// The template of this text, or all that is wrong with it: each with file, line and remedy. People know the text by
    /// `name`.
    ///
    /// # Errors
    ///
    /// What is no template.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<String>> {
        let document = Document::new(name, text);
        let template: Self = document.parse()?;
        let problems = template.check();
        match problems.is_empty() {
            true => Ok(template),
            false => Err(problems.iter().map(|problem| document.describe(problem)).collect()),
        }
    }

    /// The template that is built in under this name.
    ///
    /// # Errors
    ///
    /// A profile that measures has none.
    pub fn built_in(name: Name) -> Result<Self, Vec<String>> {
        match Self::text(name) {
            Some(text) => Self::parse(name.as_str(), text),
            None => Err(vec![format!("{name} measures: it is no template of events")]),
        }
    }

    /// The text of the template that is built in by this name; `None` where it measures.
    pub fn text(name: Name) -> Option<&'static str> {
        match name {
            Name::Clickstream => Some(CLICKSTREAM),
            Name::AppLog => Some(APP_LOG),
            Name::Temperature | Name::Wind => None,
        }
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self.event.len() {
            0 => problems.push(Problem::new(
                "event",
                "",
                "an event has at least one field: add one such as action = \"Click\"",
            )),
            1..=MAX_FIELDS => {}
            many => problems.push(Problem::new(
                "event",
                "",
                format!("{many} fields are too many: use at most {MAX_FIELDS}"),
            )),
        }
        let anomaly = self.anomaly.iter().flat_map(|anomaly| &anomaly.event);
        for (FieldName(name), _) in anomaly.clone().filter(|(name, _)| !self.event.contains_key(*name)) {
            let remedy = format!("is no field of [event]: add {name} there, or remove it here");
            problems.push(Problem::new(format!("anomaly.event.{name}"), "", remedy));
        }
        let bytes: usize = self
            .event
            .iter()
            .chain(anomaly)
            .map(|(FieldName(name), field)| name.len() + 4 + field.most_bytes())
            .sum();
        if bytes > MAX_EVENT_BYTES {
            let remedy =
                format!("an event may take {bytes} bytes: use less text, so that it takes at most {MAX_EVENT_BYTES}");
            problems.push(Problem::new("event", "", remedy));
        }
        problems
    }
}

impl Rate {
    /// Events a second.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        match (1e-6..=1e5).contains(&rate) {
            true => Ok(Self(rate)),
            false => Err(format!("{rate} events a second: use a number from 0.000001 to 100000")),
        }
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.len() {
            0..=MAX_NAME_BYTES => Ok(Self(text)),
            bytes => Err(format!("it has {bytes} bytes: use at most {MAX_NAME_BYTES}")),
        }
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match FieldsWriter::new().boolean(&name, true).finish() {
            Ok(_) => Ok(Self(name)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn event() -> Label {
    Label("event".into())
}

#[cfg(test)]
mod tests;
