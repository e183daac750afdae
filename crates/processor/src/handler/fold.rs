//! Folds the readings of an invocation into one partition, and returns what to append. Pure.

use detect::{Advance, Disposition, Event, Journal, Settings};
use postcard::ser_flavors::Size;
use wire::json::Decoder;
use wire::{Identity, Reading};

use super::batch::{Content, DecodeFailures, FailureCounter, Group, Item, read_each};
use super::counts::Counts;
use crate::partition::{Entry, HighWaterMarks, WarmPartition};
use crate::scores::Scored;

/// The result of a fold; nothing of it is stored yet.
pub(super) struct Folded {
    /// To be appended, in order; empty if nothing moved.
    pub entries: Vec<Entry>,
    /// The score of every reading, if wanted.
    pub scores: Vec<Scored>,
    /// To be counted once the entries are appended.
    pub counts: Counts,
    pub decode_failures: Vec<DecodeFailures>,
    /// The first sensor whose reading was not judged because the partition is full.
    pub refused: Option<Box<str>>,
}

/// Folds a group into entries of about `entry_bytes`.
///
/// A record of ours is never split: the producer's progress and all readings are in one entry, or a crash between two
/// entries would make the rest look repeated.
pub(super) struct Fold<'a> {
    partition: &'a mut WarmPartition,
    settings: &'a Settings,
    entry_bytes: usize,
    scores_wanted: bool,
    marks: HighWaterMarks,
    journal: Journal,
    events: Vec<Event>,
    event_bytes: usize,
    result: Folded,
}

impl<'a> Fold<'a> {
    pub fn new(
        partition: &'a mut WarmPartition,
        settings: &'a Settings,
        entry_bytes: usize,
        scores_wanted: bool,
    ) -> Self {
        Self {
            partition,
            settings,
            entry_bytes,
            scores_wanted,
            marks: HighWaterMarks::default(),
            journal: Journal::new(),
            events: Vec::new(),
            event_bytes: 0,
            result: Folded {
                entries: Vec::new(),
                scores: Vec::new(),
                counts: Counts::default(),
                decode_failures: Vec::new(),
                refused: None,
            },
        }
    }

    pub fn run(mut self, group: &Group<'_>, decoder: &mut Decoder) -> Folded {
        for item in &group.items {
            match &item.content {
                Content::Foreign(reading) => self.reading(reading),
                Content::Plain(identity, reading) => {
                    if self.begin(item, *identity) {
                        self.reading(reading);
                    }
                }
                Content::Aggregate(identity, aggregate) => {
                    if self.begin(item, *identity) {
                        let mut failures = FailureCounter::default();
                        read_each(aggregate, decoder, &mut failures, |reading| self.reading(&reading));
                        self.result.decode_failures.extend(failures.of(item.record));
                    }
                }
            }
            if self.journal.len() + self.event_bytes >= self.entry_bytes {
                self.close();
            }
        }
        self.close();
        self.result
    }

    /// True if the record is new and has to be folded.
    ///
    /// Only our own records are compared by sequence number: those of one partition key arrive in shard order. The
    /// records of another producer's sensor may have many keys, and the mapping may process keys concurrently, so a
    /// lower number may arrive later; if they are delivered again, their readings are late by event time.
    fn begin(&mut self, item: &Item<'_>, identity: Identity) -> bool {
        let record = item.record;
        let repeated = self.partition.marks.covers(record.shard, &record.sequence)
            || self
                .partition
                .state
                .advance(identity, record.arrival, &mut self.journal)
                == Advance::Repeated;
        if repeated {
            self.result.counts.repeated_records += 1;
        } else {
            self.partition.marks.set(record.shard, &record.sequence);
            self.marks.set(record.shard, &record.sequence);
        }
        !repeated
    }

    fn reading(&mut self, reading: &Reading) {
        let before = self.events.len();
        let folded = self
            .partition
            .state
            .fold(reading, self.settings, &mut self.journal, &mut self.events);
        match folded.disposition {
            Disposition::Fresh => self.result.counts.readings += 1,
            Disposition::Late => self.result.counts.late += 1,
            Disposition::Refused => {
                self.result.counts.refused += 1;
                let first = || reading.sensor().id().into();
                self.result.refused.get_or_insert_with(first);
            }
            Disposition::Event => self.result.counts.events += 1,
        }
        // Events have no score.
        if self.scores_wanted && folded.disposition != Disposition::Event {
            self.result.scores.push(Scored::of(reading, &folded));
        }
        for derived in self.partition.state.derived() {
            let folded = &derived.folded;
            match folded.disposition {
                Disposition::Fresh => self.result.counts.derived += 1,
                _ => self.result.counts.late += 1,
            }
            if self.scores_wanted {
                self.result.scores.push(Scored::of(&derived.reading, folded));
            }
        }
        for event in &self.events[before..] {
            match event {
                Event::Anomaly(_) => self.result.counts.anomalies += 1,
                Event::Incident(_) => self.result.counts.transitions += 1,
            }
            self.event_bytes += postcard::serialize_with_flavor(event, Size::default()).unwrap_or_default();
        }
    }

    /// Makes an entry of what was folded since the last one.
    fn close(&mut self) {
        if self.journal.is_empty() {
            return;
        }
        self.result.entries.push(Entry {
            version: self.partition.version + 1 + self.result.entries.len() as u64,
            marks: std::mem::take(&mut self.marks),
            journal: std::mem::take(&mut self.journal).into_bytes(),
            events: std::mem::take(&mut self.events),
        });
        self.event_bytes = 0;
    }
}
