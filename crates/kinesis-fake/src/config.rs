//! How an endpoint starts.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Chances, Step};

/// How an endpoint starts. Most of it can be changed later by a [`Command`](crate::Command).
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The one stream it has.
    pub stream: String,
    /// False: the stream is missing until it is created.
    pub exists: bool,
    /// How many shards share the hash space equally.
    pub shards: u32,
    /// Who chooses the shard of a record.
    pub strategy: Strategy,
    /// The largest record, data and partition key together: a stream's MaxRecordSizeInKiB.
    pub max_record_kib: u32,
    /// Throughput of a shard as a multiple of Kinesis' own 1,000 records/s and 1 MiB/s; `None` never throttles.
    pub throttle: Option<f64>,
    /// How likely each fault is for a request that puts records.
    pub chances: Chances,
    /// What happens to the next requests, before chance decides.
    pub script: Vec<Step>,
    /// How likely a record of a partial failure is refused.
    pub partial_share: f64,
    /// How late a slow answer is.
    pub slow: Duration,
    /// How long credentials are good that the metadata service and STS give.
    pub session: Duration,
    /// Same seed and same requests in the same order: same faults.
    pub seed: u64,
    /// Where accepted records are appended as JSON lines.
    pub ledger: Option<PathBuf>,
    /// Keeps accepted records in memory, for [`Endpoint::accepted`](crate::Endpoint::accepted) and GetRecords.
    pub keep: bool,
}

/// Who chooses the shard of a record: a stream's RecordDistributionStrategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Strategy {
    /// The producer, by partition key or explicit hash key.
    #[default]
    UserPartitionKey,
    /// Kinesis, whatever keys the producer gives. Only on-demand streams have it.
    Auto,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            stream: "readings".to_owned(),
            exists: true,
            shards: 4,
            strategy: Strategy::UserPartitionKey,
            max_record_kib: 1024,
            throttle: None,
            chances: Chances::default(),
            script: Vec::new(),
            partial_share: 0.5,
            slow: Duration::from_millis(200),
            session: Duration::from_secs(3_600),
            seed: 0,
            ledger: None,
            keep: true,
        }
    }
}
