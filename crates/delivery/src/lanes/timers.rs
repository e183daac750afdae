//! The timers of lanes: the end of a backoff, or a turn in a shard's queue.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;
use std::time::Instant;

use crate::lane::State;
use crate::lanes::Lanes;

/// What is due at an instant.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A lane's backoff has ended.
    Lane(usize),
    /// A shard's queue can move on.
    Line(Arc<str>),
}

impl Lanes {
    /// Releases every lane whose timer has expired.
    pub(crate) fn end_waits(&mut self, now: Instant) {
        while let Some((until, due)) = self.due(now) {
            match due {
                Due::Lane(index) if self.table[index].state == State::Waiting(until) => self.set_idle(index, now),
                Due::Lane(_) => {}
                Due::Line(shard) => self.move_on(shard, now),
            }
        }
    }

    fn due(&mut self, now: Instant) -> Option<(Instant, Due)> {
        let first = self.delayed.peek_mut()?;
        (first.0.0 <= now).then(|| PeekMut::pop(first).0)
    }

    /// Readies the lanes at the front of a shard's queue for the next request.
    fn move_on(&mut self, shard: Arc<str>, now: Instant) {
        while let Some(index) = self.paces.next_in_line(&shard, now) {
            self.set_idle(index, now);
            let lane = &mut self.table[index];
            if let (State::Ready { paid, .. }, Some(head)) = (&mut lane.state, lane.queue.front()) {
                self.paces.spend(&shard, head.record.bytes());
                *paid = true;
            }
        }
        if let Some(at) = self.paces.next_turn(&shard, now) {
            self.delayed.push(Reverse((at, Due::Line(shard))));
        }
    }
}
