//! The send rate of each shard: additive increase, multiplicative decrease, never above the shard's Kinesis limits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records a shard accepts each second.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const SHARD_RECORDS_PER_SECOND: f64 = 1_000.0;
/// Bytes a shard accepts each second, from the same page: 1 MB, read here as the smaller, decimal value.
pub const SHARD_BYTES_PER_SECOND: f64 = 1_000_000.0;
/// Share of its limits that a shard still gets while it refuses everything.
const LEAST_RATE: f64 = 0.02;
/// Share regained each second without a refusal.
const INCREASE_PER_SECOND: f64 = 0.1;
/// A burst of refusals counts once, however many records it covers.
const DECREASE_INTERVAL: Duration = Duration::from_millis(200);
/// A shard that received nothing for this long is forgotten, because it may be closed. If it is open, its pace has
/// recovered fully long before, so forgetting it changes nothing. It is kept while lanes wait for it, or they would
/// wait for ever.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// A queue moves on by several records at a time, so that a long queue does not keep the processor busy.
const LEAST_WAIT: Duration = Duration::from_millis(10);

/// The pace of every shard seen so far.
#[derive(Debug, Default)]
pub struct Paces {
    shards: HashMap<Arc<str>, Pace>,
}

#[derive(Debug)]
struct Pace {
    /// Share of the shard's limits, from `LEAST_RATE` to 1.
    rate: f64,
    records: f64,
    bytes: f64,
    refilled: Instant,
    decreased: Instant,
    /// Lanes whose record has to wait, first come, first served.
    line: VecDeque<usize>,
}

/// Whether a lane may send its record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// It waits in its shard's queue. The instant is set for the first in the queue: when the queue moves on.
    InLine(Option<Instant>),
}

impl Paces {
    /// Takes the allowance for one record of a lane from its shard's pace, or queues the lane.
    pub fn take(&mut self, shard: &str, lane: usize, bytes: usize, now: Instant) -> Turn {
        let Some(pace) = self.shards.get_mut(shard) else {
            return Turn::Now;
        };
        pace.refill(now);
        if pace.line.is_empty() && !pace.is_spent() {
            pace.spend(bytes);
            return Turn::Now;
        }
        pace.line.push_back(lane);
        Turn::InLine((pace.line.len() == 1).then(|| pace.turn(now)))
    }

    /// The first lane in the queue, if the pace allows its record now. The caller must `spend` what it sends.
    pub fn next_in_line(&mut self, shard: &str, now: Instant) -> Option<usize> {
        let pace = self.shards.get_mut(shard)?;
        pace.refill(now);
        if pace.is_spent() { None } else { pace.line.pop_front() }
    }

    /// Takes the allowance for the record of a lane that was first in the queue.
    pub fn spend(&mut self, shard: &str, bytes: usize) {
        if let Some(pace) = self.shards.get_mut(shard) {
            pace.spend(bytes);
        }
    }

    /// When the shard's queue moves on, if there is one.
    pub fn next_turn(&self, shard: &str, now: Instant) -> Option<Instant> {
        let pace = self.shards.get(shard).filter(|pace| !pace.line.is_empty())?;
        Some(pace.turn(now))
    }

    /// Notes that the shard accepted a record.
    pub fn accepted(&mut self, shard: &Arc<str>, now: Instant) {
        match self.shards.get_mut(shard) {
            Some(pace) => pace.refill(now),
            None => drop(self.shards.insert(shard.clone(), Pace::new(now))),
        }
    }

    /// Notes that the shard refused a record because its limit was reached.
    pub fn throttled(&mut self, shard: &Arc<str>, now: Instant) {
        let pace = self.shards.entry(shard.clone()).or_insert_with(|| Pace::new(now));
        pace.refill(now);
        if now.duration_since(pace.decreased) >= DECREASE_INTERVAL || pace.rate == 1.0 {
            pace.rate = (pace.rate / 2.0).max(LEAST_RATE);
            pace.decreased = now;
            pace.records = pace.records.min(0.0);
            pace.bytes = pace.bytes.min(0.0);
        }
    }

    /// Forgets the shards that received nothing for a long time, and returns them.
    pub fn forget(&mut self, now: Instant) -> impl Iterator<Item = Arc<str>> {
        let idle = self.shards.extract_if(move |_, pace| pace.is_forgotten(now));
        idle.map(|(shard, _)| shard)
    }

    /// Each shard's share of its limits, from 0 to 1.
    pub fn rates(&self) -> impl Iterator<Item = (&str, f64)> {
        self.shards.iter().map(|(shard, pace)| (&**shard, pace.rate))
    }
}

impl Pace {
    fn new(now: Instant) -> Self {
        let (records, bytes) = (SHARD_RECORDS_PER_SECOND, SHARD_BYTES_PER_SECOND);
        Self {
            rate: 1.0,
            records,
            bytes,
            refilled: now,
            decreased: now,
            line: VecDeque::new(),
        }
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        self.line.is_empty() && now.saturating_duration_since(self.refilled) >= FORGET_AFTER
    }

    fn is_spent(&self) -> bool {
        self.records < 0.0 || self.bytes < 0.0
    }

    fn spend(&mut self, bytes: usize) {
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    fn turn(&self, now: Instant) -> Instant {
        let wait = (-self.records / (SHARD_RECORDS_PER_SECOND * self.rate))
            .max(-self.bytes / (SHARD_BYTES_PER_SECOND * self.rate))
            .max(0.0);
        now + Duration::from_secs_f64(wait).max(LEAST_WAIT)
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.rate = (self.rate + INCREASE_PER_SECOND * seconds).min(1.0);
        // Up to one second's worth accumulates while nothing is sent.
        let (records, bytes) = (SHARD_RECORDS_PER_SECOND * self.rate, SHARD_BYTES_PER_SECOND * self.rate);
        self.records = (self.records + records * seconds).min(records);
        self.bytes = (self.bytes + bytes * seconds).min(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shard is offered in this many seconds by a caller that always has a record ready.
    fn offered(paces: &mut Paces, shard: &Arc<str>, bytes: usize, start: Instant, seconds: u64) -> u64 {
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(seconds) {
            match paces.take(shard, 0, bytes, now) {
                Turn::Now => taken += 1,
                Turn::InLine(later) => {
                    now = later.expect("no other lane is queued");
                    while paces.next_in_line(shard, now).is_none() {
                        now = paces.next_turn(shard, now).expect("a lane is queued");
                    }
                    paces.spend(shard, bytes);
                    taken += 1;
                }
            }
        }
        taken
    }

    #[test]
    fn keeps_to_the_limits_of_a_shard() {
        let (mut paces, shard, now) = (Paces::default(), Arc::from("shardId-000000000000"), Instant::now());
        paces.accepted(&shard, now);
        let small = offered(&mut paces, &shard, 100, now, 10);
        assert!(
            (10_900..=11_100).contains(&small),
            "a second of burst and ten of 1,000 records: {small}"
        );
        let large = offered(&mut paces, &shard, 25_000, now + Duration::from_secs(20), 10);
        assert!(
            (430..=450).contains(&large),
            "a second of burst and ten of 1 MB: {large} of 25,000 bytes"
        );
    }

    #[test]
    fn halves_once_a_burst_and_recovers() {
        let (mut paces, shard, now) = (Paces::default(), Arc::from("s"), Instant::now());
        for _ in 0..100 {
            paces.throttled(&shard, now);
        }
        assert_eq!(paces.rates().collect::<Vec<_>>(), [("s", 0.5)]);
        assert_eq!(paces.take(&shard, 0, 1_000, now), Turn::Now);
        assert_ne!(paces.take(&shard, 0, 1_000, now), Turn::Now, "the burst is gone");
        paces.accepted(&shard, now + Duration::from_secs(6));
        assert_eq!(paces.rates().collect::<Vec<_>>(), [("s", 1.0)]);
    }

    /// After a split the parent shard receives nothing.
    #[test]
    fn a_closed_shard_is_forgotten_and_one_in_use_is_not() {
        let (mut paces, parent, child) = (Paces::default(), Arc::from("parent"), Arc::from("child"));
        let mut now = Instant::now();
        paces.throttled(&parent, now);
        for _ in 0..60 {
            now += Duration::from_secs(10);
            paces.accepted(&child, now);
            assert_eq!(paces.take(&child, 0, 1_000, now), Turn::Now);
        }
        assert_eq!(paces.forget(now).collect::<Vec<_>>(), [parent]);
        assert_eq!(paces.rates().collect::<Vec<_>>(), [("child", 1.0)]);
        assert_eq!(paces.forget(now).count(), 0);
    }

    /// A suspended machine wakes up with lanes in the queue, which must move on.
    #[test]
    fn a_shard_that_lanes_wait_for_is_not_forgotten() {
        let (mut paces, shard, start) = (Paces::default(), Arc::from("s"), Instant::now());
        paces.throttled(&shard, start);
        assert_eq!(paces.take(&shard, 0, 100, start), Turn::Now);
        assert_ne!(paces.take(&shard, 1, 100, start), Turn::Now);
        let later = start + 2 * FORGET_AFTER;
        assert_eq!(paces.forget(later).count(), 0);
        assert_eq!(paces.next_in_line(&shard, later), Some(1));
        assert_eq!(paces.forget(later + FORGET_AFTER).collect::<Vec<_>>(), [shard]);
    }

    #[test]
    fn a_shard_that_refuses_everything_is_still_asked() {
        let (mut paces, shard, mut now) = (Paces::default(), Arc::from("s"), Instant::now());
        for _ in 0..1_000 {
            now += DECREASE_INTERVAL;
            paces.throttled(&shard, now);
        }
        assert!(paces.rates().all(|(_, rate)| rate >= LEAST_RATE));
        assert!(offered(&mut paces, &shard, 100, now, 10) > 100);
    }

    #[test]
    fn a_line_is_served_in_its_order_and_nobody_jumps_it() {
        let (mut paces, shard, start) = (Paces::default(), Arc::from("s"), Instant::now());
        paces.throttled(&shard, start);
        assert_eq!(paces.take(&shard, 0, 100, start), Turn::Now);
        let Turn::InLine(Some(mut now)) = paces.take(&shard, 1, 100, start) else {
            panic!("the first in the queue knows when it moves on");
        };
        for lane in 2..1_000 {
            assert_eq!(paces.take(&shard, lane, 100, start), Turn::InLine(None));
        }
        let (mut served, mut steps) = (Vec::new(), 0);
        while served.len() < 999 {
            steps += 1;
            while let Some(lane) = paces.next_in_line(&shard, now) {
                paces.spend(&shard, 100);
                served.push(lane);
            }
            let Some(later) = paces.next_turn(&shard, now) else {
                break;
            };
            assert_ne!(paces.take(&shard, 1_000, 100, now), Turn::Now, "it would jump the line");
            now = later;
        }
        assert!(served.iter().take(999).copied().eq(1..1_000));
        assert!(steps <= 250, "a step serves several: {steps}");
    }
}
