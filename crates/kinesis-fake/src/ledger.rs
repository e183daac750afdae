//! What was accepted, and what was counted. The file is flushed with every request, before it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::fault::Fault;
use crate::operation::Operation;

/// One accepted record: a line of the ledger file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Counts accepted records from 0.
    pub index: u64,
    /// Counts requests from 1; its records share it.
    pub request: u64,
    /// The shard it went to.
    pub shard: Arc<str>,
    /// Where it stands in its shard.
    pub sequence: String,
    /// The partition key. Empty where a stream whose strategy is `AUTO` was given none.
    pub partition_key: String,
    /// The explicit hash key, where one was given.
    pub explicit_hash_key: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub arrival_millis: u64,
    /// The bytes; base64 in the file.
    #[serde(serialize_with = "base64")]
    pub data: Vec<u8>,
}

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests that arrived whole, by operation.
    pub requests: BTreeMap<Operation, u64>,
    /// Faults carried out, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Records accepted.
    pub accepted: u64,
    /// Bytes accepted: data and partition keys.
    pub accepted_bytes: u64,
    /// Records refused because their shard had no throughput left.
    pub throttled: u64,
    /// Records refused by partial failures.
    pub refused: u64,
    /// Requests that hang now.
    pub hanging: u64,
    /// The access keys that signed requests, by operation.
    pub callers: BTreeMap<Operation, BTreeSet<String>>,
    /// Roles assumed, in order.
    pub sessions: Vec<Session>,
    /// What the metadata service was asked.
    pub metadata: MetadataRequests,
}

/// A role that was assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The role.
    pub role_arn: String,
    /// What the session is called.
    pub name: String,
    /// What the trust policy could ask for.
    pub external_id: Option<String>,
    /// The access key that asked.
    pub by: String,
    /// The access key that was given.
    pub key: String,
}

/// What the metadata service was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetadataRequests {
    /// Times a token was asked for.
    pub tokens: u64,
    /// Requests with a token.
    pub with_token: u64,
    /// Requests without one: version 1.
    pub without_token: u64,
}

/// Of a line of the ledger file that tells the shards, the first and one after each change of them: a shard's slice of the hash space, both ends inside, decimal.
#[derive(Serialize)]
pub(crate) struct Slice {
    pub(crate) shard: Arc<str>,
    pub(crate) start: String,
    pub(crate) end: String,
}

/// Accepted records, in the order of acceptance.
pub(crate) struct Ledger {
    accepted: Vec<Arc<Accepted>>,
    keep: bool,
    file: Option<File>,
    lines: Vec<u8>,
    pub(crate) counters: Counters,
}

impl Ledger {
    /// An existing file is replaced.
    pub(crate) fn new(path: Option<&Path>, keep: bool) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self {
            accepted: Vec::new(),
            keep,
            file,
            lines: Vec::new(),
            counters: Counters::default(),
        })
    }

    /// Writes down which shards there are from now on.
    pub(crate) fn shards(&mut self, slices: &[Slice]) -> io::Result<()> {
        if self.file.is_some() {
            serde_json::to_writer(&mut self.lines, &BTreeMap::from([("shards", slices)]))?;
            self.lines.push(b'\n');
        }
        self.flush()
    }

    /// Counts the record, and writes it down at the next [`Ledger::flush`].
    pub(crate) fn accept(&mut self, accepted: Accepted) -> Option<Arc<Accepted>> {
        self.counters.accepted += 1;
        self.counters.accepted_bytes += (accepted.data.len() + accepted.partition_key.len()) as u64;
        if self.file.is_some() {
            serde_json::to_writer(&mut self.lines, &accepted).expect("numbers and strings always serialize");
            self.lines.push(b'\n');
        }
        self.keep.then(|| {
            let accepted = Arc::new(accepted);
            self.accepted.push(Arc::clone(&accepted));
            accepted
        })
    }

    /// Writes to the file what was accepted since the last time.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.lines)?;
            self.lines.clear();
        }
        Ok(())
    }

    pub(crate) fn accepted(&self) -> &[Arc<Accepted>] {
        &self.accepted
    }
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}
