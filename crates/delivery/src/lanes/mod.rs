//! All lanes: they pack readings, form requests and handle answers. Pure: no I/O and no clock; the current instant is
//! passed in.

mod answers;
mod idle;
mod older;
mod overflow;
mod rejection;
mod timers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use slab::Slab;
use wire::{LaneName, Sensor, Timestamp};

pub use self::answers::Outcome;
use self::idle::IdleLanes;
use self::older::OlderLanes;
pub use self::overflow::{Fetch, Spill};
use self::timers::Due;
use crate::backoff::Backoff;
use crate::batch::{Batch, Receipt};
use crate::lane::{Arrival, Lane, LaneActivity, Packing, Resume, State};
use crate::ledger::Ledger;
use crate::pace::{Paces, Turn};
use crate::ready::ReadyLanes;
use crate::record::{LaneKey, Record};
use crate::request::{MAX_RECORDS, Request};
use crate::shard_map::ShardMap;

/// How lanes pack, wait and share memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How readings become records.
    pub packing: Packing,
    /// Number of lanes; a power of two. Ignored in plain mode, where every sensor has its own lane.
    pub lanes: u32,
    /// The longest a reading waits for others to share its record or request.
    pub linger: Duration,
    /// Memory budget of all lanes together, in bytes.
    pub budget: usize,
    /// Delays before a refused record is retried.
    pub backoff: Backoff,
}

/// All lanes of the daemon.
#[derive(Debug)]
pub struct Lanes {
    limits: Limits,
    ledger: Arc<Ledger>,
    table: Slab<Lane>,
    /// Lanes by name: those of sensors in plain mode, and lanes found in the spool that are not in the current layout.
    by_name: HashMap<Box<str>, usize>,
    /// Those of them that may be forgotten.
    idle: IdleLanes,
    /// Lanes that block other lanes.
    older: OlderLanes,
    bytes: usize,
    /// The lane that used the most memory when last checked.
    crowded: usize,
    /// False only if no lane uses the spool.
    overflowing: bool,
    /// When the spool rejected a record, until it accepts one again.
    refused_until: Option<Instant>,
    draining: bool,
    ready: ReadyLanes,
    delayed: BinaryHeap<Reverse<(Instant, Due)>>,
    /// Lanes that opened a record, and when, oldest first.
    opened: VecDeque<(Instant, usize)>,
    /// Unanswered requests.
    requests: usize,
    /// Records in the unanswered requests that are not full.
    partial: usize,
    /// Records that may still be dead-lettered before the next delivery.
    dead_letters_left: u32,
    paces: Paces,
    shards: ShardMap,
    random: ChaCha8Rng,
    json: Vec<u8>,
}

impl Lanes {
    /// How the lanes pack, wait and share memory.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The ledger that counts their readings.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Empty lanes; `random` spreads the retries.
    pub fn new(limits: Limits, ledger: Arc<Ledger>, random: ChaCha8Rng) -> Self {
        let names = if limits.packing.aggregated { limits.lanes } else { 0 };
        let table = LaneName::all(names).map(|name| {
            let key = LaneKey {
                name: name.to_string().into(),
                slice: name.slice(),
            };
            (name.index() as usize, Lane::new(key, Resume::default()))
        });
        Self {
            limits,
            ledger,
            table: table.collect(),
            by_name: HashMap::new(),
            idle: IdleLanes::default(),
            older: OlderLanes::default(),
            bytes: 0,
            crowded: 0,
            overflowing: false,
            refused_until: None,
            draining: false,
            ready: ReadyLanes::default(),
            delayed: BinaryHeap::new(),
            opened: VecDeque::new(),
            requests: 0,
            partial: 0,
            dead_letters_left: 0,
            paces: Paces::default(),
            shards: ShardMap::default(),
            random,
            json: Vec::with_capacity(512),
        }
    }

    /// Packs a batch. Returns the readings too large for any record, each as a record of its own for the dead-letter
    /// file.
    pub fn accept(&mut self, batch: &Batch, arrival: Arrival) -> Vec<Record> {
        let mut too_large = Vec::new();
        for reading in &batch.readings {
            let index = self.lane_of(reading.sensor());
            let lane = &mut self.table[index];
            let packing = &self.limits.packing;
            let identity = lane.identity(packing.producer);
            self.json.clear();
            wire::json::encode(reading, (!packing.aggregated).then_some(identity), &mut self.json);
            let before = lane.bytes;
            match lane.pack(&self.json, batch.receipt.as_ref(), packing, arrival) {
                Ok(true) => self.opened.push_back((arrival.at, index)),
                Ok(false) => {}
                Err(_) => too_large.push(oversized(lane, &self.json, batch.receipt.as_ref(), packing, arrival)),
            }
            self.bytes = self.bytes + lane.bytes - before;
            self.wake(index, arrival.at);
            self.keep_share(index, arrival.at);
        }
        self.forget_idle();
        too_large
    }

    /// The next request that is due, made of the heads of ready lanes.
    pub fn request(&mut self, now: Instant) -> Option<Request> {
        self.end_waits(now);
        while self
            .opened
            .front()
            .is_some_and(|(since, index)| self.table[*index].open_since() != Some(*since))
        {
            self.opened.pop_front();
        }
        if self.draining || self.lingered().is_some_and(|end| end <= now) {
            self.seal_idle(now);
        }
        if !self.is_due(now) {
            return None;
        }
        let mut request = Request::new();
        while let Some(index) = self.ready.first() {
            let lane = &mut self.table[index];
            let State::Ready { backlog, paid } = lane.state else {
                unreachable!("a lane in the queue of ready lanes is ready");
            };
            // Without a head its records have moved to the spool.
            let head = lane.queue.front().filter(|_| !lane.blocked);
            if head.is_some_and(|head| !request.take(index, &head.record, lane.max_records)) {
                break;
            }
            self.ready.pop(backlog);
            let Some(head) = head else {
                lane.state = State::Idle;
                continue;
            };
            lane.state = State::UnderWay;
            if let Some(shard) = &lane.shard
                && !paid
                && let Turn::InLine(first) = self.paces.take(shard, index, head.record.bytes(), now)
            {
                request.leave();
                lane.state = State::InLine;
                self.delayed
                    .extend(first.map(|at| Reverse((at, Due::Line(shard.clone())))));
            }
        }
        if request.records.is_empty() {
            return None;
        }
        self.requests += 1;
        if !request.is_full() {
            self.partial += request.records.len();
        }
        Some(request)
    }

    /// When `request` may next have something to send, unless an answer or a reading arrives earlier.
    pub fn deadline(&self) -> Option<Instant> {
        let company = self.ready.since().map(|since| since + self.limits.linger);
        let delayed = self.delayed.peek().map(|Reverse((until, _))| *until);
        [company, delayed, self.lingered()].into_iter().flatten().min()
    }

    /// Stops lingering, because no more readings will arrive.
    pub fn drain(&mut self) {
        self.draining = true;
        let open = self.table.iter();
        self.opened = open
            .filter_map(|(index, lane)| Some((lane.open_since()?, index)))
            .collect();
    }

    /// True while the budget has room for another batch.
    pub fn has_room(&self) -> bool {
        self.bytes < self.limits.budget
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest reading in memory arrived.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.table.iter().filter_map(|(_, lane)| lane.oldest()).min()
    }

    /// Number of lanes by activity, in the order of [`LaneActivity::ALL`].
    pub fn activity(&self) -> [u64; LaneActivity::ALL.len()] {
        let mut lanes = [0; LaneActivity::ALL.len()];
        for (_, lane) in &self.table {
            lanes[lane.activity() as usize] += 1;
        }
        lanes
    }

    /// Number of unanswered requests.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Each shard's share of its limits, from 0 to 1.
    pub fn rates(&self) -> impl Iterator<Item = (&str, f64)> {
        self.paces.rates()
    }

    /// Forgets shards that received nothing for a long time, and returns them.
    pub fn forget_shards(&mut self, now: Instant) -> impl Iterator<Item = Arc<str>> {
        let shards = &mut self.shards;
        self.paces.forget(now).inspect(|shard| shards.forget(shard))
    }

    /// The lane with this name, created if there is none.
    pub(crate) fn named(&mut self, key: &LaneKey) -> usize {
        if self.limits.packing.aggregated
            && let Some(index) = key
                .name
                .parse()
                .ok()
                .filter(|name: &LaneName| name.lanes() == self.limits.lanes)
        {
            return index.index() as usize;
        }
        if let Some(index) = self.by_name.get(&key.name) {
            return *index;
        }
        let mut lane = Lane::new(key.clone(), self.idle.resume());
        let place = self.table.vacant_entry();
        let index = place.key();
        lane.blocked = self.older.block(&key.slice, index);
        lane.shard = self.shards.shard_of(*key.slice.start()).cloned();
        place.insert(lane);
        self.by_name.insert(key.name.clone(), index);
        self.list_idle(index);
        index
    }

    /// True for permanent lanes: all except those of sensors in plain mode and of older layouts.
    pub(crate) fn is_of_layout(&self, index: usize) -> bool {
        self.limits.packing.aggregated && index < self.limits.lanes as usize
    }

    /// Adds a lane whose queue has a head to the next request.
    pub(crate) fn wake(&mut self, index: usize, now: Instant) {
        let lane = &mut self.table[index];
        let more = lane.has_backlog();
        match &mut lane.state {
            State::Idle if !lane.blocked && !lane.queue.is_empty() => {
                lane.state = State::Ready {
                    backlog: more,
                    paid: false,
                };
                self.ready.push(now, index, more);
            }
            State::Ready { backlog, .. } if more && !*backlog => {
                *backlog = true;
                self.ready.add_backlog();
            }
            _ => {}
        }
    }

    fn lane_of(&mut self, sensor: &Sensor) -> usize {
        if self.limits.packing.aggregated {
            return LaneName::of(sensor.hash(), self.limits.lanes).index() as usize;
        }
        match self.by_name.get(sensor.id()) {
            Some(index) => *index,
            None => self.named(&LaneKey {
                name: sensor.id().into(),
                slice: sensor.hash()..=sensor.hash(),
            }),
        }
    }

    /// When the oldest open record of an idle lane has lingered long enough.
    fn lingered(&self) -> Option<Instant> {
        self.opened.front().map(|(since, _)| *since + self.limits.linger)
    }

    /// Seals the open records of all lanes with nothing else to send, so that they share one request. A busy lane's
    /// record keeps filling and is sealed when the lane is free.
    fn seal_idle(&mut self, now: Instant) {
        for (_, index) in std::mem::take(&mut self.opened) {
            self.seal_if_free(index, now);
        }
    }

    pub(crate) fn seal_if_free(&mut self, index: usize, now: Instant) {
        let lane = &mut self.table[index];
        if self.draining || lane.queue.is_empty() {
            let before = lane.bytes;
            lane.seal(self.limits.packing.producer);
            self.bytes = self.bytes + lane.bytes - before;
            self.wake(index, now);
        }
    }

    /// True if a request should be sent now: it is large, it has waited long enough, or waiting would gain nothing.
    ///
    /// An aggregated lane keeps filling its open record while it waits, so requests follow each other: the next one
    /// leaves once none is in flight. A plain lane sends one reading per request, however many it has. If readings
    /// queue up behind a head, a request leaves as soon as it would be larger than all partly filled requests in flight
    /// together: each lane then sends one record per round trip, without a flood of small requests.
    fn is_due(&self, now: Instant) -> bool {
        let Some(since) = self.ready.since() else { return false };
        let worthwhile = if self.limits.packing.aggregated {
            self.requests == 0 || self.ready.len() >= (self.table.len() / 4).clamp(1, MAX_RECORDS)
        } else {
            self.ready.len() >= MAX_RECORDS || (self.ready.has_backlog() && self.ready.len() > self.partial)
        };
        worthwhile || self.draining || since + self.limits.linger <= now
    }
}

fn oversized(lane: &Lane, json: &[u8], receipt: Option<&Receipt>, packing: &Packing, arrival: Arrival) -> Record {
    Record {
        lane: lane.key.clone(),
        identity: lane.identity(packing.producer),
        readings: 1,
        since: arrival.wall,
        data: json.to_vec(),
        receipts: receipt.map(|receipt| (receipt.clone(), 1)).into_iter().collect(),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod load_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
