//! Lanes of sensors that come and go: one that holds nothing is forgotten once its memory is wanted.

use std::collections::VecDeque;

use crate::lane::{Lane, Queued, Resume, State};
use crate::lanes::Lanes;
use crate::record::LaneKey;

/// Memory that an empty lane takes without its name: itself, its key, its entry in the index by name with the share that
/// the index keeps free, and room for the few records that its queue has held.
const LANE_BYTES: usize = size_of::<Lane>()
    + size_of::<LaneKey>()
    + 2 * size_of::<(Box<str>, usize)>()
    + 4 * size_of::<Queued>()
    + size_of::<usize>();

/// Lanes that held nothing when last looked at, those that have been here longest first. Each is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct IdleLanes {
    queue: VecDeque<usize>,
    /// Memory that they take.
    bytes: usize,
    resume: Resume,
}

impl IdleLanes {
    /// Where a new lane begins.
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
    /// Lists a lane that may be forgotten, now or once it has sent what it holds. The lanes of the layout stay.
    pub(crate) fn list_idle(&mut self, index: usize) {
        if !self.is_of_layout(index) {
            self.idle.push(index, &mut self.table[index]);
        }
    }

    /// Forgets lanes that hold nothing until they and all readings in memory are within the budget.
    pub(crate) fn forget_idle(&mut self) {
        while self.bytes + self.idle.bytes > self.limits.budget
            && let Some(index) = self.idle.queue.pop_front()
        {
            let lane = &mut self.table[index];
            self.idle.bytes -= footprint(lane);
            lane.listed = false;
            // One that has something to send again is listed again when it is sent.
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
