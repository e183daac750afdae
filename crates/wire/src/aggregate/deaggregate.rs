//! The user records of a Kinesis record, borrowed from its bytes.

use std::str;

use md5::{Digest, Md5};

use super::protobuf::{Broken, Fields, Value};
use super::{DATA, DIGEST_BYTES, EXPLICIT_HASH_KEYS, MAGIC, NUMBER, PARTITION_KEYS, PRODUCER, RECORDS};
use super::{TAG_KEY, TAG_VALUE, TAGS};
use crate::Identity;

/// Why a Kinesis record has no user records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// It lacks the magic number, is empty, or its digest is of something else: a plain record, as for every KCL
    /// consumer.
    #[error("not an aggregated record: take it as a plain one")]
    NotAggregated,
    /// Its digest is right, but it was packed wrongly: its producer is at fault.
    #[error("reading an aggregated record: {0}: its digest is right, so mend the producer that packed it")]
    Malformed(&'static str),
}

/// Why one user record cannot be read. The others of its aggregate can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading user record {index} of an aggregated record: {problem}: mend the producer that packed it")]
pub struct UserRecordError {
    /// Its place in the aggregate, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// An aggregated record whose digest and framing are right.
#[derive(Clone, Debug)]
pub struct Deaggregated<'a> {
    message: &'a [u8],
    partition_keys: Vec<&'a [u8]>,
    explicit_hash_keys: Vec<&'a [u8]>,
}

/// One user record.
#[derive(Clone, Debug)]
pub struct UserRecord<'a> {
    /// The partition key its producer gave it.
    pub partition_key: &'a str,
    /// The explicit hash key its producer gave it, in decimal.
    pub explicit_hash_key: Option<&'a str>,
    /// Its bytes.
    pub data: &'a [u8],
    /// What its producer noted on it.
    pub tags: Tags<'a>,
}

/// The tags of a user record: keys, and values where they have one.
#[derive(Clone, Debug)]
pub struct Tags<'a>(Fields<'a>);

/// Opens an aggregated record. What follows is borrowed from `data`.
pub fn deaggregate(data: &[u8]) -> Result<Deaggregated<'_>, AggregateError> {
    let message = message(data).ok_or(AggregateError::NotAggregated)?;
    let mut partition_keys = Vec::new();
    let mut explicit_hash_keys = Vec::new();
    for field in Fields::of(message) {
        match field.map_err(|Broken(problem)| AggregateError::Malformed(problem))? {
            (PARTITION_KEYS, Value::Bytes(key)) => partition_keys.push(key),
            (EXPLICIT_HASH_KEYS, Value::Bytes(key)) => explicit_hash_keys.push(key),
            _ => {}
        }
    }
    Ok(Deaggregated {
        message,
        partition_keys,
        explicit_hash_keys,
    })
}

fn message(data: &[u8]) -> Option<&[u8]> {
    let (message, digest) = data.strip_prefix(&MAGIC)?.split_last_chunk::<DIGEST_BYTES>()?;
    (!message.is_empty() && Md5::digest(message)[..] == digest[..]).then_some(message)
}

impl<'a> Deaggregated<'a> {
    /// Its user records in their order, each readable or not by itself.
    pub fn records(&self) -> impl Iterator<Item = Result<UserRecord<'a>, UserRecordError>> {
        self.messages().enumerate().map(|(index, message)| {
            self.record(message)
                .map_err(|Broken(problem)| UserRecordError { index, problem })
        })
    }

    /// Who packed it, where it was one of our daemons.
    pub fn identity(&self) -> Option<Identity> {
        let first = self.record(self.messages().next()?).ok()?;
        let value = |name| first.tags.clone().find(|(key, _)| *key == name)?.1;
        Identity::read(value(PRODUCER)?, value(NUMBER)?)
    }

    fn messages(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Fields::of(self.message).filter_map(|field| match field {
            Ok((RECORDS, Value::Bytes(message))) => Some(message),
            _ => None,
        })
    }

    fn record(&self, message: &'a [u8]) -> Result<UserRecord<'a>, Broken> {
        let mut partition_key = None;
        let mut explicit_hash_key = None;
        let mut data = None;
        for field in Fields::of(message) {
            match field? {
                (PARTITION_KEYS, Value::Varint(index)) => partition_key = Some(index),
                (EXPLICIT_HASH_KEYS, Value::Varint(index)) => explicit_hash_key = Some(index),
                (DATA, Value::Bytes(bytes)) => data = Some(bytes),
                (TAGS, Value::Bytes(tag)) => check_tag(tag)?,
                _ => {}
            }
        }
        let partition_key = partition_key.ok_or(Broken("it names no partition key"))?;
        Ok(UserRecord {
            partition_key: key(&self.partition_keys, partition_key)?,
            explicit_hash_key: explicit_hash_key
                .map(|index| key(&self.explicit_hash_keys, index))
                .transpose()?,
            data: data.ok_or(Broken("it has no data"))?,
            tags: Tags(Fields::of(message)),
        })
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(|field| match field {
            Ok((TAGS, Value::Bytes(message))) => read_tag(message).ok(),
            _ => None,
        })
    }
}

fn read_tag(message: &[u8]) -> Result<(&str, Option<&str>), Broken> {
    let mut key = None;
    let mut value = None;
    for field in Fields::of(message) {
        match field? {
            (TAG_KEY, Value::Bytes(bytes)) => key = Some(text(bytes)?),
            (TAG_VALUE, Value::Bytes(bytes)) => value = Some(text(bytes)?),
            _ => {}
        }
    }
    Ok((key.ok_or(Broken("a tag has no key"))?, value))
}

fn check_tag(message: &[u8]) -> Result<(), Broken> {
    read_tag(message).map(drop)
}

fn key<'a>(table: &[&'a [u8]], index: u64) -> Result<&'a str, Broken> {
    let entry = usize::try_from(index).ok().and_then(|index| table.get(index));
    text(entry.ok_or(Broken("a key's index is out of its table"))?)
}

fn text(bytes: &[u8]) -> Result<&str, Broken> {
    str::from_utf8(bytes).map_err(|_| Broken("a text is not UTF-8"))
}
