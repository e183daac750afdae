//! Maps hash ranges to shards, as learned from the stream's answers: a lane without an answer of its own is paced like
//! its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Non-overlapping hash ranges, keyed by their first hash.
#[derive(Debug, Default)]
pub(crate) struct ShardMap(BTreeMap<u128, Range>);

#[derive(Debug)]
struct Range {
    last: u128,
    shard: Arc<str>,
}

impl ShardMap {
    /// The shard known to cover this hash, or the hashes on both sides of it.
    pub fn shard_of(&self, hash: u128) -> Option<&Arc<str>> {
        let (_, range) = self.0.range(..=hash).next_back()?;
        (hash <= range.last).then_some(&range.shard)
    }

    /// Records that a shard accepted a record with this hash. Entries that contradict it predate a reshard and are
    /// removed.
    pub fn learn(&mut self, hash: u128, shard: &Arc<str>) {
        if self.shard_of(hash) == Some(shard) {
            return;
        }
        let known = self.0.iter().find(|(_, range)| range.shard == *shard);
        let (first, last) = known.map_or((hash, hash), |(first, range)| (hash.min(*first), hash.max(range.last)));
        let overlapping = self.0.range(..=last).rev();
        let outdated: Vec<u128> = overlapping
            .take_while(|(_, range)| range.last >= first)
            .map(|(first, _)| *first)
            .collect();
        for first in outdated {
            self.0.remove(&first);
        }
        let shard = shard.clone();
        self.0.insert(first, Range { last, shard });
    }

    /// Forgets a shard that may be closed.
    pub fn forget(&mut self, shard: &str) {
        self.0.retain(|_, range| *range.shard != *shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shards known to cover these hashes.
    fn shards<const N: usize>(map: &ShardMap, hashes: [u128; N]) -> [&str; N] {
        hashes.map(|hash| map.shard_of(hash).map_or("", |shard| shard))
    }

    #[test]
    fn what_lies_between_two_hashes_of_a_shard_is_its_own() {
        let mut map = ShardMap::default();
        let [a, b] = ["a", "b"].map(Arc::from);
        for (hash, shard) in [(10, &a), (90, &b), (30, &a), (70, &b), (20, &a)] {
            map.learn(hash, shard);
        }
        assert_eq!(
            shards(&map, [9, 10, 15, 30, 31, 70, 80, 90, 91]),
            ["", "a", "a", "a", "", "b", "b", "b", ""]
        );
        map.forget("a");
        assert_eq!(shards(&map, [15, 80]), ["", "b"]);
    }

    #[test]
    fn a_resharded_stream_is_learned_anew() {
        let mut map = ShardMap::default();
        let [parent, left, right, merged] = ["parent", "left", "right", "merged"].map(Arc::from);
        map.learn(0, &parent);
        map.learn(100, &parent);
        map.learn(20, &left);
        assert_eq!(shards(&map, [10, 20, 50]), ["", "left", ""]);
        map.learn(60, &right);
        map.learn(90, &right);
        map.learn(10, &merged);
        map.learn(70, &merged);
        assert_eq!(
            shards(&map, [10, 20, 60, 70, 80]),
            ["merged", "merged", "merged", "merged", ""]
        );
    }
}
