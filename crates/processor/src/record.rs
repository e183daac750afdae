//! One record of one shard, as an event source delivers it. It knows no AWS type.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// One record as Kinesis delivers it.
#[derive(Clone, Debug)]
pub struct KinesisRecord<'a> {
    /// The shard it was read from.
    pub shard: &'a str,
    /// Its place in that shard.
    pub sequence: SequenceNumber,
    /// Its partition key.
    pub partition_key: &'a str,
    /// Approximate time of arrival in Kinesis.
    pub arrival: Timestamp,
    /// One reading in plain JSON, or many in the KPL aggregated format.
    pub data: &'a [u8],
}

/// A record's place in its shard: a decimal number of up to 129 digits (in practice 56), which exceeds `u128`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct SequenceNumber(Box<str>);

/// Not a sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sequence number {0:?} is not a decimal number without leading zeros")]
pub struct NotASequenceNumber(Box<str>);

impl SequenceNumber {
    /// The decimal digits, as Kinesis wrote them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for SequenceNumber {
    type Error = NotASequenceNumber;

    fn try_from(digits: Box<str>) -> Result<Self, Self::Error> {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain && (digits.len() == 1 || !digits.starts_with('0')) {
            Ok(Self(digits))
        } else {
            Err(NotASequenceNumber(digits))
        }
    }
}

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(digits: &str) -> Result<Self, Self::Err> {
        Self::try_from(Box::from(digits))
    }
}

impl From<u128> for SequenceNumber {
    fn from(number: u128) -> Self {
        Self(number.to_string().into())
    }
}

impl From<SequenceNumber> for Box<str> {
    fn from(number: SequenceNumber) -> Self {
        number.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without leading zeros the longer number is the larger one.
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn compares_as_numbers_and_not_as_text() {
        let order: Vec<SequenceNumber> = [
            "0",
            "9",
            "10",
            "340282366920938463463374607431768211456",
            "49590338271490256608559692538361571095921575989136588898",
            "49590338271490256608559692538361571095921575989136588899",
        ]
        .iter()
        .map(|digits| digits.parse().unwrap())
        .collect();
        assert!(order.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn refuses_what_is_not_a_number() {
        for digits in ["", "01", "-1", "1e3", "٣"] {
            assert!(digits.parse::<SequenceNumber>().is_err(), "{digits}");
        }
    }
}
