//! One lane: packs readings in order, keeps its records in order, and has at most one of them in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wire::aggregate::Aggregate;
use wire::{Identity, ProducerId, Timestamp};

use crate::batch::Receipt;
use crate::ledger::Counts;
use crate::record::{LaneKey, Record};
use crate::spool::Position;

/// How readings become records.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// The producer id of this daemon start.
    pub producer: ProducerId,
    /// True to pack many readings into a KPL aggregated record, false to send each as a plain record.
    pub aggregated: bool,
    /// Target size of a record, with its partition key: one PUT payload unit is 25 KB.
    pub target_bytes: usize,
    /// The largest record the stream accepts, with its partition key.
    pub max_record_bytes: usize,
}

/// The state of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is ready to be sent.
    Idle,
    /// Its head may join the next request.
    Ready {
        /// More records wait behind the head.
        backlog: bool,
        /// The lane waited in its shard's queue, and its head's allowance is already spent.
        paid: bool,
    },
    /// Its head is in a request.
    UnderWay,
    /// Its head waits for the end of a backoff.
    Waiting(Instant),
    /// Its head waits in its shard's queue.
    InLine,
}

/// A lane's activity, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneActivity {
    /// Nothing: everything is delivered, or its readings linger.
    Idle,
    /// Its next record may join a request.
    Ready,
    /// One of its records is in a request.
    UnderWay,
    /// It waits after a refusal, or in its shard's queue.
    Waiting,
    /// Its records go through the spool.
    Spooling,
}

impl LaneActivity {
    /// Every activity, in the order of the counts.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Ready, Self::UnderWay, Self::Waiting, Self::Spooling];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ready => "ready",
            Self::UnderWay => "under_way",
            Self::Waiting => "waiting",
            Self::Spooling => "spooling",
        }
    }
}

/// A queued record, and its position in the spool if it was read from there.
#[derive(Debug)]
pub(crate) struct Queued {
    pub record: Arc<Record>,
    pub position: Option<Position>,
}

impl Queued {
    /// Subtracts its readings from the count of the place where they were.
    pub fn leave(&self, counts: &mut Counts) {
        match self.position {
            // A damaged spool may have reported a wrong number.
            Some(_) => counts.spooled = counts.spooled.saturating_sub(u64::from(self.record.readings)),
            None => counts.in_flight -= u64::from(self.record.readings),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub key: Arc<LaneKey>,
    pub state: State,
    /// Number of consecutive refusals of the head.
    pub failed: u32,
    /// The largest request the head may join; shrinks during the search for the record that a request was rejected for.
    pub max_records: usize,
    /// The shard that accepted the lane's last record.
    pub shard: Option<Arc<str>>,
    /// Older lanes over the same hashes still hold spooled records, which are sent first.
    pub blocked: bool,
    /// Records in order; the head is the one in flight.
    pub queue: VecDeque<Queued>,
    /// Records on their way to the spool, behind the queue and the stored ones.
    pub pending: VecDeque<Record>,
    /// Records that are being appended to the spool.
    pub appending: usize,
    /// Records in the spool that are not in the queue.
    pub stored: u64,
    /// More of them are being read.
    pub fetching: bool,
    /// The last record read: later appends of this run sort behind it.
    pub fetched: Option<Position>,
    /// Everything it holds moves to the spool once its head is answered.
    pub spills: bool,
    /// It is listed among the lanes that may be forgotten.
    pub listed: bool,
    /// Bytes of memory in use: open, queued, pending and being appended.
    pub bytes: usize,
    open: Option<Open>,
    /// Size of the last sealed aggregate in bytes: an estimate for the next one.
    room: usize,
    /// Number of the next record to be sealed.
    number: u64,
}

/// A record that is still being filled.
#[derive(Debug)]
struct Open {
    body: Body,
    since: Instant,
    arrived: Timestamp,
    readings: u32,
    receipts: Vec<(Receipt, u32)>,
}

#[derive(Debug)]
enum Body {
    Aggregate(Aggregate),
    Plain(Vec<u8>),
}

/// A reading whose record would be too large for the stream.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// When a reading arrived: by the steady clock for lingering, by the wall clock for people.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The steady clock.
    pub at: Instant,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Where a recreated lane continues: behind everything that an earlier lane of its name may have sent or spooled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resume {
    /// The number of its first record.
    pub number: u64,
    /// The last record that it read from the spool.
    pub fetched: Option<Position>,
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            number: 1,
            fetched: None,
        }
    }
}

impl Lane {
    /// An empty lane whose records continue where a forgotten lane ended.
    pub fn new(key: LaneKey, resume: Resume) -> Self {
        Self {
            key: Arc::new(key),
            state: State::Idle,
            failed: 0,
            max_records: usize::MAX,
            shard: None,
            blocked: false,
            queue: VecDeque::new(),
            pending: VecDeque::new(),
            appending: 0,
            stored: 0,
            fetching: false,
            fetched: resume.fetched,
            spills: false,
            listed: false,
            bytes: 0,
            open: None,
            room: 0,
            number: resume.number,
        }
    }

    /// Where a recreated lane of this name must continue.
    pub fn resume(&self) -> Resume {
        Resume {
            number: self.number,
            fetched: self.fetched,
        }
    }

    /// The identity of the open record, or of the next one to be opened.
    pub fn identity(&self, producer: ProducerId) -> Identity {
        Identity {
            producer,
            number: self.number,
        }
    }

    /// Packs one encoded reading and seals what is full. True if this opened a new record that stays open.
    pub fn pack(
        &mut self,
        json: &[u8],
        receipt: Option<&Receipt>,
        packing: &Packing,
        arrival: Arrival,
    ) -> Result<bool, TooLarge> {
        if let Some(Open {
            body: Body::Aggregate(aggregate),
            ..
        }) = &self.open
            && !aggregate.fits(json.len())
        {
            self.seal(packing.producer);
        }
        let opened = self.open.is_none();
        if opened {
            let body = self.body(json, packing)?;
            self.bytes += body.len();
            self.open = Some(Open {
                body,
                since: arrival.at,
                arrived: arrival.wall,
                readings: 0,
                receipts: Vec::new(),
            });
        }
        let target = self.target(packing);
        let Some(open) = &mut self.open else {
            return Err(TooLarge);
        };
        let before = open.body.len();
        match &mut open.body {
            Body::Aggregate(aggregate) => aggregate.push(json).map_err(|_| TooLarge)?,
            Body::Plain(data) => data.extend_from_slice(json),
        }
        self.bytes += open.body.len() - before;
        open.readings += 1;
        if let Some(receipt) = receipt {
            match open.receipts.last_mut() {
                Some((last, readings)) if last.is(receipt) => *readings += 1,
                _ => open.receipts.push((receipt.clone(), 1)),
            }
        }
        let alone = match &open.body {
            Body::Aggregate(aggregate) => aggregate.len() > target,
            Body::Plain(_) => true,
        };
        if alone {
            self.seal(packing.producer);
        }
        Ok(opened && self.open.is_some())
    }

    /// An empty body that fits the reading; a reading above the target size travels alone.
    fn body(&self, json: &[u8], packing: &Packing) -> Result<Body, TooLarge> {
        let key = &self.key;
        let most = packing.max_record_bytes.saturating_sub(key.name.len());
        if !packing.aggregated {
            return if json.len() <= most {
                Ok(Body::Plain(Vec::with_capacity(json.len())))
            } else {
                Err(TooLarge)
            };
        }
        let start = *key.slice.start();
        [self.target(packing).min(most), most]
            .into_iter()
            .map(|limit| Aggregate::new(&key.name, start, limit, self.identity(packing.producer)))
            .find(|aggregate| aggregate.fits(json.len()))
            .map(|mut aggregate| {
                aggregate.reserve(self.room);
                Body::Aggregate(aggregate)
            })
            .ok_or(TooLarge)
    }

    /// Target size of an aggregate in bytes.
    fn target(&self, packing: &Packing) -> usize {
        packing.target_bytes.saturating_sub(self.key.name.len())
    }

    /// Seals the open record and queues it; true if there was one.
    pub fn seal(&mut self, producer: ProducerId) -> bool {
        debug_assert!(self.open.as_ref().is_none_or(|open| open.readings > 0));
        let Some(open) = self.open.take() else { return false };
        let identity = self.identity(producer);
        self.bytes -= open.body.len();
        let data = match open.body {
            Body::Aggregate(aggregate) => aggregate.seal(),
            Body::Plain(data) => data,
        };
        self.room = data.len();
        let record = Record {
            lane: self.key.clone(),
            identity,
            readings: open.readings,
            since: open.arrived,
            data,
            receipts: open.receipts,
        };
        self.number += 1;
        self.bytes += record.bytes();
        if self.spooling() {
            self.pending.push_back(record);
        } else {
            self.queue.push_back(Queued {
                record: Arc::new(record),
                position: None,
            });
        }
        true
    }

    /// When the open record was opened.
    pub fn open_since(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.since)
    }

    /// When the oldest reading in memory arrived.
    pub fn oldest(&self) -> Option<Timestamp> {
        let queued = self.queue.front().map(|head| head.record.since);
        let pending = self.pending.front().map(|record| record.since);
        [queued, pending, self.open.as_ref().map(|open| open.arrived)]
            .into_iter()
            .flatten()
            .min()
    }

    /// True while further records of this lane must go through the spool to stay in order.
    pub fn spooling(&self) -> bool {
        self.stored > 0 || self.appending > 0 || self.fetching || !self.pending.is_empty()
    }

    /// True if more records wait behind the head.
    pub fn has_backlog(&self) -> bool {
        self.queue.len() > 1 || (!self.queue.is_empty() && self.spooling())
    }

    /// The lane's activity.
    pub fn activity(&self) -> LaneActivity {
        match self.state {
            _ if self.spooling() => LaneActivity::Spooling,
            State::Idle => LaneActivity::Idle,
            State::Ready { .. } => LaneActivity::Ready,
            State::UnderWay => LaneActivity::UnderWay,
            State::Waiting(_) | State::InLine => LaneActivity::Waiting,
        }
    }

    /// True if the lane's next records must be read from the spool.
    pub fn wants_records(&self) -> bool {
        self.queue.is_empty() && self.stored > 0 && !self.fetching
    }

    /// True if the lane has no records anywhere.
    pub fn exhausted(&self) -> bool {
        self.queue.is_empty() && !self.spooling() && self.open.is_none()
    }

    /// Moves the records in memory to the spool, in order. While a record is in flight, this waits for its answer: if
    /// the records behind it were safe before it is, they would be delivered first after a crash. Records already
    /// stored or on their way to the spool have higher numbers, so a spooling lane has nothing more to move.
    pub fn spill(&mut self) {
        self.spills = self.state == State::UnderWay && !self.spooling();
        if self.spills || self.spooling() {
            return;
        }
        let first = self.queue.iter().position(|queued| queued.position.is_none());
        let Some(first) = first else { return };
        self.pending = self
            .queue
            .drain(first..)
            .map(|queued| Record::clone(&queued.record))
            .collect();
    }

    /// Takes back the records that the spool rejected, once the lane has nothing left ahead of them.
    pub fn reclaim(&mut self) {
        if self.queue.is_empty() && self.stored == 0 && self.appending == 0 && !self.fetching {
            let records = self.pending.drain(..);
            self.queue.extend(records.map(|record| Queued {
                record: Arc::new(record),
                position: None,
            }));
        }
    }

    /// Removes the head from the queue: it was delivered or given up.
    pub fn pop(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.bytes -= queued.record.bytes();
        self.failed = 0;
        self.max_records = usize::MAX;
        Some(queued)
    }

    /// Every record that is only in memory, sealed and in order.
    pub fn unsaved(&mut self, producer: ProducerId) -> Vec<Record> {
        self.seal(producer);
        let queued = self.queue.drain(..).filter(|queued| queued.position.is_none());
        let mut records: Vec<_> = queued.map(|queued| Record::clone(&queued.record)).collect();
        records.extend(self.pending.drain(..));
        records
    }
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Aggregate(aggregate) => aggregate.len(),
            Self::Plain(data) => data.len(),
        }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
