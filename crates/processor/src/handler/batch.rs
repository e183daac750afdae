//! The records of one invocation, decoded and grouped by partition. What cannot be decoded is set aside.

use std::collections::HashMap;

use wire::aggregate::{AggregateError, Deaggregated, deaggregate};
use wire::json::{DecodeError, Decoder};
use wire::{Identity, Reading};

use crate::envelope::{self, is_packed};
use crate::partition::PartitionName;
use crate::record::{KinesisRecord, SequenceNumber};

/// The records of one invocation, grouped by partition.
pub(super) struct Batch<'a> {
    /// In the order of their first records.
    pub groups: Vec<Group<'a>>,
    /// What could not be decoded.
    pub decode_failures: Vec<DecodeFailures>,
}

/// What one partition has to fold.
pub(super) struct Group<'a> {
    pub partition: PartitionName,
    /// In shard order.
    pub items: Vec<Item<'a>>,
}

/// A record of ours, or one reading of another producer.
pub(super) struct Item<'a> {
    pub record: &'a KinesisRecord<'a>,
    pub content: Content<'a>,
}

pub(super) enum Content<'a> {
    /// Many readings of a lane, decoded as they are folded.
    Aggregate(Identity, Deaggregated<'a>),
    /// One reading in plain mode.
    Plain(Identity, Reading),
    /// A reading without our identity.
    Foreign(Reading),
}

/// The readings of one record that could not be decoded.
#[derive(Debug)]
pub(super) struct DecodeFailures {
    pub shard: Box<str>,
    pub sequence: SequenceNumber,
    pub partition_key: Box<str>,
    /// Readings by reason, a word of a closed set.
    pub reasons: Vec<(&'static str, u64)>,
    /// The error of the first of them.
    pub first: String,
}

impl<'a> Batch<'a> {
    pub fn of(records: &'a [KinesisRecord<'a>], decoder: &mut Decoder) -> Self {
        let mut grouped = Grouped::default();
        let mut decode_failures = Vec::new();
        for record in records {
            let mut failures = FailureCounter::default();
            match deaggregate(record.data) {
                Ok(aggregate) => match aggregate.identity() {
                    Some(identity) => grouped.push(
                        PartitionName::of_key(record.partition_key),
                        record,
                        Content::Aggregate(identity, aggregate),
                    ),
                    None => read_each(&aggregate, decoder, &mut failures, |reading| {
                        grouped.push(
                            PartitionName::of_series(reading.sensor().id()),
                            record,
                            Content::Foreign(reading),
                        );
                    }),
                },
                Err(AggregateError::NotAggregated) if is_packed(record.data) => {
                    let opened = envelope::open(
                        record.data,
                        |reading| {
                            let partition = PartitionName::of_series(reading.sensor().id());
                            grouped.push(partition, record, Content::Foreign(reading));
                        },
                        |error| failures.count(error.kind(), &error),
                    );
                    if let Err(error) = opened {
                        failures.count(error.kind(), &error);
                    }
                }
                Err(AggregateError::NotAggregated) => match decoder.decode(record.data) {
                    Ok(decoded) => match decoded.identity {
                        Some(identity) => grouped.push(
                            PartitionName::of_key(record.partition_key),
                            record,
                            Content::Plain(identity, decoded.reading),
                        ),
                        None => grouped.push(
                            PartitionName::of_series(decoded.reading.sensor().id()),
                            record,
                            Content::Foreign(decoded.reading),
                        ),
                    },
                    Err(error) => failures.reading(&error),
                },
                Err(error @ AggregateError::Malformed(_)) => failures.count("malformed_aggregate", &error),
            }
            decode_failures.extend(failures.of(record));
        }
        Self {
            groups: grouped.groups,
            decode_failures,
        }
    }
}

/// Passes on the readings of an aggregate, in order, and counts those that cannot be decoded.
pub(super) fn read_each(
    aggregate: &Deaggregated<'_>,
    decoder: &mut Decoder,
    failures: &mut FailureCounter,
    mut take: impl FnMut(Reading),
) {
    for record in aggregate.records() {
        match record {
            Ok(record) => match decoder.decode(record.data) {
                Ok(decoded) => take(decoded.reading),
                Err(error) => failures.reading(&error),
            },
            Err(error) => failures.count("malformed_user_record", &error),
        }
    }
}

/// Counts the decode failures of one record.
#[derive(Debug, Default)]
pub(super) struct FailureCounter {
    reasons: Vec<(&'static str, u64)>,
    first: Option<String>,
}

impl FailureCounter {
    /// The failures of `record`; `None` if there were none.
    pub fn of(self, record: &KinesisRecord<'_>) -> Option<DecodeFailures> {
        Some(DecodeFailures {
            shard: record.shard.into(),
            sequence: record.sequence.clone(),
            partition_key: record.partition_key.into(),
            reasons: self.reasons,
            first: self.first?,
        })
    }

    fn reading(&mut self, error: &DecodeError) {
        self.count(error.kind(), error);
    }

    fn count(&mut self, reason: &'static str, error: &dyn std::error::Error) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
        self.first.get_or_insert_with(|| error.to_string());
    }
}

#[derive(Default)]
struct Grouped<'a> {
    groups: Vec<Group<'a>>,
    places: HashMap<PartitionName, usize>,
}

impl<'a> Grouped<'a> {
    fn push(&mut self, partition: PartitionName, record: &'a KinesisRecord<'a>, content: Content<'a>) {
        let place = *self.places.entry(partition).or_insert_with_key(|partition| {
            self.groups.push(Group {
                partition: partition.clone(),
                items: Vec::new(),
            });
            self.groups.len() - 1
        });
        self.groups[place].items.push(Item { record, content });
    }
}

impl Group<'_> {
    /// The lowest sequence number, where a retry must begin.
    pub fn first(&self) -> Option<&SequenceNumber> {
        self.items.iter().map(|item| &item.record.sequence).min()
    }
}
