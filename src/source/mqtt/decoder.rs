//! What a message says: readings, nothing, or something that is none. Pure: the time of arrival comes with the message.

use std::ops::Range;
use std::sync::Arc;

use values::problem::Problem;
use wire::{Reading, Sensor, Timestamp, Value, json};

use super::fields::Fields;
use super::names::{Names, Origin};
use super::rules::{Format, Rules, TIMES};
use super::time::{self, FieldTime};
use super::topic::Pattern;
use super::words;
use crate::source::settings::Settings;
use crate::source::validate::Validated;

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload: any bytes.
    pub payload: &'a [u8],
    /// True where the broker had kept it: it may be of any age.
    pub retained: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave readings.
    Readings,
    /// It is well-formed and says nothing that is measured: `{"state":"online"}`, `unavailable`.
    NoReading,
    /// The broker had kept it, and it does not say of when it is.
    Retained,
    /// Its topic is not asked for.
    Ignored,
    /// It is no reading.
    Malformed,
    /// It is larger than a message may be.
    TooLarge,
    /// Its sensors are new, and the source admits no more of them this hour.
    Refused,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Readings,
        Self::NoReading,
        Self::Retained,
        Self::Ignored,
        Self::Malformed,
        Self::TooLarge,
        Self::Refused,
    ];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::NoReading => "no_reading",
            Self::Retained => "retained",
            Self::Ignored => "ignored",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
        }
    }
}

/// Reads messages one by one and lets readings of a sensor share it.
#[derive(Debug)]
pub struct Decoder {
    rules: Rules,
    readings: json::Decoder,
    fields: Fields,
    named: Vec<Range<usize>>,
    names: Names,
}

impl Decoder {
    /// As the table `[source.name]` says; refused with all that is wrong with it.
    pub fn of(settings: &Settings, name: &str) -> Result<Self, Vec<Problem>> {
        match settings.validate(name)? {
            Validated::Mqtt(config) => Ok(Self::new(config.rules)),
            _ => Err(vec![Problem::new(
                format!("source.{name}.kind"),
                "",
                "has no messages to decode: use mqtt",
            )]),
        }
    }

    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            readings: json::Decoder::new(),
            fields: Fields::default(),
            named: Vec::new(),
            names: Names::default(),
        }
    }

    /// Adds what a message that arrived at `now` says to `readings`; nothing where it is malformed, for which it gives the
    /// reason.
    pub fn decode(
        &mut self,
        message: &Message<'_>,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Outcome, String> {
        let ignored = |pattern: &Pattern| pattern.matches(message.topic, &mut Vec::new());
        if self.rules.ignore_topics.iter().any(ignored) {
            return Ok(Outcome::Ignored);
        }
        let named = &mut self.named;
        let pattern = self
            .rules
            .topics
            .iter()
            .position(|pattern| pattern.matches(message.topic, named));
        let Some(pattern) = pattern else {
            return Ok(Outcome::Ignored);
        };
        let before = readings.len();
        let decoded = self.payload(message, pattern, now, readings);
        if decoded.is_err() {
            readings.truncate(before);
        }
        decoded
    }

    fn payload(
        &mut self,
        message: &Message<'_>,
        pattern: usize,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Outcome, String> {
        let payload = message.payload.trim_ascii();
        let format = self.rules.format;
        if payload.is_empty() {
            return Ok(Outcome::NoReading);
        }
        if payload[0] != b'{' {
            return match format {
                Format::Reading | Format::Object => Err("it is no JSON object".into()),
                Format::Auto | Format::Number | Format::State => self.text(message, payload, pattern, now, readings),
            };
        }
        match format {
            Format::Number | Format::State => return Err("it is an object, not a number".into()),
            Format::Reading => return self.reading(payload, readings),
            Format::Auto | Format::Object => {}
        }
        self.fields.read(payload).map_err(|error| error.to_string())?;
        let has = |name| self.fields.get(name).is_some();
        // What a reading may not be without, but for its value, which may be a list.
        let reading = ["sensor", "time", "kind"].into_iter().all(has)
            || ["deviceid", "timestamp", "datatype"].into_iter().all(has);
        match reading && format == Format::Auto {
            true => self.reading(payload, readings),
            false => self.object(message, pattern, now, readings),
        }
    }

    fn reading(&mut self, payload: &[u8], readings: &mut Vec<Reading>) -> Result<Outcome, String> {
        let decoded = self.readings.decode(payload).map_err(|error| error.to_string())?;
        readings.push(decoded.reading);
        Ok(Outcome::Readings)
    }

    fn text(
        &mut self,
        message: &Message<'_>,
        payload: &[u8],
        pattern: usize,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Outcome, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "it is neither JSON nor text")?;
        // Some publish texts as JSON has them.
        let text = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(text)
            .trim();
        let number = match words::number(text) {
            Some(number) => number,
            None if words::is_absent(text) => return Ok(Outcome::NoReading),
            None => match (words::boolean(text), self.rules.format) {
                (Some(boolean), _) if self.rules.booleans => f64::from(u8::from(boolean)),
                (Some(_), _) | (None, Format::State) => return Ok(Outcome::NoReading),
                (None, _) => return Err("it is neither a number nor a JSON object".into()),
            },
        };
        if message.retained {
            return Ok(Outcome::Retained);
        }
        self.fields.clear();
        let (origin, names) = self.origin(message, pattern);
        names.begin(&origin)?;
        readings.push(reading(names.sensor(&origin, None)?, now, number)?);
        Ok(Outcome::Readings)
    }

    fn object(
        &mut self,
        message: &Message<'_>,
        pattern: usize,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Outcome, String> {
        let time = match self.time()? {
            Some(time) => time,
            None if message.retained => return Ok(Outcome::Retained),
            None => now,
        };
        let before = readings.len();
        let (origin, names) = self.origin(message, pattern);
        names.begin(&origin)?;
        for (path, value) in origin.fields.iter() {
            if let Some(number) = origin.rules.number(path, value) {
                readings.push(reading(names.sensor(&origin, Some(path))?, time, number)?);
            }
        }
        Ok(match readings.len() > before {
            true => Outcome::Readings,
            false => Outcome::NoReading,
        })
    }

    fn origin<'a>(&'a mut self, message: &Message<'a>, pattern: usize) -> (Origin<'a>, &'a mut Names) {
        let origin = Origin {
            rules: &self.rules,
            pattern: &self.rules.topics[pattern],
            topic: message.topic,
            named: &self.named,
            fields: &self.fields,
        };
        (origin, &mut self.names)
    }

    /// What the object says of its time.
    fn time(&self) -> Result<Option<Timestamp>, String> {
        let zone = self.rules.zone.as_ref();
        if let Some(name) = &self.rules.time {
            let Some(value) = self.fields.get(name) else {
                return Ok(None);
            };
            return match time::told(value, zone) {
                FieldTime::At(time) => Ok(Some(time)),
                FieldTime::Nothing => Ok(None),
                FieldTime::NoTime => Err(format!("its field {name:?} is no time: {value:?}")),
            };
        }
        let told = TIMES.iter().filter_map(|name| self.fields.get(name));
        Ok(told
            .filter_map(|value| match time::told(value, zone) {
                FieldTime::At(time) => Some(time),
                FieldTime::Nothing | FieldTime::NoTime => None,
            })
            .next())
    }
}

fn reading(sensor: Arc<Sensor>, time: Timestamp, number: f64) -> Result<Reading, String> {
    Reading::new(sensor, time, Value::Scalar(number)).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
