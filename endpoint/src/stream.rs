//! The one stream: which shard a record goes to, and whether that has room for it.

use std::time::Duration;

use crate::config::{Config, Strategy};
use crate::refusal::{ACCOUNT, Refusal};
use crate::shard::{self, Shard};
use crate::throttle::Throttle;

/// The one stream.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) exists: bool,
    pub(crate) strategy: Strategy,
    pub(crate) max_record_kib: u32,
    pub(crate) created_seconds: u64,
    pub(crate) shards: Vec<Shard>,
    /// Where a stream whose strategy is `AUTO` puts the next record.
    turn: usize,
}

impl Stream {
    pub(crate) fn new(config: &Config, created_seconds: u64) -> Self {
        Self {
            name: config.stream.clone(),
            arn: format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{}", config.stream),
            exists: config.exists,
            strategy: config.strategy,
            max_record_kib: config.max_record_kib,
            created_seconds,
            shards: Shard::divide(config.shards.max(1), created_seconds),
            turn: 0,
        }
    }

    /// Every shard starts full.
    pub(crate) fn set_throttle(&mut self, scale: Option<f64>, now: Duration) {
        for shard in &mut self.shards {
            shard.throttle = scale.map(|scale| Throttle::new(scale, now));
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
            None if !self.exists => Err(Refusal::not_found(&self.name)),
            None => Ok(()),
        }
    }

    /// The shard that a record of this hash goes to.
    pub(crate) fn place(&mut self, hash: u128) -> usize {
        match self.strategy {
            Strategy::UserPartitionKey => shard::of(hash, &self.shards),
            Strategy::Auto => {
                self.turn = (self.turn + 1) % self.shards.len();
                self.turn
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
