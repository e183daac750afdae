//! Entries as items of the partitions table: one item, or several for a large entry, in a ring of places.

use super::attribute::{Item, Reader, bytes, integer, text};
use crate::encoding;
use crate::partition::{Entry, MAX_ENTRIES, PartitionName, encode_events};
use crate::store_error::StoreError;

/// The places of the ring.
pub(super) const RING: u64 = MAX_ENTRIES as u64;

/// Bytes of a split body in one item. DynamoDB takes items of 400 KB, names and keys included.
pub(super) const MOST_BYTES: usize = 380_000;

/// Entries being read, in the order of their places, until one is not the next version.
pub(super) struct Run<'a> {
    pub partition: &'a PartitionName,
    pub next: u64,
    pub ended: bool,
    pub entries: Vec<Entry>,
    /// An incomplete entry: its version, its journal so far, and the number of missing parts.
    open: Option<(u64, Vec<u8>, usize)>,
}

impl<'a> Run<'a> {
    pub fn new(partition: &'a PartitionName, from: u64) -> Self {
        Self {
            partition,
            next: from,
            ended: false,
            entries: Vec::new(),
            open: None,
        }
    }

    /// Checks that the last entry is complete.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.open {
            Some((version, ..)) => Err(StoreError::Damaged {
                what: format!("entry {version} of partition {}", self.partition),
                problem: "its last part is missing".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Takes the next item; false if it belongs to an earlier round.
    pub fn take(&mut self, item: &Item) -> Result<bool, StoreError> {
        let what = format!("an entry of partition {}", self.partition);
        let reader = Reader { item, what: &what };
        let version: u64 = reader.number("version")?;
        let is_part = reader.text("item")?.matches('/').count() > 1;
        match &mut self.open {
            Some((open, journal, missing)) if is_part && *open == version => {
                journal.extend_from_slice(reader.bytes("journal")?);
                *missing -= 1;
            }
            Some(_) => return Err(reader.damaged("a part of it is missing")),
            // Left over from a larger entry in the same place.
            None if is_part => return Ok(true),
            None if version != self.next => {
                self.ended = true;
                return Ok(false);
            }
            None => {
                let journal = reader.bytes("journal")?.to_vec();
                self.open = Some((version, journal, reader.optional_number("parts").unwrap_or_default()));
            }
        }
        if let Some((version, journal, 0)) = &self.open {
            let (marks, journal) = encoding::decode(journal, || what.clone())?;
            self.entries.push(Entry {
                version: *version,
                marks,
                journal,
                // They were delivered from the table's stream.
                events: Vec::new(),
            });
            self.next += 1;
            self.open = None;
        }
        Ok(true)
    }
}

/// The place of a version in the ring.
pub(super) fn place(version: u64) -> String {
    format!("entry/{:04}", version % RING)
}

/// The items of an entry: one, or several if it is too large. Each holds a part of the journal and whole events, so
/// that the alert function needs no other item.
pub(super) fn items_of(partition: &PartitionName, entry: &Entry) -> Vec<Item> {
    let journal = encoding::encode(&(&entry.marks, &entry.journal));
    let events = events_in_pieces(entry);
    let pieces: Vec<&[u8]> = journal.chunks(MOST_BYTES / 2).collect();
    let count = pieces.len().max(events.len());
    let mut events = events.into_iter();
    (0..count)
        .map(|part| {
            let name = match part {
                0 => place(entry.version),
                _ => format!("{}/{part:04}", place(entry.version)),
            };
            let journal = pieces.get(part).copied().unwrap_or_default();
            let mut item = Item::from([
                ("partition".to_owned(), text(partition.as_str())),
                ("item".to_owned(), text(name)),
                ("version".to_owned(), integer(entry.version)),
                ("journal".to_owned(), bytes(journal.to_vec())),
            ]);
            if part == 0 && count > 1 {
                item.insert("parts".to_owned(), integer(count as u64 - 1));
            }
            if let Some(events) = events.next() {
                item.insert("events".to_owned(), bytes(events));
            }
            item
        })
        .collect()
}

/// The events, encoded, in pieces of at most half an item.
fn events_in_pieces(entry: &Entry) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut waiting = vec![entry.events.as_slice()];
    while let Some(events) = waiting.pop() {
        let piece = encode_events(events);
        if piece.len() > MOST_BYTES / 2 && events.len() > 1 {
            let (before, after) = events.split_at(events.len() / 2);
            waiting.extend([after, before]);
        } else if !events.is_empty() {
            pieces.push(piece);
        }
    }
    pieces
}
