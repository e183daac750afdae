//! One field of an event: fixed, or drawn anew for each event.

use std::fmt;

use jiff::fmt::strtime;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fake::Fake;

/// The longest fixed text, choice or time format, in bytes.
const MAX_TEXT: usize = 1_024;

/// The most texts to choose from.
const MAX_CHOICES: usize = 1_000;

/// What a field says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// Always the same.
    Fixed(Fixed),
    /// The id of the event's sensor.
    Sensor,
    /// One of these, each as likely.
    Choice(Vec<Fixed>),
    /// One of these texts, by its weight.
    Weighted(Vec<(Box<str>, f64)>),
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// A number from the first to below the second.
    Float(f64, f64, Decimals),
    /// The first, and for each further event of a sensor so much more.
    Sequence(i64, i64),
    /// By mean and standard deviation.
    Normal(f64, f64, Decimals),
    /// By mean and standard deviation of its logarithm.
    LogNormal(f64, f64, Decimals),
    /// By its mean.
    Exponential(f64, Decimals),
    /// A whole number by its mean.
    Poisson(f64),
    /// A random UUID, version 4.
    Uuid,
    /// A name, an address, some words.
    Fake(Fake),
    /// The event's time in UTC, as `strftime` writes it.
    Time(Box<str>),
}

/// What a field always says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fixed {
    Text(Box<str>),
    Whole(i64),
    Number(f64),
    Boolean(bool),
}

/// Digits after the decimal point: 0 to 9.
pub(super) type Decimals = u8;

/// What a table may hold: one key that says what is drawn, and perhaps one that says how.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    sensor: Option<bool>,
    choice: Option<Vec<Scalar>>,
    weighted: Option<std::collections::BTreeMap<String, f64>>,
    integer: Option<(i64, i64)>,
    float: Option<(f64, f64)>,
    sequence: Option<i64>,
    normal: Option<(f64, f64)>,
    lognormal: Option<(f64, f64)>,
    exponential: Option<f64>,
    poisson: Option<f64>,
    uuid: Option<bool>,
    fake: Option<Fake>,
    time: Option<String>,
    step: Option<i64>,
    decimals: Option<u8>,
}

/// A fixed value within a list.
struct Scalar(Fixed);

const KINDS: &str = "sensor, choice, weighted, integer, float, sequence, normal, lognormal, exponential, poisson, \
                     uuid, fake or time";

impl Field {
    /// The most bytes it takes as JSON, escapes included.
    pub fn most_bytes(&self) -> usize {
        let text = |text: &str| 2 + text.len() * 6;
        match self {
            Self::Fixed(Fixed::Text(fixed)) => text(fixed),
            Self::Choice(choices) => {
                let texts = choices.iter().map(|choice| match choice {
                    Fixed::Text(choice) => text(choice),
                    _ => 32,
                });
                texts.max().unwrap_or_default()
            }
            Self::Weighted(choices) => choices.iter().map(|(choice, _)| text(choice)).max().unwrap_or_default(),
            // The longest thing strftime writes of a directive of two characters has fewer than 64.
            Self::Time(format) => 32 * format.len(),
            Self::Sensor => text("") + wire::sensor::MAX_NAME_BYTES * 6,
            Self::Fake(_) => 512,
            _ => 40,
        }
    }

    fn of(table: Table) -> Result<Self, String> {
        let decimals = table.decimals.unwrap_or(2);
        if decimals > 9 {
            return Err(format!("{decimals} decimals are too many: use 0 to 9"));
        }
        let mut found = Vec::new();
        let mut add = |field: Option<Result<Self, String>>| found.extend(field);
        add(table.sensor.map(|is| told(is, Self::Sensor, "sensor")));
        add(table.uuid.map(|is| told(is, Self::Uuid, "uuid")));
        add(table.fake.map(|fake| Ok(Self::Fake(fake))));
        add(table.choice.map(choice));
        add(table.weighted.map(|weights| {
            weighted(
                weights
                    .into_iter()
                    .map(|(text, weight)| (text.into(), weight))
                    .collect(),
            )
        }));
        add(table.integer.map(|(from, to)| match from <= to {
            true => Ok(Self::Integer(from, to)),
            false => Err(format!(
                "integer = [{from}, {to}] is the wrong way round: write the lower one first"
            )),
        }));
        add(table
            .float
            .map(|(from, to)| match from < to && from.abs().max(to.abs()) <= 1e12 {
                true => Ok(Self::Float(from, to, decimals)),
                false => Err(format!(
                    "float = [{from}, {to}] holds no number: write two, the lower one first"
                )),
            }));
        add(table
            .sequence
            .map(|first| Ok(Self::Sequence(first, table.step.unwrap_or(1)))));
        add(table.normal.map(|(mean, deviation)| {
            spread("normal", mean, deviation).map(|()| Self::Normal(mean, deviation, decimals))
        }));
        add(table
            .lognormal
            .map(|(mean, deviation)| match spread("lognormal", mean, deviation) {
                Ok(()) if mean + 40.0 * deviation > 500.0 => Err(format!(
                    "lognormal = [{mean}, {deviation}] has no finite numbers: both are of the logarithm"
                )),
                told => told.map(|()| Self::LogNormal(mean, deviation, decimals)),
            }));
        add(table
            .exponential
            .map(|mean| positive("exponential", mean, 1e12).map(|()| Self::Exponential(mean, decimals))));
        add(table
            .poisson
            .map(|mean| positive("poisson", mean, 1e9).map(|()| Self::Poisson(mean))));
        add(table.time.map(time));
        if found.len() != 1 {
            return Err(format!("it draws {} things: use one of {KINDS}", found.len()));
        }
        let field = found.swap_remove(0)?;
        let has_decimals = matches!(
            field,
            Self::Float(..) | Self::Normal(..) | Self::LogNormal(..) | Self::Exponential(..)
        );
        match (table.decimals, table.step, &field) {
            (Some(_), ..) if !has_decimals => {
                Err("decimals is of float, normal, lognormal and exponential: remove it".into())
            }
            (_, Some(_), field) if !matches!(field, Self::Sequence(..)) => Err("step is of sequence: remove it".into()),
            _ => Ok(field),
        }
    }
}

fn told(is: bool, field: Field, key: &str) -> Result<Field, String> {
    match is {
        true => Ok(field),
        false => Err(format!("{key} = false draws nothing: write {key} = true")),
    }
}

fn choice(choices: Vec<Scalar>) -> Result<Field, String> {
    match choices.len() {
        1..=MAX_CHOICES => Ok(Field::Choice(choices.into_iter().map(|Scalar(fixed)| fixed).collect())),
        many => Err(format!("there are {many} choices: write 1 to {MAX_CHOICES}")),
    }
}

fn weighted(weights: Vec<(Box<str>, f64)>) -> Result<Field, String> {
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let long = weights.iter().find(|(text, _)| text.len() > MAX_TEXT);
    let wrong = weights.iter().find(|(_, weight)| !(0.0..=1e12).contains(weight));
    match (long, wrong) {
        (Some((text, _)), _) => Err(format!(
            "a text of {} bytes is too long: use at most {MAX_TEXT}",
            text.len()
        )),
        (_, Some((text, weight))) => Err(format!("{text:?} has weight {weight}: use a number from 0")),
        _ if sum <= 0.0 => Err("no text has a weight: give at least one more than 0".into()),
        _ if weights.len() > MAX_CHOICES => Err(format!(
            "there are {} texts: write at most {MAX_CHOICES}",
            weights.len()
        )),
        _ => Ok(Field::Weighted(weights)),
    }
}

fn spread(key: &str, mean: f64, deviation: f64) -> Result<(), String> {
    match mean.abs() <= 1e12 && (0.0..=1e12).contains(&deviation) {
        true => Ok(()),
        false => Err(format!(
            "{key} = [{mean}, {deviation}]: write the mean, and a standard deviation from 0"
        )),
    }
}

fn positive(key: &str, mean: f64, most: f64) -> Result<(), String> {
    match mean > 0.0 && mean <= most {
        true => Ok(()),
        false => Err(format!("{key} = {mean}: write its mean, above 0 and at most {most}")),
    }
}

fn time(format: String) -> Result<Field, String> {
    if format.len() > 64 {
        return Err(format!("the format has {} bytes: use at most 64", format.len()));
    }
    let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    match strtime::format(&format, &epoch) {
        Ok(_) => Ok(Field::Time(format.into())),
        Err(error) => Err(format!(
            "{format:?} is no format of strftime: {error}; write one such as \"%Y-%m-%d %H:%M:%S\""
        )),
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(AsWritten)? {
            Field::Fixed(fixed) => Ok(Self(fixed)),
            _ => Err(D::Error::custom("a choice is a text, a number or a boolean")),
        }
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, a number, a boolean, or a table with one of {KINDS}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
        match text.len() {
            0..=MAX_TEXT => Ok(Field::Fixed(Fixed::Text(text.into()))),
            bytes => Err(E::custom(format!(
                "a text of {bytes} bytes is too long: use at most {MAX_TEXT}"
            ))),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Fixed(Fixed::Whole(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Field, E> {
        match number.is_finite() {
            true => Ok(Field::Fixed(Fixed::Number(number))),
            false => Err(E::custom("JSON has no such number: use a finite one")),
        }
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<Field, E> {
        Ok(Field::Fixed(Fixed::Boolean(boolean)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        Field::of(table).map_err(A::Error::custom)
    }
}
