//! Lanes whose next record may be sent, in the order in which they became ready.

use std::collections::VecDeque;
use std::time::Instant;

/// A queue of lanes. Each is in it at most once, and exactly while its state is `Ready`.
#[derive(Debug, Default)]
pub(crate) struct ReadyLanes {
    queue: VecDeque<(Instant, usize)>,
    backlogged: usize,
}

impl ReadyLanes {
    /// Adds a lane; `backlog` is true where more records wait behind its head.
    pub fn push(&mut self, now: Instant, lane: usize, backlog: bool) {
        self.queue.push_back((now, lane));
        self.backlogged += usize::from(backlog);
    }

    /// A second record has arrived behind the head of a lane in the queue.
    pub fn add_backlog(&mut self) {
        self.backlogged += 1;
    }

    /// The lane that has been ready for longest.
    pub fn first(&self) -> Option<usize> {
        self.queue.front().map(|(_, lane)| *lane)
    }

    /// Removes the first lane; `backlog` as it was last reported.
    pub fn pop(&mut self, backlog: bool) {
        self.queue.pop_front();
        self.backlogged -= usize::from(backlog);
    }

    /// Since when the first lane has been ready.
    pub fn since(&self) -> Option<Instant> {
        self.queue.front().map(|(since, _)| *since)
    }

    /// Number of lanes.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True if more records wait behind the head of a lane: the time it waits for company is lost to them.
    pub fn has_backlog(&self) -> bool {
        self.backlogged > 0
    }
}
