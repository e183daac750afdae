//! Handles a record that the sink rejects when sent alone: it is dead-lettered or retried.

use std::sync::Arc;
use std::time::Instant;

use crate::lanes::Lanes;
use crate::lanes::Outcome;
use crate::ledger::DeadLetter;
use crate::record::Record;
use crate::sink::Objection;
use crate::spool::Position;

impl Lanes {
    /// Handles a head that was rejected when sent alone. It is dead-lettered if the sink blames the record while it
    /// delivers others; a sink that rejects every record is retried instead.
    pub(crate) fn rejected_alone(&mut self, index: usize, objection: Objection, now: Instant, outcome: &mut Outcome) {
        if objection == Objection::Record && self.dead_letters_left > 0 {
            self.dead_letters_left -= 1;
            outcome.dead = Some(index);
        } else {
            outcome.held = Some(self.table[index].key.name.clone());
            self.refused(index, "", now);
        }
    }

    /// The head of a lane that can never be delivered.
    pub fn dead(&self, lane: usize) -> Option<&Arc<Record>> {
        self.table[lane].queue.front().map(|head| &head.record)
    }

    /// Moves the lane on after its head was written to the dead-letter file. Returns the head's position in the spool.
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

    /// Retries the lane's head later, because it could not be written to the dead-letter file.
    pub fn retry_later(&mut self, lane: usize, now: Instant) {
        self.dead_letters_left += 1;
        self.refused(lane, "", now);
    }
}
