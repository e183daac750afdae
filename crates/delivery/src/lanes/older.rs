//! Lanes that hold records of earlier runs after `lanes` or `aggregation` has changed. They go before the other lanes
//! over the same hashes, oldest records first.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Instant;

use wire::LaneName;

use crate::lane::Queued;
use crate::lanes::Lanes;

/// Lanes by the width and start of their hash range. Ranges of the same width do not overlap.
#[derive(Debug, Default)]
pub(crate) struct OlderLanes(BTreeMap<u128, BTreeMap<u128, Older>>);

#[derive(Clone, Copy, Debug)]
struct Older {
    lane: usize,
    /// The lane's age; lower is older.
    rank: usize,
}

impl OlderLanes {
    /// True if no lane has to wait.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a lane, whose records are newer than those of all lanes of a lower rank.
    pub fn insert(&mut self, slice: &RangeInclusive<u128>, lane: usize, rank: usize) {
        let of_width = self.0.entry(slice.end() - slice.start()).or_default();
        of_width.insert(*slice.start(), Older { lane, rank });
    }

    /// Removes a lane; false if it was not present.
    pub fn remove(&mut self, slice: &RangeInclusive<u128>, lane: usize) -> bool {
        if self.rank(slice, lane).is_none() {
            return false;
        }
        let width = slice.end() - slice.start();
        if let Some(of_width) = self.0.get_mut(&width) {
            of_width.remove(slice.start());
            if of_width.is_empty() {
                self.0.remove(&width);
            }
        }
        true
    }

    /// True if a lane must wait for one of these lanes.
    pub fn block(&self, slice: &RangeInclusive<u128>, lane: usize) -> bool {
        let rank = self.rank(slice, lane).unwrap_or(usize::MAX);
        self.overlapping(slice).any(|older| older.rank < rank)
    }

    /// The lanes over some of the same hashes.
    pub fn over(&self, slice: &RangeInclusive<u128>) -> impl Iterator<Item = usize> {
        self.overlapping(slice).map(|older| older.lane)
    }

    fn rank(&self, slice: &RangeInclusive<u128>, lane: usize) -> Option<usize> {
        let of_width = self.0.get(&(slice.end() - slice.start()))?;
        of_width
            .get(slice.start())
            .filter(|older| older.lane == lane)
            .map(|older| older.rank)
    }

    fn overlapping(&self, slice: &RangeInclusive<u128>) -> impl Iterator<Item = &Older> {
        let (first, last) = (*slice.start(), *slice.end());
        let starts = move |width: u128| first.saturating_sub(width)..=last;
        let widths = self.0.iter();
        widths.flat_map(move |(width, of_width)| of_width.range(starts(*width)).map(|(_, older)| older))
    }
}

impl Lanes {
    /// Blocks lanes behind those found in the spool, given oldest records first, if some of them belong to another
    /// layout.
    pub(crate) fn hold_behind_older(&mut self, found: &[usize]) {
        if found.iter().all(|index| self.is_current(*index)) {
            return;
        }
        for (rank, index) in found.iter().enumerate() {
            self.older.insert(&self.table[*index].key.slice, *index, rank);
        }
        for (index, lane) in &mut self.table {
            lane.blocked = self.older.block(&lane.key.slice, index);
        }
    }

    /// Unblocks the lanes over the same hashes once a lane has no records of an earlier run left.
    pub(crate) fn unblock(&mut self, index: usize, now: Instant) {
        if self.older.is_empty() {
            return;
        }
        let lane = &self.table[index];
        let is_new = |head: &Queued| head.record.identity.producer == self.limits.packing.producer;
        let key = lane.key.clone();
        if !lane.queue.front().map_or(!lane.spooling(), is_new) || !self.older.remove(&key.slice, index) {
            return;
        }
        let mut waiting: Vec<usize> = self.older.over(&key.slice).collect();
        // It may have to wait itself now, with the records it received since startup.
        waiting.extend(self.is_current(index).then_some(index));
        waiting.extend(self.current_over(&key.slice));
        for other in waiting {
            let lane = &mut self.table[other];
            lane.blocked = self.older.block(&lane.key.slice, other);
            self.wake(other, now);
        }
    }

    /// True for a lane that receives readings.
    fn is_current(&self, index: usize) -> bool {
        self.is_of_layout(index) || (!self.limits.packing.aggregated && is_of_sensor(&self.table[index].key.slice))
    }

    /// Lanes that receive readings over some of the same hashes.
    fn current_over(&self, slice: &RangeInclusive<u128>) -> Vec<usize> {
        if self.limits.packing.aggregated {
            let [first, last] = [slice.start(), slice.end()].map(|hash| LaneName::of(*hash, self.limits.lanes).index());
            return (first as usize..=last as usize).collect();
        }
        // No two sensors share a hash.
        if is_of_sensor(slice) {
            return Vec::new();
        }
        let sensors = self
            .table
            .iter()
            .filter(|(_, lane)| slice.contains(lane.key.slice.start()));
        sensors.map(|(index, _)| index).collect()
    }
}

/// True for the hash range of a lane in plain mode.
fn is_of_sensor(slice: &RangeInclusive<u128>) -> bool {
    slice.start() == slice.end()
}

#[cfg(test)]
#[path = "older_tests.rs"]
mod tests;
