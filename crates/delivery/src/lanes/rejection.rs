//! What becomes of a record that the sink rejects by itself: the dead-letter file, or another try.

use std::sync::Arc;
use std::time::Instant;

use crate::lanes::Lanes;
use crate::lanes::Outcome;
use crate::ledger::DeadLetter;
use crate::record::Record;
use crate::sink::Objection;
use crate::spool::Position;

impl Lanes {
    /// The lane's head was rejected by itself. It is given up where the sink names it as the reason and delivers others:
    /// what refuses all records is no fault of theirs.
    pub(crate) fn rejected_alone(&mut self, index: usize, objection: Objection, now: Instant, outcome: &mut Outcome) {
        if objection == Objection::Record && self.dead_letters_left > 0 {
            self.dead_letters_left -= 1;
            outcome.dead = Some(index);
        } else {
            outcome.held = Some(self.table[index].key.name.clone());
            self.refused(index, "", now);
        }
    }

    /// The record that heads a lane and can never be delivered.
    pub fn dead(&self, lane: usize) -> Option<&Arc<Record>> {
        self.table[lane].queue.front().map(|head| &head.record)
    }

    /// The lane's head is in the dead-letter file: the lane goes on. Its place in the spool comes back.
    pub fn dead_lettered(&mut self, lane: usize, now: Instant) -> Option<Position> {
        let head = self.take_head(lane);
        if let Some(head) = &head {
            let readings = u64::from(head.record.readings);
            self.ledger.record(|counts| {
                counts.dead_lettered[DeadLetter::Rejected as usize] += readings;
                head.leave(counts);
            });
            head.record.settle();
        }
        self.set_idle(lane, now);
        head.and_then(|head| head.position)
    }

    /// The lane's head could not be written to the dead-letter file: it is tried again later.
    pub fn retry_later(&mut self, lane: usize, now: Instant) {
        self.dead_letters_left += 1;
        self.refused(lane, "", now);
    }
}
