//! One page folds what an invocation has for it, and says what to append. Pure.

use detect::{Advance, Disposition, Event, Journal, Settings};
use postcard::ser_flavors::Size;
use wire::json::Decoder;
use wire::{Identity, Reading};

use crate::batch::{Content, Group, Item, Poison, Spoilt, read_each};
use crate::entry::Entry;
use crate::handler::Counts;
use crate::marks::Marks;
use crate::scores::Scored;
use crate::warm::WarmPage;

/// What a fold came to, nothing of it stored yet.
pub(crate) struct Folded {
    /// To be appended, in order; none where nothing moved.
    pub entries: Vec<Entry>,
    /// What every reading came to, where that is wanted.
    pub scores: Vec<Scored>,
    /// To be counted once they are appended.
    pub counts: Counts,
    pub poison: Vec<Poison>,
    /// The first sensor whose reading was not judged because the page is full.
    pub refused: Option<Box<str>>,
}

/// Folds what a group has for a page, into entries of about `entry_bytes`.
///
/// A record of ours is never cut: the producer's advance and all its readings are in one entry, or a crash between two
/// would make the rest look repeated.
pub(crate) struct Fold<'a> {
    page: &'a mut WarmPage,
    settings: &'a Settings,
    entry_bytes: usize,
    scores_wanted: bool,
    marks: Marks,
    journal: Journal,
    events: Vec<Event>,
    event_bytes: usize,
    result: Folded,
}

impl<'a> Fold<'a> {
    pub fn new(page: &'a mut WarmPage, settings: &'a Settings, entry_bytes: usize, scores_wanted: bool) -> Self {
        Self {
            page,
            settings,
            entry_bytes,
            scores_wanted,
            marks: Marks::default(),
            journal: Journal::new(),
            events: Vec::new(),
            event_bytes: 0,
            result: Folded {
                entries: Vec::new(),
                scores: Vec::new(),
                counts: Counts::default(),
                poison: Vec::new(),
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
                        let mut spoilt = Spoilt::default();
                        read_each(aggregate, decoder, &mut spoilt, |reading| self.reading(&reading));
                        self.result.poison.extend(spoilt.of(item.record));
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

    /// True where the record is to be folded.
    ///
    /// Only records of ours are compared by sequence number: those of one partition key come in the order of the shard.
    /// A series' records may have many keys, and the mapping may run keys side by side, so a lower number may come
    /// later; what is delivered again of them is late by its own time.
    fn begin(&mut self, item: &Item<'_>, identity: Identity) -> bool {
        let record = item.record;
        let repeated = self.page.marks.covers(record.shard, &record.sequence)
            || self.page.page.advance(identity, record.arrival, &mut self.journal) == Advance::Repeated;
        if repeated {
            self.result.counts.repeated_records += 1;
        } else {
            self.page.marks.set(record.shard, &record.sequence);
            self.marks.set(record.shard, &record.sequence);
        }
        !repeated
    }

    fn reading(&mut self, reading: &Reading) {
        let before = self.events.len();
        let folded = self
            .page
            .page
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
        // Only numbers have scores.
        if self.scores_wanted && folded.disposition != Disposition::Event {
            self.result.scores.push(Scored::of(reading, &folded));
        }
        for derived in self.page.page.derived() {
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

    /// What was folded since the last entry becomes one.
    fn close(&mut self) {
        if self.journal.is_empty() {
            return;
        }
        self.result.entries.push(Entry {
            version: self.page.version + 1 + self.result.entries.len() as u64,
            marks: std::mem::take(&mut self.marks),
            journal: std::mem::take(&mut self.journal).into_bytes(),
            events: std::mem::take(&mut self.events),
        });
        self.event_bytes = 0;
    }
}
