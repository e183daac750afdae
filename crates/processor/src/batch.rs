//! The records of one invocation, opened and sorted by the page they move. What cannot be read is set aside.

use std::collections::HashMap;

use wire::aggregate::{AggregateError, Deaggregated, deaggregate};
use wire::json::{DecodeError, Decoder};
use wire::{Identity, Reading};

use crate::envelope::{self, is_packed};
use crate::page_name::PageName;
use crate::record::{KinesisRecord, SequenceNumber};

/// The records of one invocation, sorted by page.
pub(crate) struct Batch<'a> {
    /// In the order of their first records.
    pub groups: Vec<Group<'a>>,
    /// What could not be read.
    pub poison: Vec<Poison>,
}

/// What one page is to fold.
pub(crate) struct Group<'a> {
    pub page: PageName,
    /// In the order of the shard.
    pub items: Vec<Item<'a>>,
}

/// A record of ours, or one reading that others wrote.
pub(crate) struct Item<'a> {
    pub record: &'a KinesisRecord<'a>,
    pub content: Content<'a>,
}

pub(crate) enum Content<'a> {
    /// Many readings of a lane, to be decoded as they are folded.
    Aggregate(Identity, Deaggregated<'a>),
    /// One reading in plain mode.
    Plain(Identity, Reading),
    /// A reading without our identity.
    Foreign(Reading),
}

/// The readings of one record that could not be read.
#[derive(Debug)]
pub(crate) struct Poison {
    pub shard: Box<str>,
    pub sequence: SequenceNumber,
    pub partition_key: Box<str>,
    /// A word of a closed set and how many readings, for each reading's reason.
    pub reasons: Vec<(&'static str, u64)>,
    /// What was wrong with the first of them.
    pub first: String,
}

impl<'a> Batch<'a> {
    pub fn of(records: &'a [KinesisRecord<'a>], decoder: &mut Decoder) -> Self {
        let mut sorted = Sorted::default();
        let mut poison = Vec::new();
        for record in records {
            let mut spoilt = Spoilt::default();
            match deaggregate(record.data) {
                Ok(aggregate) => match aggregate.identity() {
                    Some(identity) => sorted.push(
                        PageName::of_key(record.partition_key),
                        record,
                        Content::Aggregate(identity, aggregate),
                    ),
                    None => read_each(&aggregate, decoder, &mut spoilt, |reading| {
                        sorted.push(
                            PageName::of_series(reading.sensor().id()),
                            record,
                            Content::Foreign(reading),
                        );
                    }),
                },
                Err(AggregateError::NotAggregated) if is_packed(record.data) => {
                    let opened = envelope::open(
                        record.data,
                        |reading| {
                            let page = PageName::of_series(reading.sensor().id());
                            sorted.push(page, record, Content::Foreign(reading));
                        },
                        |error| spoilt.count(error.kind(), &error),
                    );
                    if let Err(error) = opened {
                        spoilt.count(error.kind(), &error);
                    }
                }
                Err(AggregateError::NotAggregated) => match decoder.decode(record.data) {
                    Ok(decoded) => match decoded.identity {
                        Some(identity) => sorted.push(
                            PageName::of_key(record.partition_key),
                            record,
                            Content::Plain(identity, decoded.reading),
                        ),
                        None => sorted.push(
                            PageName::of_series(decoded.reading.sensor().id()),
                            record,
                            Content::Foreign(decoded.reading),
                        ),
                    },
                    Err(error) => spoilt.reading(&error),
                },
                Err(error @ AggregateError::Malformed(_)) => spoilt.count("malformed_aggregate", &error),
            }
            poison.extend(spoilt.of(record));
        }
        Self {
            groups: sorted.groups,
            poison,
        }
    }
}

/// Hands over the readings of an aggregate, in order, and counts those that cannot be read.
pub(crate) fn read_each(
    aggregate: &Deaggregated<'_>,
    decoder: &mut Decoder,
    spoilt: &mut Spoilt,
    mut take: impl FnMut(Reading),
) {
    for record in aggregate.records() {
        match record {
            Ok(record) => match decoder.decode(record.data) {
                Ok(decoded) => take(decoded.reading),
                Err(error) => spoilt.reading(&error),
            },
            Err(error) => spoilt.count("malformed_user_record", &error),
        }
    }
}

/// Counts what could not be read of one record.
#[derive(Debug, Default)]
pub(crate) struct Spoilt {
    reasons: Vec<(&'static str, u64)>,
    first: Option<String>,
}

impl Spoilt {
    /// What was counted, as of `record`; nothing where all could be read.
    pub fn of(self, record: &KinesisRecord<'_>) -> Option<Poison> {
        Some(Poison {
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
struct Sorted<'a> {
    groups: Vec<Group<'a>>,
    places: HashMap<PageName, usize>,
}

impl<'a> Sorted<'a> {
    fn push(&mut self, page: PageName, record: &'a KinesisRecord<'a>, content: Content<'a>) {
        let place = *self.places.entry(page).or_insert_with_key(|page| {
            self.groups.push(Group {
                page: page.clone(),
                items: Vec::new(),
            });
            self.groups.len() - 1
        });
        self.groups[place].items.push(Item { record, content });
    }
}

impl Group<'_> {
    /// The lowest sequence number in it, where a retry of it must begin.
    pub fn first(&self) -> Option<&SequenceNumber> {
        self.items.iter().map(|item| &item.record.sequence).min()
    }
}
