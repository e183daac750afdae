//! One shard: its slice of the hash space, its parents, its sequence numbers, what it has left and what it holds.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::ledger::Accepted;
use crate::throttle::Throttle;

/// One shard.
pub(crate) struct Shard {
    pub(crate) id: Arc<str>,
    pub(crate) slice: RangeInclusive<u128>,
    /// The shards it was made of: one by a split, two by a merge.
    pub(crate) parents: Vec<Arc<str>>,
    /// Takes no more records: others were made of it.
    pub(crate) closed: bool,
    pub(crate) throttle: Option<Throttle>,
    /// In order; empty where the endpoint keeps nothing in memory.
    pub(crate) records: Vec<Arc<Accepted>>,
    /// Sequence numbers begin with it: 24 of their 56 digits.
    prefix: String,
    next: u128,
}

impl Shard {
    /// Shards that share the hash space as equally as Kinesis divides it: the last one takes the rest.
    pub(crate) fn divide(count: u32, created_seconds: u64) -> Vec<Self> {
        let width = u128::MAX / u128::from(count);
        let start = |index: u32| u128::from(index) * width + u128::from(index);
        (0..count)
            .map(|index| {
                let end = if index + 1 == count {
                    u128::MAX
                } else {
                    start(index + 1) - 1
                };
                Self::new(index, start(index)..=end, Vec::new(), created_seconds)
            })
            .collect()
    }

    /// An open shard with nothing in it.
    pub(crate) fn new(index: u32, slice: RangeInclusive<u128>, parents: Vec<Arc<str>>, created_seconds: u64) -> Self {
        Self {
            id: format!("shardId-{index:012}").into(),
            slice,
            parents,
            closed: false,
            throttle: None,
            records: Vec::new(),
            prefix: format!("49{created_seconds:010}{index:012}"),
            next: 1,
        }
    }

    /// The sequence number no record has: where the shard begins.
    pub(crate) fn first_sequence(&self) -> String {
        format!("{}{:032}", self.prefix, 0)
    }

    /// The sequence number that ends a closed shard: greater than all in it.
    pub(crate) fn last_sequence(&self) -> Option<String> {
        self.closed.then(|| format!("{}{:032}", self.prefix, self.next))
    }

    /// A sequence number greater than all before it. All have as many digits, so that they sort as text too.
    pub(crate) fn next_sequence(&mut self) -> String {
        let sequence = format!("{}{:032}", self.prefix, self.next);
        self.next += 1;
        sequence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_hash_has_its_shard(count in 1_u32..200, hash: u128) {
            let shards = Shard::divide(count, 1_700_000_000);
            prop_assert_eq!(*shards[0].slice.start(), 0);
            prop_assert_eq!(*shards[shards.len() - 1].slice.end(), u128::MAX);
            for pair in shards.windows(2) {
                prop_assert_eq!(pair[0].slice.end() + 1, *pair[1].slice.start());
            }
            prop_assert_eq!(shards.iter().filter(|shard| shard.slice.contains(&hash)).count(), 1);
        }
    }

    #[test]
    fn sequence_numbers_rise_and_have_56_digits() {
        let mut shard = Shard::divide(1, 1_700_000_000).remove(0);
        let numbers: Vec<_> = (0..11).map(|_| shard.next_sequence()).collect();
        assert!(numbers.is_sorted() && numbers.iter().all(|number| number.len() == 56));
        assert!(shard.first_sequence() < numbers[0]);
    }
}
