//! The one stream: whether it is there, and which of its shards a record goes to.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Strategy};
use crate::refusal::{ACCOUNT, Refusal};
use crate::shard::Shard;
use crate::throttle::Throttle;

/// The one stream.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) condition: Condition,
    pub(crate) strategy: Strategy,
    pub(crate) max_record_kib: u32,
    pub(crate) created_seconds: u64,
    /// All there ever were, in the order of their ids; read-only outside, since `open` points into them.
    pub(crate) shards: Vec<Shard>,
    /// Which of them are open, in the order of their slices.
    open: Vec<usize>,
    scale: Option<f64>,
    /// Where a stream whose strategy is `AUTO` puts the next record.
    turn: usize,
}

/// Whether a stream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Missing,
    /// Described, but nothing can be put into it yet.
    Creating,
    Active,
}

impl Stream {
    pub(crate) fn new(config: &Config, created_seconds: u64) -> Self {
        let shards = Shard::divide(config.shards.max(1), created_seconds);
        Self {
            name: config.stream.clone(),
            arn: format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{}", config.stream),
            condition: if config.exists {
                Condition::Active
            } else {
                Condition::Missing
            },
            strategy: config.strategy,
            max_record_kib: config.max_record_kib,
            created_seconds,
            open: (0..shards.len()).collect(),
            shards,
            scale: None,
            turn: 0,
        }
    }

    /// Another stream by the same name: empty, with shards of its own, and later than the one before.
    pub(crate) fn make_again(&mut self, shards: u32, strategy: Strategy, now: Duration) {
        self.created_seconds += 1;
        self.shards = Shard::divide(shards.max(1), self.created_seconds);
        self.open = (0..self.shards.len()).collect();
        self.strategy = strategy;
        self.condition = Condition::Creating;
        self.set_throttle(self.scale, now);
    }

    /// The shards that take records.
    pub(crate) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.open.iter().map(|index| &self.shards[*index])
    }

    /// Closes an open shard and makes two of it, the second from this hash on.
    pub(crate) fn split(&mut self, shard: &str, at: u128, now: Duration) -> Result<(), Refusal> {
        let place = self.open_place(shard)?;
        let parent = &self.shards[self.open[place]];
        let (start, end) = (*parent.slice.start(), *parent.slice.end());
        if at <= start || at > end {
            return Err(Refusal::invalid_argument(format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {shard} must lie within {start}..{end}"
            )));
        }
        self.replace(place, 1, [start..=at - 1, at..=end].into(), now);
        Ok(())
    }

    /// Closes two open shards that lie beside each other and makes one of them.
    pub(crate) fn merge(&mut self, shard: &str, adjacent: &str, now: Duration) -> Result<(), Refusal> {
        let (one, other) = (self.open_place(shard)?, self.open_place(adjacent)?);
        if one.abs_diff(other) != 1 {
            return Err(Refusal::invalid_argument(format!(
                "Shards {shard} and {adjacent} in stream {} under account {ACCOUNT} are not an adjacent pair of shards",
                self.name
            )));
        }
        let first = one.min(other);
        let start = *self.shards[self.open[first]].slice.start();
        let end = *self.shards[self.open[first + 1]].slice.end();
        self.replace(first, 2, [start..=end].into(), now);
        Ok(())
    }

    /// Splits every open shard in half, or merges every pair: what UpdateShardCount comes to for these two counts.
    pub(crate) fn scale(&mut self, target: usize, now: Duration) -> Result<(), Refusal> {
        let count = self.open.len();
        if target == 2 * count {
            for place in (0..count).rev() {
                let slice = &self.shards[self.open[place]].slice;
                let (start, end) = (*slice.start(), *slice.end());
                let middle = start + (end - start) / 2;
                self.replace(place, 1, [start..=middle, middle + 1..=end].into(), now);
            }
        } else if 2 * target == count {
            for place in (0..count).step_by(2).rev() {
                let start = *self.shards[self.open[place]].slice.start();
                let end = *self.shards[self.open[place + 1]].slice.end();
                self.replace(place, 2, [start..=end].into(), now);
            }
        } else if target != count {
            return Err(Refusal::invalid_argument(format!(
                "UpdateShardCount from {count} to {target}: this endpoint doubles or halves"
            )));
        }
        Ok(())
    }

    fn open_place(&self, shard: &str) -> Result<usize, Refusal> {
        let place = self.open.iter().position(|index| *self.shards[*index].id == *shard);
        place.ok_or_else(|| Refusal::shard_not_found(shard, &self.name))
    }

    /// Closes so many open shards from a place on, and opens shards of these slices in their place.
    fn replace(&mut self, place: usize, count: usize, slices: Vec<RangeInclusive<u128>>, now: Duration) {
        let mut parents = Vec::with_capacity(count);
        for index in &self.open[place..place + count] {
            self.shards[*index].closed = true;
            parents.push(Arc::clone(&self.shards[*index].id));
        }
        let first = self.shards.len();
        for (slice, index) in slices.into_iter().zip(first as u32..) {
            let mut shard = Shard::new(index, slice, parents.clone(), self.created_seconds);
            shard.throttle = self.scale.map(|scale| Throttle::new(scale, now));
            self.shards.push(shard);
        }
        self.open.splice(place..place + count, first..self.shards.len());
    }

    /// Every shard starts full.
    pub(crate) fn set_throttle(&mut self, scale: Option<f64>, now: Duration) {
        self.scale = scale;
        for shard in &mut self.shards {
            shard.throttle = scale.map(|scale| Throttle::new(scale, now));
        }
    }

    /// Refuses where the request names another stream, or none, or where this one takes no records.
    pub(crate) fn check_active(&self, name: Option<&str>, arn: Option<&str>) -> Result<(), Refusal> {
        self.check(name, arn)?;
        match self.condition {
            Condition::Creating => Err(Refusal::in_use(&self.name)),
            _ => Ok(()),
        }
    }

    /// Refuses where the request names another stream, or none, or where this one is missing.
    pub(crate) fn check(&self, name: Option<&str>, arn: Option<&str>) -> Result<(), Refusal> {
        if name.is_none() && arn.is_none() {
            return Err(Refusal::invalid_argument(
                "Either StreamName or StreamARN must be specified.",
            ));
        }
        let of_arn = match arn {
            Some(arn) => Some(stream_of(arn)?),
            None => None,
        };
        match [name, of_arn].into_iter().flatten().find(|named| *named != self.name) {
            Some(other) => Err(Refusal::not_found(other)),
            None if self.condition == Condition::Missing => Err(Refusal::not_found(&self.name)),
            None => Ok(()),
        }
    }

    /// The shard that a record of this hash goes to.
    pub(crate) fn place(&mut self, hash: u128) -> usize {
        match self.strategy {
            Strategy::UserPartitionKey => {
                self.open[self
                    .open
                    .partition_point(|index| *self.shards[*index].slice.end() < hash)]
            }
            Strategy::Auto => {
                self.turn = (self.turn + 1) % self.open.len();
                self.open[self.turn]
            }
        }
    }
}

/// The stream that an ARN names; of any region, since the endpoint stands in for all of them.
fn stream_of(arn: &str) -> Result<&str, Refusal> {
    let mut parts = arn.splitn(6, ':');
    let right = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("kinesis");
    let account = parts.nth(1);
    match (
        right,
        account,
        parts.next().and_then(|resource| resource.strip_prefix("stream/")),
    ) {
        (true, Some(ACCOUNT), Some(name)) => Ok(name),
        (true, Some(account), Some(name)) => Err(Refusal::invalid_argument(format!(
            "StreamARN {arn} names stream {name} of account {account}: this endpoint's account is {ACCOUNT}"
        ))),
        _ => Err(Refusal::invalid_argument(format!(
            "StreamARN {arn} is not the ARN of a stream"
        ))),
    }
}
