//! Partitions kept in memory between invocations: always exactly what is stored, and never more bytes than allowed.

use std::collections::{BTreeMap, HashMap};

use detect::{Partition, SENSOR_BYTES, StateError};

use super::{Checkpoint, Entry, HighWaterMarks, PartitionName, Stored};
use crate::store_error::StoreError;

/// Memory of a partition besides its sensors.
const PARTITION_BYTES: usize = 2048;

/// A partition in memory.
#[derive(Debug, Default)]
pub(crate) struct WarmPartition {
    pub state: Partition,
    pub marks: HighWaterMarks,
    /// Version of the last entry folded.
    pub version: u64,
    pub growth: Growth,
}

/// The newest checkpoint, and the entries after it.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// Size of the checkpoint.
    pub checkpoint_bytes: usize,
    /// Entries since.
    pub entries: usize,
    /// Bytes of their journals.
    pub journal_bytes: usize,
    /// Bytes a store charges for them.
    pub written_bytes: usize,
}

impl WarmPartition {
    /// A new partition with this state.
    pub fn new(state: Partition) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// Reads a stored partition: its checkpoint, then the entries after it. Refused if it weighs more than
    /// `most_weight`.
    pub fn restore(name: &PartitionName, stored: &Stored, most_weight: u64) -> Result<Self, StoreError> {
        let mut warm = match &stored.checkpoint {
            Some(checkpoint) => Self {
                state: Partition::decode(&checkpoint.state, most_weight).map_err(|error| unreadable(name, error))?,
                marks: checkpoint.marks.clone(),
                version: checkpoint.version,
                growth: Growth {
                    checkpoint_bytes: checkpoint.state.len(),
                    ..Growth::default()
                },
            },
            None => Self::default(),
        };
        warm.follow(name, &stored.entries)?;
        Ok(warm)
    }

    /// Replays entries of other invocations. After an error the partition is inconsistent and must be dropped.
    pub fn follow(&mut self, name: &PartitionName, entries: &[Entry]) -> Result<(), StoreError> {
        for entry in entries {
            if entry.version != self.version + 1 {
                return Err(StoreError::Damaged {
                    what: format!("partition {name}"),
                    problem: format!(
                        "entry {} follows entry {}: the ones between are missing",
                        entry.version, self.version
                    ),
                });
            }
            self.state
                .replay(&entry.journal)
                .map_err(|error| unreadable(name, error))?;
            self.marks.apply(&entry.marks);
            self.appended(std::slice::from_ref(entry));
        }
        Ok(())
    }

    /// These entries, which are folded already, are now stored.
    pub fn appended(&mut self, entries: &[Entry]) {
        self.version += entries.len() as u64;
        self.growth.entries += entries.len();
        self.growth.journal_bytes += entries.iter().map(|entry| entry.journal.len()).sum::<usize>();
        self.growth.written_bytes += entries.iter().map(Entry::written_bytes).sum::<usize>();
    }

    /// The whole state at the current version.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            version: self.version,
            marks: self.marks.clone(),
            state: self.state.encode(),
        }
    }

    /// The checkpoint is now stored.
    pub fn checkpointed(&mut self, checkpoint: &Checkpoint) {
        self.growth = Growth {
            checkpoint_bytes: checkpoint.state.len(),
            ..Growth::default()
        };
    }

    /// The most memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        PARTITION_BYTES + self.state.weight() as usize * SENSOR_BYTES
    }
}

fn unreadable(name: &PartitionName, error: StateError) -> StoreError {
    match error {
        StateError::Newer { what, found, known } => StoreError::Newer {
            what: format!("the {what} of partition {name}"),
            found: found.into(),
            known: known.into(),
        },
        StateError::Older { what, found, known } => StoreError::Older {
            what: format!("the {what} of partition {name}"),
            found: found.into(),
            known: known.into(),
        },
        StateError::TooLarge { weight, most, .. } => StoreError::TooLarge {
            what: format!("partition {name}"),
            sensors: weight,
            most,
        },
        StateError::Damaged { what, problem } => StoreError::Damaged {
            what: format!("the {what} of partition {name}"),
            problem,
        },
    }
}

/// The partitions used last, up to a number of bytes. A partition is taken out while it is folded, so that a fold that
/// is cut short leaves nothing behind that was not appended.
#[derive(Debug)]
pub(crate) struct WarmPartitions {
    partitions: HashMap<PartitionName, (u64, usize, WarmPartition)>,
    order: BTreeMap<u64, PartitionName>,
    clock: u64,
    bytes: usize,
    max_bytes: usize,
}

impl WarmPartitions {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            partitions: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// Memory of a partition, if it is warm.
    pub fn bytes_of(&self, name: &PartitionName) -> Option<usize> {
        self.partitions.get(name).map(|(_, bytes, _)| *bytes)
    }

    /// Removes a partition.
    pub fn take(&mut self, name: &PartitionName) -> Option<WarmPartition> {
        let (used, bytes, partition) = self.partitions.remove(name)?;
        self.order.remove(&used);
        self.bytes -= bytes;
        Some(partition)
    }

    /// Puts a partition back as the most recently used; drops the least recently used ones.
    pub fn put(&mut self, name: PartitionName, partition: WarmPartition) {
        self.take(&name);
        self.clock += 1;
        let bytes = partition.bytes();
        self.bytes += bytes;
        self.order.insert(self.clock, name.clone());
        self.partitions.insert(name, (self.clock, bytes, partition));
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.order.pop_first()
        {
            if let Some((_, bytes, _)) = self.partitions.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_least_recently_used() {
        let mut warm = WarmPartitions::new(3 * PARTITION_BYTES);
        for name in ["a", "b", "c"] {
            warm.put(PartitionName::of_key(name), WarmPartition::default());
        }
        let a = warm.take(&PartitionName::of_key("a"));
        assert!(a.is_some());
        warm.put(PartitionName::of_key("a"), a.unwrap_or_default());
        warm.put(PartitionName::of_key("d"), WarmPartition::default());
        assert!(warm.take(&PartitionName::of_key("b")).is_none());
        for name in ["a", "c", "d"] {
            assert!(warm.take(&PartitionName::of_key(name)).is_some(), "{name}");
        }
        assert_eq!((warm.bytes, warm.order.len(), warm.partitions.len()), (0, 0, 0));
    }
}
