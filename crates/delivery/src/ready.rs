//! Lanes whose next record may be sent, in the order in which they became ready.

use std::collections::VecDeque;
use std::time::Instant;

/// A queue of lanes. A lane is in it at most once, and only while its state is `Ready`.
#[derive(Debug, Default)]
pub(crate) struct ReadyLanes {
    queue: VecDeque<(Instant, usize)>,
    backlogged: usize,
}

impl ReadyLanes {
    /// Adds a lane; `backlog` is true if more records wait behind its head.
    pub fn push(&mut self, now: Instant, lane: usize, backlog: bool) {
        self.queue.push_back((now, lane));
        self.backlogged += usize::from(backlog);
    }

    /// Notes that a second record has arrived behind the head of a queued lane.
    pub fn add_backlog(&mut self) {
        self.backlogged += 1;
    }

    /// The lane that has been ready longest.
    pub fn first(&self) -> Option<usize> {
        self.queue.front().map(|(_, lane)| *lane)
    }

    /// Removes the first lane; `backlog` must be the value last reported.
    pub fn pop(&mut self, backlog: bool) {
        self.queue.pop_front();
        self.backlogged -= usize::from(backlog);
    }

    /// When the first lane became ready.
    pub fn since(&self) -> Option<Instant> {
        self.queue.front().map(|(since, _)| *since)
    }

    /// Number of lanes.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True if any lane has more records behind its head: lingering would only delay them.
    pub fn has_backlog(&self) -> bool {
        self.backlogged > 0
    }
}
