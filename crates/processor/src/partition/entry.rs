//! What moves a partition: entries with consecutive versions, and checkpoints, the whole state at one version.

use detect::Event;
use serde::{Deserialize, Serialize};

use super::HighWaterMarks;
use crate::encoding;
use crate::store_error::StoreError;

/// Stores charge in units of this many bytes:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>.
pub const UNIT_BYTES: usize = 1024;

/// One conditional append: it moves the state and records the consequences, or neither.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// One more than the previous entry's; the first entry of a partition has 1.
    pub version: u64,
    /// How far it moves each shard.
    pub marks: HighWaterMarks,
    /// The readings folded and the producers' progress, as the detector's journal writes them.
    pub journal: Vec<u8>,
    /// The events of the fold, in order.
    pub events: Vec<Event>,
}

/// The whole state of a partition at one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Version of the last entry in it; 0 if there was none.
    pub version: u64,
    /// How far each shard was folded.
    pub marks: HighWaterMarks,
    /// The detector's state, as it encodes itself.
    pub state: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct EntryBody(HighWaterMarks, Vec<u8>, Vec<Event>);

#[derive(Serialize, Deserialize)]
struct CheckpointBody(HighWaterMarks, Vec<u8>);

impl Entry {
    /// Approximate cost of writing it; its few events are ignored.
    pub(crate) fn written_bytes(&self) -> usize {
        self.journal.len().next_multiple_of(UNIT_BYTES)
    }

    /// Encodes all but the version, which the store compares and keeps separately.
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(&(&self.marks, &self.journal, &self.events))
    }

    /// Decodes an entry.
    pub fn decode(version: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let EntryBody(marks, journal, events) = encoding::decode(bytes, || format!("entry {version} of a partition"))?;
        Ok(Self {
            version,
            marks,
            journal,
            events,
        })
    }
}

impl Checkpoint {
    /// Encodes all but the version, which the store compares and keeps separately.
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(&(&self.marks, &self.state))
    }

    /// Decodes a checkpoint.
    pub fn decode(version: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let CheckpointBody(marks, state) = encoding::decode(bytes, || format!("checkpoint {version} of a partition"))?;
        Ok(Self { version, marks, state })
    }
}

/// Encodes events for a store that keeps them apart from their entry.
pub fn encode_events(events: &[Event]) -> Vec<u8> {
    encoding::encode(&events)
}

/// Decodes events.
pub fn decode_events(bytes: &[u8]) -> Result<Vec<Event>, StoreError> {
    encoding::decode(bytes, || "the events of an entry".to_owned())
}
