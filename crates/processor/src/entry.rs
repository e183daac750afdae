//! What moves a page: entries, each one version after the last; and checkpoints, all of a page at one version.

use detect::Event;
use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::marks::Marks;
use crate::store_error::StoreError;

/// What a store charges for is rounded up to so many bytes:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>.
pub const UNIT_BYTES: usize = 1024;

/// One conditional append: it moves the state and records the consequences, both or neither.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// One more than that of the entry before; the first entry of a page has 1.
    pub version: u64,
    /// The shards it moves.
    pub marks: Marks,
    /// The readings folded and the producers' advance, as the detector's journal writes them.
    pub journal: Vec<u8>,
    /// What the fold told the world, in order.
    pub events: Vec<Event>,
}

/// All of a page at one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// That of the last entry in it; 0 where there was none.
    pub version: u64,
    /// The shards folded so far.
    pub marks: Marks,
    /// The detector's state, as it encodes itself.
    pub page: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct EntryBody(Marks, Vec<u8>, Vec<Event>);

#[derive(Serialize, Deserialize)]
struct CheckpointBody(Marks, Vec<u8>);

impl Entry {
    /// What it costs to write, about: its events are few.
    pub(crate) fn written_bytes(&self) -> usize {
        self.journal.len().next_multiple_of(UNIT_BYTES)
    }

    /// Its bytes; the version is kept beside them, because the store compares it.
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(&(&self.marks, &self.journal, &self.events))
    }

    /// The entry of these bytes.
    pub fn decode(version: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let EntryBody(marks, journal, events) = encoding::decode(bytes, || format!("entry {version} of a page"))?;
        Ok(Self {
            version,
            marks,
            journal,
            events,
        })
    }
}

impl Checkpoint {
    /// Its bytes; the version is kept beside them, because the store compares it.
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(&(&self.marks, &self.page))
    }

    /// The checkpoint of these bytes.
    pub fn decode(version: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let CheckpointBody(marks, page) = encoding::decode(bytes, || format!("checkpoint {version} of a page"))?;
        Ok(Self { version, marks, page })
    }
}

/// Events as a store keeps them apart from their entry.
pub fn encode_events(events: &[Event]) -> Vec<u8> {
    encoding::encode(&events)
}

/// The events of these bytes.
pub fn decode_events(bytes: &[u8]) -> Result<Vec<Event>, StoreError> {
    encoding::decode(bytes, || "the events of an entry".to_owned())
}
