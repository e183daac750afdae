//! How fast each shard is fed: additive increase, multiplicative decrease, never above what Kinesis gives a shard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records a shard takes each second.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const SHARD_RECORDS_PER_SECOND: f64 = 1_000.0;
/// Bytes a shard takes each second, from the same page: 1 MB, counted here without the benefit of the doubt.
pub const SHARD_BYTES_PER_SECOND: f64 = 1_000_000.0;
/// A shard that refuses everything is still asked so much of its limit.
const LEAST_RATE: f64 = 0.02;
/// Regained each second without a refusal.
const INCREASE_PER_SECOND: f64 = 0.1;
/// One burst of refusals is one sign, however many records it holds.
const DECREASE_INTERVAL: Duration = Duration::from_millis(200);
/// A shard that nothing was sent to for so long is forgotten: it may be closed. One that is not has all its pace again
/// long before, so nothing changes for it.
const FORGET_AFTER: Duration = Duration::from_secs(600);

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
}

impl Paces {
    /// Takes the allowance for one record from its shard's pace, or says when to ask again.
    pub fn take(&mut self, shard: &Arc<str>, bytes: usize, now: Instant) -> Result<(), Instant> {
        let Some(pace) = self.shards.get_mut(shard) else {
            return Ok(());
        };
        pace.refill(now);
        if pace.records < 0.0 || pace.bytes < 0.0 {
            let wait = (-pace.records / (SHARD_RECORDS_PER_SECOND * pace.rate))
                .max(-pace.bytes / (SHARD_BYTES_PER_SECOND * pace.rate));
            return Err(now + Duration::from_secs_f64(wait.max(0.001)));
        }
        pace.records -= 1.0;
        pace.bytes -= bytes as f64;
        Ok(())
    }

    /// The shard took a record.
    pub fn accepted(&mut self, shard: &Arc<str>, now: Instant) {
        match self.shards.get_mut(shard) {
            Some(pace) => pace.refill(now),
            None => drop(self.shards.insert(shard.clone(), Pace::new(now))),
        }
    }

    /// The shard refused a record because its limit was reached.
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

    /// Forgets the shards that nothing was sent to for long, and says which.
    pub fn forget(&mut self, now: Instant) -> impl Iterator<Item = Arc<str>> {
        let shards = &mut self.shards;
        let idle = shards.extract_if(move |_, pace| now.saturating_duration_since(pace.refilled) >= FORGET_AFTER);
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
        }
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.rate = (self.rate + INCREASE_PER_SECOND * seconds).min(1.0);
        // One second's worth may gather while nothing is sent.
        let (records, bytes) = (SHARD_RECORDS_PER_SECOND * self.rate, SHARD_BYTES_PER_SECOND * self.rate);
        self.records = (self.records + records * seconds).min(records);
        self.bytes = (self.bytes + bytes * seconds).min(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shard is offered in so many seconds by a caller that always has a record ready.
    fn offered(paces: &mut Paces, shard: &Arc<str>, bytes: usize, start: Instant, seconds: u64) -> u64 {
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(seconds) {
            match paces.take(shard, bytes, now) {
                Ok(()) => taken += 1,
                Err(later) => now = later,
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
        assert!(paces.take(&shard, 1_000, now).is_ok());
        assert!(paces.take(&shard, 1_000, now).is_err(), "the burst is gone");
        paces.accepted(&shard, now + Duration::from_secs(6));
        assert_eq!(paces.rates().collect::<Vec<_>>(), [("s", 1.0)]);
    }

    /// After a split nothing goes to the parent any more.
    #[test]
    fn a_closed_shard_is_forgotten_and_one_in_use_is_not() {
        let (mut paces, parent, child) = (Paces::default(), Arc::from("parent"), Arc::from("child"));
        let mut now = Instant::now();
        paces.throttled(&parent, now);
        for _ in 0..60 {
            now += Duration::from_secs(10);
            paces.accepted(&child, now);
            assert!(paces.take(&child, 1_000, now).is_ok());
        }
        assert_eq!(paces.forget(now).collect::<Vec<_>>(), [parent]);
        assert_eq!(paces.rates().collect::<Vec<_>>(), [("child", 1.0)]);
        assert_eq!(paces.forget(now).count(), 0);
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
}
