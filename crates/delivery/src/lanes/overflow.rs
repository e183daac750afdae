//! How lanes and the spool interact: what moves to the spool, what is read back, and how memory is shared. Pure, like
//! the lanes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lane::{Arrival, Queued};
use crate::lanes::Lanes;
use crate::ledger::DropReason;
use crate::pressure::Pressure;
use crate::record::{LaneKey, Record};
use crate::spool::{Appended, Lost, Next, Position, Recovered};

/// A lane that has been unable to send for this long moves its readings to the spool.
const SPILL_AFTER: Duration = Duration::from_secs(5);
/// A lane may hold this many times its even share of the budget.
const SHARES: usize = 4;
/// Bytes per append to the spool.
const APPEND_BYTES: usize = 4 * 1024 * 1024;
/// A read from the spool takes up to this fraction of a lane's even share of the budget, even if memory is full:
/// reading a backlog record by record would hold up new readings. While the sink is down, the limit leaves room for
/// them.
const FETCH_PART: usize = 4;
/// Earliest retry after the spool rejected a record.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// While records wait for the spool, the retry happens within this time after the earliest one.
const REFUSED_AGAIN: Duration = Duration::from_secs(2);

/// Records for the spool, and their lanes.
#[derive(Debug, Default)]
pub struct Spill {
    /// The lane of each record, in the order of `records`.
    pub lanes: Vec<usize>,
    /// The records, in order within each lane.
    pub records: Vec<Record>,
}

/// A read of a lane's next records from the spool.
#[derive(Debug)]
pub struct Fetch {
    /// The lane.
    pub lane: usize,
    /// The lane's name in the spool.
    pub key: Arc<LaneKey>,
    /// The last record read.
    pub after: Option<Position>,
    /// The most bytes to read: the room left in memory.
    pub max_bytes: usize,
}

impl Lanes {
    /// Adds the records found in the spool at startup, which are sent before anything new.
    pub fn recover(&mut self, recovered: &Recovered) {
        let found: Vec<usize> = recovered.lanes.iter().map(|found| self.named(&found.lane)).collect();
        for (index, lane) in found.iter().zip(&recovered.lanes) {
            self.table[*index].stored += lane.records;
            self.overflowing = true;
        }
        self.hold_behind_older(&found);
        let readings: u64 = recovered.lanes.iter().map(|found| found.readings).sum();
        self.ledger.record(|counts| {
            counts.recovered += readings + recovered.corrupt.readings;
            counts.spooled += readings;
            counts.dropped[DropReason::SpoolCorrupt as usize] += recovered.corrupt.readings;
        });
    }

    /// `High` if memory is half full, or a lane holds half of its limit. `Blocked` if memory is full and the spool has
    /// just rejected records.
    pub fn pressure(&self, now: Instant) -> Pressure {
        let refused = self.refused_until.is_some_and(|until| now <= until + REFUSED_AGAIN);
        if !self.has_room() && refused {
            return Pressure::Blocked;
        }
        let crowded = self
            .table
            .get(self.crowded)
            .is_some_and(|lane| lane.bytes >= self.share() / 2);
        match crowded || self.bytes >= self.limits.budget / 2 {
            true => Pressure::High,
            false => Pressure::Low,
        }
    }

    /// Spools a lane's records if at least two of these hold: they cannot be sent, they have waited long, they take up
    /// much of a nearly full memory. Readings that fill memory but are sent on time make their sources wait instead:
    /// the spool would slow them down.
    pub fn sweep(&mut self, arrival: Arrival) {
        let takes = self.spool_takes(arrival.at);
        let even = self.limits.budget / self.table.len().max(1);
        let full = self.bytes >= self.limits.budget / 4 * 3;
        let old = arrival.wall.saturating_add_micros(-(SPILL_AFTER.as_micros() as i64));
        for (_, lane) in &mut self.table {
            let stuck = lane.failed > 0 || lane.blocked || lane.spooling();
            if stuck && lane.open_since().is_some_and(|since| since + SPILL_AFTER <= arrival.at) {
                let before = lane.bytes;
                lane.seal(self.limits.packing.producer);
                self.bytes = self.bytes + lane.bytes - before;
            }
            // Arrival times in the future date from before the clock was set back.
            let too_long = |since| since <= old || since > arrival.wall;
            let waits = lane.queue.front().is_some_and(|head| too_long(head.record.since));
            let crowds = full && lane.bytes > even / 2;
            if takes && [stuck, waits, crowds].into_iter().filter(|is| *is).count() >= 2 {
                lane.spill();
            }
            self.overflowing |= lane.spooling();
        }
    }

    /// Keeps a lane within its share of the budget.
    pub(crate) fn keep_share(&mut self, index: usize, now: Instant) {
        let most = self.table.get(self.crowded).map_or(0, |lane| lane.bytes);
        if most < self.table[index].bytes {
            self.crowded = index;
        }
        if self.table[index].bytes > self.share() && self.spool_takes(now) {
            self.table[index].spill();
        }
        self.overflowing |= self.table[index].spooling();
    }

    /// Runs a `spill` that was deferred until the lane's head was answered.
    pub(crate) fn spill_late(&mut self, index: usize, now: Instant) {
        let takes = self.spool_takes(now);
        let lane = &mut self.table[index];
        if std::mem::take(&mut lane.spills) && takes {
            lane.spill();
        }
        self.overflowing |= lane.spooling();
    }

    /// True while any lane uses the spool.
    pub fn overflows(&mut self) -> bool {
        self.overflowing = self.overflowing && self.table.iter().any(|(_, lane)| lane.spooling());
        self.overflowing
    }

    /// The records waiting for the spool, up to one append. Report the outcome to `appended`.
    pub fn spill(&mut self, now: Instant) -> Option<Spill> {
        if !self.spool_takes(now) {
            return None;
        }
        let mut spill = Spill::default();
        let mut bytes = 0;
        for (index, lane) in self.table.iter_mut().filter(|(_, lane)| !lane.pending.is_empty()) {
            let before = spill.records.len();
            while bytes < APPEND_BYTES
                && let Some(record) = lane.pending.pop_front()
            {
                bytes += record.bytes();
                spill.records.push(record);
            }
            let moved = spill.records.len() - before;
            lane.appending += moved;
            spill.lanes.extend(std::iter::repeat_n(index, moved));
            if bytes >= APPEND_BYTES {
                break;
            }
        }
        (!spill.records.is_empty()).then_some(spill)
    }

    /// Applies the outcome of an append: the first records are stored and their sources notified, the others come back.
    pub fn appended(&mut self, lanes: &[usize], outcome: Appended, now: Instant) {
        let stored: u64 = outcome.stored.iter().map(|record| u64::from(record.readings)).sum();
        self.ledger.record(|counts| {
            counts.in_flight -= stored;
            counts.spooled += stored;
        });
        self.lose(outcome.dropped, DropReason::SpoolFull);
        self.lose(outcome.corrupt, DropReason::SpoolCorrupt);
        let split = outcome.stored.len();
        for (record, index) in outcome.stored.iter().zip(lanes) {
            let lane = &mut self.table[*index];
            lane.appending -= 1;
            lane.stored += 1;
            lane.bytes -= record.bytes();
            self.bytes -= record.bytes();
            record.settle();
        }
        self.refused_until = outcome.refused.is_some().then(|| now + REFUSED_FOR);
        let refused = outcome.refused.map(|refused| refused.records).unwrap_or_default();
        for (record, index) in refused.into_iter().zip(&lanes[split..]).rev() {
            let lane = &mut self.table[*index];
            lane.appending -= 1;
            lane.pending.push_front(record);
            lane.reclaim();
            self.wake(*index, now);
        }
    }

    /// Lanes that have nothing left to send except what is in the spool, and room for it.
    pub fn fetches(&mut self) -> Vec<Fetch> {
        let max_bytes = self.limits.budget / self.table.len().max(1) / FETCH_PART;
        let mut fetches = Vec::new();
        for (index, lane) in self.table.iter_mut().filter(|(_, lane)| lane.wants_records()) {
            lane.fetching = true;
            fetches.push(Fetch {
                lane: index,
                key: lane.key.clone(),
                after: lane.fetched,
                max_bytes,
            });
        }
        fetches
    }

    /// Adds the records that the spool returned for a lane.
    pub fn fetched(&mut self, lane: usize, next: Next, now: Instant) {
        self.lose(next.corrupt, DropReason::SpoolCorrupt);
        let found = &mut self.table[lane];
        found.fetching = false;
        found.stored = if next.records.is_empty() {
            0
        } else {
            found.stored.saturating_sub(next.records.len() as u64)
        };
        for (position, record) in next.records {
            found.fetched = Some(position);
            found.bytes += record.bytes();
            self.bytes += record.bytes();
            found.queue.push_back(Queued {
                record: Arc::new(record),
                position: Some(position),
            });
        }
        self.freed(lane, now);
    }

    /// Notes that the spool could not be read; the lane retries later.
    pub fn not_fetched(&mut self, lane: usize) {
        self.table[lane].fetching = false;
    }

    /// Counts readings that the spool dropped or found damaged.
    pub fn lose(&self, lost: Lost, reason: DropReason) {
        self.ledger.record(|counts| {
            counts.spooled = counts.spooled.saturating_sub(lost.readings);
            counts.dropped[reason as usize] += lost.readings;
        });
    }

    /// Every record that is only in memory, sealed and in order, for the end of a drain's grace period.
    pub fn unsaved(&mut self) -> Vec<Record> {
        let producer = self.limits.packing.producer;
        let lanes = self.table.iter_mut();
        lanes.flat_map(|(_, lane)| lane.unsaved(producer)).collect()
    }

    /// Applies the outcome of the last append; returns the readings that could not be saved.
    pub fn saved(&mut self, outcome: Appended, oversized: Vec<Record>) -> u64 {
        let count = |records: &[Record]| records.iter().map(|record| u64::from(record.readings)).sum::<u64>();
        let stored = outcome
            .stored
            .iter()
            .map(|record| u64::from(record.readings))
            .sum::<u64>();
        let unsaved = outcome.refused.map_or(0, |refused| count(&refused.records)) + count(&oversized);
        self.ledger.record(|counts| {
            counts.in_flight -= stored + unsaved;
            counts.spooled += stored;
            counts.dropped[DropReason::Unsaved as usize] += unsaved;
        });
        self.lose(outcome.dropped, DropReason::SpoolFull);
        self.lose(outcome.corrupt, DropReason::SpoolCorrupt);
        outcome.stored.iter().for_each(Record::settle);
        unsaved
    }

    /// False for a while after the spool rejected a record; lanes go on without it.
    fn spool_takes(&self, now: Instant) -> bool {
        self.refused_until.is_none_or(|until| until <= now)
    }

    /// The most bytes one lane may hold; enough to pack a record while another is in flight.
    fn share(&self) -> usize {
        let even = self.limits.budget / self.table.len().max(1);
        (SHARES * even)
            .max(2 * self.limits.packing.target_bytes)
            .min(self.limits.budget)
    }
}
