//! Handles the sink's answer to a request. Pure, like the lanes.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use crate::lane::{Queued, State};
use crate::lanes::Lanes;
use crate::lanes::timers::Due;
use crate::request::Request;
use crate::sink::{Answer, PutError, THROTTLED};
use crate::spool::Position;

/// Records that may be dead-lettered before another record has to be delivered. None may be before the first delivery:
/// a sink that refuses everything is retried, even if it blames the records.
pub(crate) const DEAD_LETTERS_IN_A_ROW: u32 = 10;

/// What the caller must do after a request was answered.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Delivered records to remove from the spool.
    pub delivered: Vec<Position>,
    /// A record that can never be accepted, for the dead-letter file. It stays the head of its lane until
    /// `dead_lettered` is called.
    pub dead: Option<usize>,
    /// The name of a lane whose head the sink rejects even when sent alone, without evidence that it accepts other
    /// records.
    pub held: Option<Box<str>>,
    /// Readings delivered.
    pub readings: u64,
    /// Records delivered.
    pub records: u64,
}

impl Lanes {
    /// Applies the sink's answer to a request.
    pub fn answer(&mut self, request: Request, answers: Result<Vec<Answer>, PutError>, now: Instant) -> Outcome {
        self.requests -= 1;
        if !request.is_full() {
            self.partial -= request.records.len();
        }
        let mut outcome = Outcome::default();
        let alone = request.records.len() == 1;
        let max_records = (request.records.len() / 2).max(1);
        drop(request.records);
        match answers {
            Ok(answers) => {
                debug_assert_eq!(answers.len(), request.lanes.len());
                for (index, answer) in request.lanes.into_iter().zip(answers) {
                    match answer {
                        Answer::Accepted(shard) => self.accepted(index, shard, now, &mut outcome),
                        Answer::Refused(code) => self.refused(index, code, now),
                    }
                }
            }
            Err(PutError::Transient { .. } | PutError::Misconfigured { .. } | PutError::Fatal { .. }) => {
                for index in request.lanes {
                    self.refused(index, "", now);
                }
            }
            Err(PutError::Rejected { objection, .. }) if alone => {
                for index in request.lanes {
                    self.rejected_alone(index, objection, now, &mut outcome);
                }
            }
            Err(PutError::Rejected { .. }) => {
                for index in request.lanes {
                    self.table[index].max_records = max_records;
                    self.set_idle(index, now);
                }
            }
        }
        outcome
    }

    fn accepted(&mut self, index: usize, shard: Option<Arc<str>>, now: Instant, outcome: &mut Outcome) {
        if let Some(shard) = shard {
            self.paces.accepted(&shard, now);
            let lane = &mut self.table[index];
            if lane.shard.as_ref() != Some(&shard) {
                self.shards.learn(*lane.key.slice.start(), &shard);
                lane.shard = Some(shard);
            }
        }
        self.dead_letters_left = DEAD_LETTERS_IN_A_ROW;
        if let Some(head) = self.take_head(index) {
            let readings = u64::from(head.record.readings);
            self.ledger.record(|counts| {
                counts.delivered += readings;
                head.leave(counts);
            });
            head.record.deliver();
            outcome.delivered.extend(head.position);
            outcome.readings += readings;
            outcome.records += 1;
        }
        self.set_idle(index, now);
    }

    pub(crate) fn refused(&mut self, index: usize, code: &str, now: Instant) {
        let lane = &mut self.table[index];
        if code == THROTTLED
            && let Some(shard) = &lane.shard
        {
            self.paces.throttled(shard, now);
        }
        lane.failed = lane.failed.saturating_add(1);
        let until = now + self.limits.backoff.delay(lane.failed, &mut self.random);
        lane.state = State::Waiting(until);
        self.delayed.push(Reverse((until, Due::Lane(index))));
        self.spill_late(index, now);
    }

    /// Marks the lane as having nothing in flight.
    pub(crate) fn set_idle(&mut self, index: usize, now: Instant) {
        self.table[index].state = State::Idle;
        self.freed(index, now);
    }

    /// Moves the lane on after its queue has changed.
    pub(crate) fn freed(&mut self, index: usize, now: Instant) {
        self.table[index].reclaim();
        self.spill_late(index, now);
        let lane = &mut self.table[index];
        if let Some(since) = lane.open_since().filter(|_| lane.queue.is_empty()) {
            if self.draining || since + self.limits.linger <= now {
                self.seal_if_free(index, now);
            } else {
                // While the lane was busy, its open record may have been skipped.
                let at = self.opened.partition_point(|(other, _)| *other < since);
                self.opened.insert(at, (since, index));
            }
        }
        self.unblock(index, now);
        self.wake(index, now);
        if self.table[index].exhausted() {
            self.list_idle(index);
        }
    }

    pub(crate) fn take_head(&mut self, index: usize) -> Option<Queued> {
        let lane = &mut self.table[index];
        let before = lane.bytes;
        let head = lane.pop();
        self.bytes -= before - lane.bytes;
        head
    }
}
