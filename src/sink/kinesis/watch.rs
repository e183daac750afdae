//! Checks the stream itself now and then: a new stream of the same name may have other shards, or ignore partition
//! keys.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::types::{RecordDistributionStrategy, StreamDescriptionSummary};
use delivery::sink::PutError;
use tokio::time::Instant;
use tracing::{info, warn};

use super::ignores_keys;

/// The check interval: resharding takes minutes, and so does recreating a stream. An account may make 20 such requests
/// a second. <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html>
const INTERVAL: Duration = Duration::from_secs(60);

/// What is known about the stream.
#[derive(Debug)]
pub(super) struct Watch {
    /// The number of lanes; `None` if every sensor is a lane, as then there may be more shards.
    lanes: Option<u32>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it was last checked; `None` before it was found: a missing or inactive stream is checked before a put.
    at: Option<Instant>,
    open_shards: i32,
    denied: bool,
}

/// Whether the stream has to be checked before a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing may be put before the stream is known.
    First,
    /// A check of the known stream is due; only this caller gets the answer.
    Again,
    No,
}

impl Watch {
    pub fn new(lanes: Option<u32>) -> Self {
        Self {
            lanes,
            seen: Mutex::default(),
        }
    }

    pub fn due(&self) -> Look {
        let now = Instant::now();
        match &mut self.seen().at {
            None => Look::First,
            Some(at) if now < *at + INTERVAL => Look::No,
            Some(at) => {
                *at = now;
                Look::Again
            }
        }
    }

    /// Forgets the stream: a later one with its name may be another.
    pub fn lost(&self) {
        self.seen().at = None;
    }

    /// Records a description of the stream.
    pub fn found(&self, stream: &str, summary: Option<&StreamDescriptionSummary>) -> Result<(), PutError> {
        let strategy = summary.and_then(StreamDescriptionSummary::record_distribution_strategy);
        if strategy == Some(&RecordDistributionStrategy::Auto) {
            return Err(PutError::Fatal {
                message: ignores_keys(stream),
            });
        }
        let open_shards = summary.map_or(0, StreamDescriptionSummary::open_shard_count);
        if self.seen().at.replace(Instant::now()).is_none() {
            info!(stream, open_shards, "found the stream");
        }
        if let Some(lanes) = self.outnumbered(open_shards) {
            warn!(
                stream,
                open_shards,
                lanes,
                "the stream has more shards than there are lanes, so some stay empty: increase lanes"
            );
        }
        Ok(())
    }

    /// Returns the number of lanes if shards newly outnumber them.
    fn outnumbered(&self, open_shards: i32) -> Option<u32> {
        let before = std::mem::replace(&mut self.seen().open_shards, open_shards);
        self.lanes
            .filter(|lanes| before != open_shards && i64::from(open_shards) > i64::from(*lanes))
    }

    /// Records that describing the stream is not allowed; the puts themselves will show problems.
    pub fn denied(&self, stream: &str) {
        let mut seen = self.seen();
        seen.at = Some(Instant::now());
        if !std::mem::replace(&mut seen.denied, true) {
            warn!(
                stream,
                "not allowed to describe the stream, so whether it honours partition keys is unknown: allow \
                 kinesis:DescribeStreamSummary"
            );
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(open_shards: i32, strategy: Option<RecordDistributionStrategy>) -> StreamDescriptionSummary {
        StreamDescriptionSummary::builder()
            .stream_name("readings")
            .stream_arn("arn:aws:kinesis:us-east-1:123456789012:stream/readings")
            .stream_status(aws_sdk_kinesis::types::StreamStatus::Active)
            .retention_period_hours(24)
            .stream_creation_timestamp(aws_sdk_kinesis::primitives::DateTime::from_secs(0))
            .set_enhanced_monitoring(Some(Vec::new()))
            .open_shard_count(open_shards)
            .set_record_distribution_strategy(strategy)
            .build()
            .expect("all of it is set")
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_looked_at_first_and_then_once_a_minute() {
        let watch = Watch::new(Some(4));
        assert_eq!(
            (watch.due(), watch.due()),
            (Look::First, Look::First),
            "nobody puts before"
        );
        watch
            .found("readings", Some(&summary(4, None)))
            .expect("it honours keys");
        assert_eq!(watch.due(), Look::No);
        tokio::time::advance(INTERVAL).await;
        assert_eq!((watch.due(), watch.due()), (Look::Again, Look::No), "one of them looks");
        watch.lost();
        assert_eq!(watch.due(), Look::First);
        watch.denied("readings");
        assert_eq!(watch.due(), Look::No);
    }

    /// A stream recreated so that it ignores keys, while nothing was put that could have failed.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ignores_keys_is_found_out_later_too() {
        let watch = Watch::new(None);
        watch
            .found("readings", Some(&summary(4, None)))
            .expect("it honours keys");
        let auto = summary(4, Some(RecordDistributionStrategy::Auto));
        let refused = watch.found("readings", Some(&auto)).expect_err("it does not");
        assert!(
            matches!(&refused, PutError::Fatal { message } if message.contains("AUTO")),
            "{refused:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn shards_that_outnumber_lanes_are_said_when_they_change() {
        let watch = Watch::new(Some(4));
        for (open_shards, said) in [(4, false), (8, true), (8, false), (4, false), (5, true)] {
            assert_eq!(watch.outnumbered(open_shards).is_some(), said, "{open_shards}");
        }
        assert_eq!(Watch::new(None).outnumbered(1_000), None);
    }
}
