//! How far a page has folded each shard: the last sequence number of it that moved the page.

use serde::{Deserialize, Serialize};

use crate::record::SequenceNumber;

/// How many shards a page remembers. Its records come from one shard at a time, and from another only after the stream
/// was split or merged, so this outlasts any resharding.
const MAX_SHARDS: usize = 64;

/// The last sequence number folded of each shard, the shard heard last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks(Vec<Mark>);

/// The last sequence number folded of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The shard.
    pub shard: Box<str>,
    /// The last of its records that moved the page.
    pub sequence: SequenceNumber,
}

impl Marks {
    /// True where the page has folded this record before.
    pub fn covers(&self, shard: &str, sequence: &SequenceNumber) -> bool {
        self.0
            .iter()
            .any(|mark| &*mark.shard == shard && *sequence <= mark.sequence)
    }

    /// The page has folded this record now. The shard not heard for longest is forgotten where there are too many.
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
                self.0.push(Mark {
                    shard: shard.into(),
                    sequence: sequence.clone(),
                });
            }
        }
    }

    /// Takes over what an entry moved.
    pub fn apply(&mut self, moved: &Marks) {
        for mark in &moved.0 {
            self.set(&mark.shard, &mark.sequence);
        }
    }

    /// True where no shard was heard.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_what_was_set_and_nothing_of_other_shards() {
        let mut marks = Marks::default();
        marks.set("a", &7.into());
        marks.set("b", &3.into());
        marks.set("a", &9.into());
        assert!(marks.covers("a", &9.into()) && marks.covers("a", &8.into()) && marks.covers("b", &3.into()));
        assert!(!marks.covers("a", &10.into()) && !marks.covers("b", &4.into()) && !marks.covers("c", &1.into()));
    }

    #[test]
    fn forgets_the_shard_not_heard_for_longest() {
        let mut marks = Marks::default();
        for shard in 0..MAX_SHARDS {
            marks.set(&shard.to_string(), &1.into());
        }
        marks.set("0", &2.into());
        marks.set("new", &1.into());
        assert_eq!(marks.0.len(), MAX_SHARDS);
        assert!(marks.covers("0", &2.into()) && marks.covers("new", &1.into()) && !marks.covers("1", &1.into()));
    }
}
