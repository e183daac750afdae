//! How far a partition has folded each shard: the last sequence number that moved it.

use serde::{Deserialize, Serialize};

use crate::record::SequenceNumber;

/// How many shards a partition remembers. Its records come from one shard at a time, and from another one only after a
/// split or merge, so this outlasts any resharding.
const MAX_SHARDS: usize = 64;

/// The last sequence number folded from each shard, the most recent shard last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMarks(Vec<HighWaterMark>);

/// The last sequence number folded from one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMark {
    /// The shard.
    pub shard: Box<str>,
    /// The last of its records that moved the partition.
    pub sequence: SequenceNumber,
}

impl HighWaterMarks {
    /// True if the partition has folded this record.
    pub fn covers(&self, shard: &str, sequence: &SequenceNumber) -> bool {
        self.0
            .iter()
            .any(|mark| &*mark.shard == shard && *sequence <= mark.sequence)
    }

    /// Notes that the partition has folded this record. Forgets the least recent shard if there are too many.
    pub fn set(&mut self, shard: &str, sequence: &SequenceNumber) {
        match self.0.iter().position(|mark| &*mark.shard == shard) {
            Some(position) => {
                self.0[position..].rotate_left(1);
                if let Some(mark) = self.0.last_mut() {
                    mark.sequence = sequence.clone();
                }
            }
            None => {
                if self.0.len() == MAX_SHARDS {
                    self.0.remove(0);
                }
                self.0.push(HighWaterMark {
                    shard: shard.into(),
                    sequence: sequence.clone(),
                });
            }
        }
    }

    /// Applies the marks of an entry.
    pub fn apply(&mut self, moved: &HighWaterMarks) {
        for mark in &moved.0 {
            self.set(&mark.shard, &mark.sequence);
        }
    }

    /// True if there is no mark.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_what_was_set_and_nothing_of_other_shards() {
        let mut marks = HighWaterMarks::default();
        marks.set("a", &7.into());
        marks.set("b", &3.into());
        marks.set("a", &9.into());
        assert!(marks.covers("a", &9.into()) && marks.covers("a", &8.into()) && marks.covers("b", &3.into()));
        assert!(!marks.covers("a", &10.into()) && !marks.covers("b", &4.into()) && !marks.covers("c", &1.into()));
    }

    #[test]
    fn forgets_the_least_recent_shard() {
        let mut marks = HighWaterMarks::default();
        for shard in 0..MAX_SHARDS {
            marks.set(&shard.to_string(), &1.into());
        }
        marks.set("0", &2.into());
        marks.set("new", &1.into());
        assert_eq!(marks.0.len(), MAX_SHARDS);
        assert!(marks.covers("0", &2.into()) && marks.covers("new", &1.into()) && !marks.covers("1", &1.into()));
    }
}
