//! Empty lanes of sensors that come and go, forgotten when their memory is needed.

use std::collections::VecDeque;

use crate::lane::{Lane, Queued, Resume, State};
use crate::lanes::Lanes;
use crate::record::LaneKey;

/// Memory used by an empty lane, without its name: the lane itself, its key, its entry in the index by name with a
/// share of the index's spare capacity, and a queue with room for a few records.
const LANE_BYTES: usize = size_of::<Lane>()
    + size_of::<LaneKey>()
    + 2 * size_of::<(Box<str>, usize)>()
    + 4 * size_of::<Queued>()
    + size_of::<usize>();

/// Lanes that were empty when last checked, oldest first. Each is listed at most once.
#[derive(Debug, Default)]
pub(crate) struct IdleLanes {
    queue: VecDeque<usize>,
    /// Memory that they use.
    bytes: usize,
    resume: Resume,
}

impl IdleLanes {
    /// Where a newly made lane starts numbering and reading.
    pub fn resume(&self) -> Resume {
        self.resume
    }

    fn push(&mut self, index: usize, lane: &mut Lane) {
        if !std::mem::replace(&mut lane.listed, true) {
            self.queue.push_back(index);
            self.bytes += footprint(lane);
        }
    }

    fn forget(&mut self, lane: &Lane) {
        let last = lane.resume();
        self.resume.number = self.resume.number.max(last.number);
        self.resume.fetched = self.resume.fetched.max(last.fetched);
    }
}

impl Lanes {
    /// Lists a lane that can be forgotten, now or once it has sent its records. Lanes of the layout are never
    /// forgotten.
    pub(crate) fn list_idle(&mut self, index: usize) {
        if !self.is_of_layout(index) {
            self.idle.push(index, &mut self.table[index]);
        }
    }

    /// Forgets empty lanes until the rest of them and all readings in memory fit the budget.
    pub(crate) fn forget_idle(&mut self) {
        while self.bytes + self.idle.bytes > self.limits.budget
            && let Some(index) = self.idle.queue.pop_front()
        {
            let lane = &mut self.table[index];
            self.idle.bytes -= footprint(lane);
            lane.listed = false;
            // A lane that has something to send again is listed again once it has sent it.
            if lane.state == State::Idle && lane.exhausted() {
                let lane = self.table.remove(index);
                self.by_name.remove(&lane.key.name);
                self.idle.forget(&lane);
            }
        }
    }
}

fn footprint(lane: &Lane) -> usize {
    LANE_BYTES + 2 * lane.key.name.len()
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod tests;
