//! One lane: packs readings in order, keeps its records in order, and has at most one of them under way.

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
    /// This start of the daemon.
    pub producer: ProducerId,
    /// Many readings to a KPL aggregated record, or one to a plain record.
    pub aggregated: bool,
    /// Size of a full record, with its partition key: one PUT payload unit is 25 KB.
    pub target_bytes: usize,
    /// The largest record the stream takes, with its partition key.
    pub max_record_bytes: usize,
}

/// What a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is ready to be sent.
    Idle,
    /// Its head may join the next request.
    Ready {
        /// More records wait behind the head.
        backlog: bool,
        /// The lane stood in line before its shard, whose pace has already paid for the head.
        paid: bool,
    },
    /// Its head is in a request.
    UnderWay,
    /// Its head waits out a backoff.
    Waiting(Instant),
    /// Its head stands in line before its shard.
    InLine,
}

/// What a lane does, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneActivity {
    /// Nothing: all it had is delivered, or what it has lingers for company.
    Idle,
    /// Its next record may join a request.
    Ready,
    /// A record of it is in a request.
    UnderWay,
    /// It waits after a refusal, or in line before its shard.
    Waiting,
    /// All it has goes through the spool.
    Spooling,
}

impl LaneActivity {
    /// All there is, in the order of its count.
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

/// A record in line, and its place in the spool where it came from there.
#[derive(Debug)]
pub(crate) struct Queued {
    pub record: Arc<Record>,
    pub position: Option<Position>,
}

impl Queued {
    /// Counts its readings out of where they were.
    pub fn leave(&self, counts: &mut Counts) {
        match self.position {
            // A damaged spool may have been wrong about how many it held.
            Some(_) => counts.spooled = counts.spooled.saturating_sub(u64::from(self.record.readings)),
            None => counts.in_flight -= u64::from(self.record.readings),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub key: Arc<LaneKey>,
    pub state: State,
    /// Times in a row the head was refused.
    pub failed: u32,
    /// The largest request the head may be in; shrinks while a request is searched for the record it was rejected for.
    pub max_records: usize,
    /// The shard that took the lane's last record.
    pub shard: Option<Arc<str>>,
    /// Older lanes over the same hashes still hold spooled records, which go first.
    pub blocked: bool,
    /// In order; the head is the record under way.
    pub queue: VecDeque<Queued>,
    /// On their way into the spool, behind the queue and what is stored.
    pub pending: VecDeque<Record>,
    /// Records that are being appended to the spool.
    pub appending: usize,
    /// Records in the spool that are not in the queue.
    pub stored: u64,
    /// More of them are being read.
    pub fetching: bool,
    /// The last one read: what is appended later in this run sorts behind it.
    pub fetched: Option<Position>,
    /// What it holds goes to the spool once its head is answered.
    pub spills: bool,
    /// It is among the lanes that may be forgotten.
    pub listed: bool,
    /// Bytes of memory held: open, queued, pending and being appended.
    pub bytes: usize,
    open: Option<Open>,
    /// Bytes of the last sealed aggregate: about what the next one will need.
    room: usize,
    /// Number of the next record to be sealed.
    number: u64,
}

/// A record that still takes readings.
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

/// A reading whose record would be larger than the stream takes.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// When a reading came in: by the steady clock for lingering, by the wall clock for people.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The steady clock.
    pub at: Instant,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Where a lane that is made anew goes on: behind all that a lane of its name may have sent or spooled before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resume {
    /// Number of its first record.
    pub number: u64,
    /// What it has read of the spool.
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
    /// An empty lane whose records go on where a forgotten lane ended.
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

    /// Where a lane made anew under this name has to go on.
    pub fn resume(&self) -> Resume {
        Resume {
            number: self.number,
            fetched: self.fetched,
        }
    }

    /// The identity the record that is open, or opened next, goes by.
    pub fn identity(&self, producer: ProducerId) -> Identity {
        Identity {
            producer,
            number: self.number,
        }
    }

    /// Packs one encoded reading; seals what is full. True where it left a new record open.
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

    /// An empty body that the reading fits into; a reading above the target size travels alone.
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

    /// Bytes of a full aggregate.
    fn target(&self, packing: &Packing) -> usize {
        packing.target_bytes.saturating_sub(self.key.name.len())
    }

    /// Closes the open record and puts it in line; true where there was one.
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

    /// When the oldest reading in memory came in.
    pub fn oldest(&self) -> Option<Timestamp> {
        let queued = self.queue.front().map(|head| head.record.since);
        let pending = self.pending.front().map(|record| record.since);
        [queued, pending, self.open.as_ref().map(|open| open.arrived)]
            .into_iter()
            .flatten()
            .min()
    }

    /// True while what follows in this lane has to go through the spool, so that it stays in order.
    pub fn spooling(&self) -> bool {
        self.stored > 0 || self.appending > 0 || self.fetching || !self.pending.is_empty()
    }

    /// True if more records wait behind the head.
    pub fn has_backlog(&self) -> bool {
        self.queue.len() > 1 || (!self.queue.is_empty() && self.spooling())
    }

    /// What it does.
    pub fn activity(&self) -> LaneActivity {
        match self.state {
            _ if self.spooling() => LaneActivity::Spooling,
            State::Idle => LaneActivity::Idle,
            State::Ready { .. } => LaneActivity::Ready,
            State::UnderWay => LaneActivity::UnderWay,
            State::Waiting(_) | State::InLine => LaneActivity::Waiting,
        }
    }

    /// True where the next records of the lane have to be read from the spool.
    pub fn wants_records(&self) -> bool {
        self.queue.is_empty() && self.stored > 0 && !self.fetching
    }

    /// True where nothing of the lane is left anywhere.
    pub fn exhausted(&self) -> bool {
        self.queue.is_empty() && !self.spooling() && self.open.is_none()
    }

    /// Moves what waits in memory on to the spool, in order; while a record is under way, once that is answered: were what
    /// comes behind it safe before it is, a crash would have it delivered first. What is already on its way there or stored
    /// has higher numbers, so a lane that spools has nothing more to move.
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

    /// Takes back what the spool would not take, once nothing of the lane is left ahead of it.
    pub fn reclaim(&mut self) {
        if self.queue.is_empty() && self.stored == 0 && self.appending == 0 && !self.fetching {
            let records = self.pending.drain(..);
            self.queue.extend(records.map(|record| Queued {
                record: Arc::new(record),
                position: None,
            }));
        }
    }

    /// Takes the head out of line: it is delivered or given up.
    pub fn pop(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.bytes -= queued.record.bytes();
        self.failed = 0;
        self.max_records = usize::MAX;
        Some(queued)
    }

    /// Everything of the lane that only memory holds, sealed and in order.
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
