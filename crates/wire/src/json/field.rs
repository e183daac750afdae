//! One field of a reading's JSON object: where it stands, and what it says.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::{DecodeError, shortened};
use crate::reading::{MAX_NUMBERS, ValueError};
use crate::sensor::{SensorError, check_name};
use crate::{Bounds, Fields, Timestamp, Value};

/// A field, and its value as well-formed JSON.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    raw: &'a str,
    offset: usize,
}

impl<'a> Field<'a> {
    /// The field of that name, whose value is a part of `json`.
    pub fn new(name: &'static str, raw: &'a RawValue, json: &str) -> Self {
        let raw = raw.get();
        Self {
            name,
            raw,
            offset: raw.as_ptr().addr() - json.as_ptr().addr(),
        }
    }

    /// The id of a sensor.
    pub fn id(self) -> Result<Cow<'a, str>, DecodeError> {
        let id = self.name()?;
        if id.is_empty() {
            return Err(self.refused(SensorError::NoId));
        }
        Ok(id)
    }

    /// What is measured.
    pub fn kind(self) -> Result<Cow<'a, str>, DecodeError> {
        let kind = self.name()?;
        if kind.is_empty() {
            return Err(self.refused(SensorError::NoKind));
        }
        Ok(kind)
    }

    /// A kind, a unit or a group; perhaps empty.
    pub fn name(self) -> Result<Cow<'a, str>, DecodeError> {
        let name = self.text()?;
        check_name(&name).map_err(|error| self.refused(error))?;
        Ok(name)
    }

    /// An event time; without a zone it is UTC.
    pub fn time(self) -> Result<Timestamp, DecodeError> {
        self.text()?.parse().map_err(|error| self.refused(error))
    }

    /// A number, or an array of numbers gathered in `numbers`.
    pub fn value(self, numbers: &mut Vec<f64>) -> Result<Value, DecodeError> {
        let Some(array) = self.raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']')) else {
            return self.number().map(Value::Scalar);
        };
        numbers.clear();
        if array.trim_ascii().is_empty() {
            return Err(self.refused(ValueError::Empty));
        }
        // Between numbers no comma is part of anything else; what is not a number is refused by its first character.
        for item in array.split(',') {
            if numbers.len() == MAX_NUMBERS {
                return Err(self.refused(ValueError::TooMany(array.split(',').count())));
            }
            let item = item.trim_ascii();
            let offset = self.offset + (item.as_ptr().addr() - self.raw.as_ptr().addr());
            numbers.push(
                Self {
                    raw: item,
                    offset,
                    ..self
                }
                .number()?,
            );
        }
        Ok(Value::Vector(numbers.as_slice().into()))
    }

    /// The fields of an event, put together in `scratch`.
    pub fn event(self, scratch: &mut String) -> Result<Value, DecodeError> {
        Fields::read(self.raw, scratch)
            .map(Value::Event)
            .map_err(|error| self.refused(error))
    }

    /// The error that this field's value is refused for that reason.
    pub fn refused(self, problem: impl ToString) -> DecodeError {
        DecodeError::Field {
            field: self.name,
            offset: self.offset,
            value: shortened(self.raw),
            problem: problem.to_string().into(),
        }
    }

    fn number(self) -> Result<f64, DecodeError> {
        if !self
            .raw
            .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        {
            return Err(self.refused("not a number: send one such as 97.3, without quotes"));
        }
        // Every JSON number is a Rust one; those beyond the range of an f64 become infinite.
        let number: f64 = self.raw.parse().map_err(|error| self.refused(error))?;
        if !number.is_finite() {
            return Err(self.refused("beyond the range of a 64-bit floating point number: send a smaller one"));
        }
        Ok(number)
    }

    fn text(self) -> Result<Cow<'a, str>, DecodeError> {
        match self.raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
            Some(_) => serde_json::from_str(self.raw)
                .map(Cow::Owned)
                .map_err(|_| self.refused("an escape in it is no character: send characters as they are")),
            None => Err(self.refused("not a string: send one in quotes")),
        }
    }
}

/// Both bounds or none.
pub(super) fn bounds(lowest: Option<Field<'_>>, highest: Option<Field<'_>>) -> Result<Option<Bounds>, DecodeError> {
    match (lowest, highest) {
        (None, None) => Ok(None),
        (Some(one), None) | (None, Some(one)) => Err(one.refused("a bound without the other: send both or none")),
        (Some(lowest), Some(highest)) => match Bounds::new(lowest.number()?, highest.number()?) {
            Ok(bounds) => Ok(Some(bounds)),
            Err(error) => Err(lowest.refused(error)),
        },
    }
}
