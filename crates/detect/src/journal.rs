//! What was folded, in compact form: replayed onto the same partition, it gives the identical state.
//!
//! A version byte, then operations. Each begins with a varint: the lowest three bits say which operation, the rest is
//! the index of the sensor in its partition. A reading is its step in time from the sensor's previous one (zigzag
//! varint, µs) and its value in the shortest form that gives back the same bits: usually 5 to 14 bytes. Settings belong
//! to no sensor: their index tells settings, the digest of an event, and the eviction of a sensor apart.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Identity, ProducerId, Sensor, Timestamp, Value};

use crate::stored::{self, StateError};
use crate::{Settings, encoding};

const WHAT: &str = "journal";
const VERSION: u8 = 4;

/// With index 0, settings; with the others, an event or the eviction of a sensor.
const SETTINGS: u8 = 0;
const EVENT: u32 = 1;
const EVICTION: u32 = 2;
const PRODUCER: u8 = 1;
const SENSOR: u8 = 2;
const HUNDREDTHS: u8 = 3;
const WHOLE: u8 = 4;
const SINGLE: u8 = 5;
const DOUBLE: u8 = 6;
const VECTOR: u8 = 7;

/// The largest number, whole or in hundredths, written as a varint: it takes at most 7 bytes.
const LARGEST: f64 = (1u64 << 47) as f64;

/// What was folded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    bytes: Vec<u8>,
}

impl Journal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if nothing was folded.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes for [`Partition::replay`](crate::Partition::replay); empty if nothing was folded.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn settings(&mut self, settings: &Settings) {
        self.head(SETTINGS, 0);
        self.serialized(settings);
    }

    pub(crate) fn producer(&mut self, identity: Identity, arrival: Timestamp) {
        self.head(PRODUCER, 0);
        self.bytes.extend_from_slice(&identity.producer.0.to_le_bytes());
        self.varint(identity.number);
        self.varint(zigzag(arrival.as_micros()));
    }

    pub(crate) fn sensor(&mut self, index: u32, sensor: &Arc<Sensor>) {
        self.head(SENSOR, index);
        self.serialized(&Described { sensor: sensor.clone() });
    }

    /// A reading, `step` microseconds after the previous one of its sensor, or after the epoch if it is the first.
    pub(crate) fn reading(&mut self, index: u32, step: i64, value: &Value) {
        match value {
            Value::Event(_) => unreachable!("an event moves no sensor"),
            Value::Vector(numbers) => {
                self.head(VECTOR, index);
                self.varint(zigzag(step));
                self.varint(numbers.len() as u64);
                for number in &**numbers {
                    self.bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
            Value::Scalar(number) => {
                let (whole, hundredths) = (number.trunc(), (number * 100.0).round());
                let same = |other: f64| other.to_bits() == number.to_bits();
                if whole.abs() < LARGEST && same(whole as i64 as f64) {
                    self.head(WHOLE, index);
                    self.varint(zigzag(step));
                    self.varint(zigzag(whole as i64));
                } else if hundredths.abs() < LARGEST && same(hundredths as i64 as f64 / 100.0) {
                    self.head(HUNDREDTHS, index);
                    self.varint(zigzag(step));
                    self.varint(zigzag(hundredths as i64));
                } else if same(f64::from(*number as f32)) {
                    self.head(SINGLE, index);
                    self.varint(zigzag(step));
                    self.bytes.extend_from_slice(&(*number as f32).to_le_bytes());
                } else {
                    self.head(DOUBLE, index);
                    self.varint(zigzag(step));
                    self.bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    /// The digest of an event, `step` microseconds after the latest one of its sensor, or after the epoch if it is the
    /// first.
    pub(crate) fn event(&mut self, index: u32, step: i64, digest: &[u64]) {
        self.head(SETTINGS, EVENT);
        self.varint(u64::from(index));
        self.varint(zigzag(step));
        self.varint(digest.len() as u64);
        digest.iter().for_each(|number| self.varint(*number));
    }

    pub(crate) fn eviction(&mut self, index: u32) {
        self.head(SETTINGS, EVICTION);
        self.varint(u64::from(index));
    }

    fn head(&mut self, operation: u8, index: u32) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        self.varint(u64::from(index) << 3 | u64::from(operation));
    }

    fn serialized(&mut self, item: &impl Serialize) {
        let bytes = postcard::to_stdvec(item).expect("settings and sensors have no form postcard lacks");
        self.bytes.extend_from_slice(&bytes);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// One entry of a journal.
#[derive(Debug)]
pub(crate) enum Operation {
    Settings(Settings),
    Producer(Identity, Timestamp),
    Sensor(u32, Arc<Sensor>),
    Eviction(u32),
    Reading { index: u32, step: i64, value: Value },
    Event { index: u32, step: i64, digest: Vec<u64> },
}

#[derive(Serialize, Deserialize)]
struct Described {
    #[serde(with = "encoding::sensor")]
    sensor: Arc<Sensor>,
}

/// Reads the operations of a journal's bytes, in order; after an error, nothing more.
pub(crate) struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Operations<'a> {
    pub fn of(bytes: &'a [u8]) -> Result<Self, StateError> {
        let rest = match bytes {
            [] => bytes,
            _ => stored::versioned(WHAT, bytes, VERSION)?,
        };
        Ok(Self { rest })
    }

    fn operation(&mut self) -> Result<Operation, StateError> {
        let head = self.varint()?;
        let index = u32::try_from(head >> 3).map_err(|_| damaged("a sensor's index is too large"))?;
        let value = match (head & 7) as u8 {
            SETTINGS if index == EVENT => return self.event(),
            SETTINGS if index == EVICTION => return Ok(Operation::Eviction(self.index()?)),
            SETTINGS => return Ok(Operation::Settings(self.deserialized()?)),
            PRODUCER => {
                let producer = ProducerId(u64::from_le_bytes(self.chunk()?));
                let number = self.varint()?;
                let arrival = Timestamp::from_micros(self.signed()?).ok_or_else(|| damaged("an arrival is no time"))?;
                return Ok(Operation::Producer(Identity { producer, number }, arrival));
            }
            SENSOR => {
                let Described { sensor } = self.deserialized()?;
                return Ok(Operation::Sensor(index, sensor));
            }
            form => form,
        };
        let step = self.signed()?;
        let value = match value {
            WHOLE => Value::Scalar(self.signed()? as f64),
            HUNDREDTHS => Value::Scalar(self.signed()? as f64 / 100.0),
            SINGLE => Value::Scalar(f64::from(f32::from_le_bytes(self.chunk()?))),
            DOUBLE => Value::Scalar(f64::from_le_bytes(self.chunk()?)),
            _ => {
                let len = self.varint()?;
                if len > self.rest.len() as u64 / 8 {
                    return Err(damaged("a vector is cut short"));
                }
                let numbers: Result<Vec<f64>, _> = (0..len).map(|_| self.chunk().map(f64::from_le_bytes)).collect();
                Value::Vector(numbers?.into())
            }
        };
        Ok(Operation::Reading { index, step, value })
    }

    fn event(&mut self) -> Result<Operation, StateError> {
        let index = self.index()?;
        let step = self.signed()?;
        let len = self.varint()?;
        if len > self.rest.len() as u64 {
            return Err(damaged("an event is cut short"));
        }
        let digest: Result<Vec<u64>, _> = (0..len).map(|_| self.varint()).collect();
        Ok(Operation::Event {
            index,
            step,
            digest: digest?,
        })
    }

    fn index(&mut self) -> Result<u32, StateError> {
        u32::try_from(self.varint()?).map_err(|_| damaged("a sensor's index is too large"))
    }

    fn varint(&mut self) -> Result<u64, StateError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.chunk()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged("a number does not end"))
    }

    fn signed(&mut self) -> Result<i64, StateError> {
        self.varint()
            .map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (chunk, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| damaged("it is cut short"))?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn deserialized<T: Deserialize<'a>>(&mut self) -> Result<T, StateError> {
        let (item, rest) = postcard::take_from_bytes(self.rest).map_err(damaged)?;
        self.rest = rest;
        Ok(item)
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let operation = self.operation();
        if operation.is_err() {
            self.rest = &[];
        }
        Some(operation)
    }
}

/// A journal that cannot be replayed.
pub(crate) fn damaged(problem: impl ToString) -> StateError {
    StateError::damaged(WHAT, problem)
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = f64> {
        prop_oneof![
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            any::<f32>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(f64::from),
            (-1_000_000i64..1_000_000).prop_map(|number| number as f64 / 100.0),
            any::<i32>().prop_map(f64::from),
        ]
    }

    proptest! {
        #[test]
        fn readings_come_back_bit_for_bit(index: u32, step: i64, numbers in proptest::collection::vec(values(), 1..4)) {
            let mut journal = Journal::new();
            for number in &numbers {
                journal.reading(index, step, &Value::Scalar(*number));
            }
            journal.reading(index, step, &Value::Vector(numbers.clone().into()));
            let bytes = journal.into_bytes();
            let mut read = Vec::new();
            for operation in Operations::of(&bytes).unwrap() {
                let Operation::Reading { index: i, step: s, value } = operation.unwrap() else { panic!("not a reading") };
                prop_assert_eq!((i, s), (index, step));
                read.extend(value.numbers().iter().map(|number| number.to_bits()));
            }
            let expected: Vec<u64> = numbers.iter().chain(&numbers).map(|number| number.to_bits()).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn garbage_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(operations) = Operations::of(&bytes) {
                prop_assert!(operations.count() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_temperature_of_a_steady_sensor_takes_seven_bytes() {
        let mut journal = Journal::new();
        journal.reading(3, 1_000_000, &Value::Scalar(97.3));
        let first = journal.len();
        journal.reading(3, 1_000_000, &Value::Scalar(96.9));
        assert_eq!(journal.len() - first, 7);
    }

    #[test]
    fn a_newer_journal_is_refused_by_name() {
        let error = Operations::of(&[VERSION + 1, 0]).err().unwrap();
        assert!(error.to_string().contains("journal has layout 5"), "{error}");
    }

    #[test]
    fn an_older_journal_is_refused_by_name() {
        let error = Operations::of(&[VERSION - 1, 0]).err().unwrap();
        assert!(error.to_string().contains("journal has layout 3"), "{error}");
    }
}
