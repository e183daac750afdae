//! Attributes of items: numbers within the range of DynamoDB, and attributes an item must have.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use wire::{Timestamp, Value};

use crate::store_error::StoreError;

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn integer(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn bytes(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// A number; beyond the range of DynamoDB's numbers, its digits as text:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-data-types>.
pub(super) fn number(number: f64) -> AttributeValue {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-130..1e125).contains(&magnitude) {
        AttributeValue::N(number.to_string())
    } else {
        AttributeValue::S(number.to_string())
    }
}

/// A number, or a list of numbers; an event as its JSON.
pub(super) fn value(value: &Value) -> AttributeValue {
    match value {
        Value::Scalar(scalar) => number(*scalar),
        Value::Event(fields) => AttributeValue::S(fields.as_json().to_owned()),
        Value::Vector(numbers) => AttributeValue::L(numbers.iter().map(|element| number(*element)).collect()),
    }
}

/// `2024-05-01 10:00:00.123456`, in UTC.
pub(super) fn utc(time: Timestamp) -> AttributeValue {
    text(&*time.zoneless())
}

/// Reads attributes of one item; `what` names it in errors.
pub(super) struct Reader<'a> {
    pub item: &'a Item,
    pub what: &'a str,
}

impl Reader<'_> {
    pub fn damaged(&self, problem: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            what: self.what.to_owned(),
            problem: problem.into(),
        }
    }

    fn missing(&self, name: &str, kind: &str) -> StoreError {
        self.damaged(format!("it has no attribute {name:?} that is {kind}"))
    }

    pub fn text(&self, name: &str) -> Result<&str, StoreError> {
        self.optional_text(name).ok_or_else(|| self.missing(name, "text"))
    }

    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.item.get(name)?.as_s().ok().map(String::as_str)
    }

    pub fn bytes(&self, name: &str) -> Result<&[u8], StoreError> {
        self.optional_bytes(name).ok_or_else(|| self.missing(name, "binary"))
    }

    pub fn optional_bytes(&self, name: &str) -> Option<&[u8]> {
        Some(self.item.get(name)?.as_b().ok()?.as_ref())
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.optional_number(name).ok_or_else(|| self.missing(name, "a number"))
    }

    pub fn optional_number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.item.get(name)?.as_n().ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_the_range_of_the_table() {
        for (value, inside) in [
            (0.0, true),
            (-97.3, true),
            (1e-130, true),
            (9.9e-131, false),
            (9.9e124, true),
            (-1e125, false),
            (f64::MAX, false),
            (f64::MIN_POSITIVE, false),
        ] {
            assert_eq!(number(value).is_n(), inside, "{value}");
        }
        assert_eq!(number(97.3), AttributeValue::N("97.3".to_owned()));
    }
}
