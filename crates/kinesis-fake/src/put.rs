//! PutRecords and PutRecord: what a request may hold, and what becomes of each of its records.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::config::Strategy;
use crate::ledger::Accepted;
use crate::operation::Operation;
use crate::refusal::{ACCOUNT, Refusal};
use crate::state::State;

/// Limits of a request, and of a key. <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MAX_RECORDS: usize = 500;
const MAX_REQUEST_BYTES: usize = 10 * 1024 * 1024;
const MAX_DATA_BYTES: usize = 10 * 1024 * 1024;
const MAX_KEY_CHARACTERS: usize = 256;

/// A request that puts records, decoded.
#[derive(Debug)]
pub(crate) struct Put {
    stream_name: Option<String>,
    stream_arn: Option<String>,
    dry_run: bool,
    entries: Vec<Entry>,
}

/// A record of it.
#[derive(Debug)]
struct Entry {
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    data: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsInput<'a> {
    #[serde(borrow, default)]
    records: Vec<RawEntry<'a>>,
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordInput<'a> {
    #[serde(borrow, flatten)]
    entry: RawEntry<'a>,
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEntry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsOutput {
    failed_record_count: usize,
    records: Vec<Outcome>,
    encryption_type: &'static str,
}

/// What became of one record.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "PascalCase")]
    Accepted { sequence_number: String, shard_id: String },
    #[serde(rename_all = "PascalCase")]
    Refused {
        error_code: &'static str,
        error_message: String,
    },
}

impl Put {
    pub(crate) fn parse(operation: Operation, body: &[u8]) -> Result<Self, Refusal> {
        let wrong = |error: serde_json::Error| Refusal::serialization(error.to_string());
        let (raw, stream_name, stream_arn, dry_run) = if operation == Operation::PutRecord {
            let input: PutRecordInput<'_> = serde_json::from_slice(body).map_err(wrong)?;
            (vec![input.entry], input.stream_name, input.stream_arn, input.dry_run)
        } else {
            let input: PutRecordsInput<'_> = serde_json::from_slice(body).map_err(wrong)?;
            (input.records, input.stream_name, input.stream_arn, input.dry_run)
        };
        let entries = raw.into_iter().map(Entry::decode).collect::<Result<_, _>>()?;
        Ok(Self {
            stream_name,
            stream_arn,
            dry_run,
            entries,
        })
    }

    /// True where a record has this partition key.
    pub(crate) fn has_key(&self, key: impl Fn(&str) -> bool) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.partition_key.as_deref().is_some_and(&key))
    }

    /// Accepts or refuses each record: the answer's body. `partial` refuses some at random.
    pub(crate) fn commit(self, operation: Operation, state: &mut State, partial: bool) -> Result<Vec<u8>, Refusal> {
        let stream = &state.stream;
        let hashes = self.hashes(operation, stream.strategy)?;
        stream.check_active(self.stream_name.as_deref(), self.stream_arn.as_deref())?;
        self.check_sizes(operation, stream.max_record_kib as usize * 1024)?;
        if self.dry_run {
            return Err(Refusal::dry_run());
        }
        let mut outcomes = Vec::with_capacity(self.entries.len());
        for (entry, hash) in self.entries.into_iter().zip(hashes) {
            outcomes.push(entry.commit(hash, state, partial));
        }
        if let Err(error) = state.ledger.flush() {
            return Err(Refusal::internal_failure(format!("writing the ledger: {error}")));
        }
        if operation == Operation::PutRecord {
            return one_answer(outcomes);
        }
        let failed_record_count = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Refused { .. }))
            .count();
        let output = PutRecordsOutput {
            failed_record_count,
            records: outcomes,
            encryption_type: "NONE",
        };
        Ok(serde_json::to_vec(&output).expect("numbers and strings always serialize"))
    }

    /// Where each record belongs. Fails on keys that no stream takes, and on too many records.
    fn hashes(&self, operation: Operation, strategy: Strategy) -> Result<Vec<u128>, Refusal> {
        if self.entries.is_empty() && !self.dry_run {
            return Err(Refusal::validation(
                "'[]'",
                "records",
                "have length greater than or equal to 1",
            ));
        }
        if self.entries.len() > MAX_RECORDS {
            return Err(Refusal::validation(
                "",
                "records",
                "have length less than or equal to 500",
            ));
        }
        let place = |index: usize, member: &str| match operation {
            Operation::PutRecord => member.to_owned(),
            _ => format!("records.{}.member.{member}", index + 1),
        };
        let hash = |(index, entry): (usize, &Entry)| entry.hash(strategy, |member| place(index, member));
        self.entries.iter().enumerate().map(hash).collect()
    }

    fn check_sizes(&self, operation: Operation, max_record_bytes: usize) -> Result<(), Refusal> {
        let mut total = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.data.len() > MAX_DATA_BYTES {
                let place = format!("records.{}.member.data", index + 1);
                return Err(Refusal::validation(
                    "",
                    &place,
                    "have length less than or equal to 10485760",
                ));
            }
            if entry.bytes() > max_record_bytes {
                return Err(Refusal::invalid_argument(format!(
                    "Record {index} has {} bytes of data and partition key: the stream's maximum record size is {max_record_bytes}",
                    entry.bytes()
                )));
            }
            total += entry.bytes();
        }
        if total > MAX_REQUEST_BYTES && operation == Operation::PutRecords {
            return Err(Refusal::invalid_argument("Records size exceeds 10 MB limit"));
        }
        Ok(())
    }
}

impl Entry {
    fn decode(raw: RawEntry<'_>) -> Result<Self, Refusal> {
        let data = STANDARD
            .decode(raw.data.as_bytes())
            .map_err(|error| Refusal::serialization(format!("Data is not base64: {error}")))?;
        Ok(Self {
            partition_key: raw.partition_key,
            explicit_hash_key: raw.explicit_hash_key,
            data,
        })
    }

    fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.as_ref().map_or(0, String::len)
    }

    fn hash(&self, strategy: Strategy, place: impl Fn(&str) -> String) -> Result<u128, Refusal> {
        let Some(key) = &self.partition_key else {
            return match strategy {
                Strategy::Auto => Ok(0),
                Strategy::UserPartitionKey => Err(Refusal::validation("null", &place("partitionKey"), "not be null")),
            };
        };
        if key.is_empty() {
            let constraint = "have length greater than or equal to 1";
            return Err(Refusal::validation("''", &place("partitionKey"), constraint));
        }
        if key.chars().count() > MAX_KEY_CHARACTERS {
            let constraint = "have length less than or equal to 256";
            return Err(Refusal::validation(
                &format!("'{key}'"),
                &place("partitionKey"),
                constraint,
            ));
        }
        let Some(explicit) = &self.explicit_hash_key else {
            return Ok(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()));
        };
        let canonical = explicit == "0" || !explicit.starts_with('0');
        if !canonical
            || explicit.is_empty()
            || explicit.len() > 39
            || !explicit.bytes().all(|byte| byte.is_ascii_digit())
        {
            let constraint = "satisfy regular expression pattern: 0|([1-9]\\d{0,38})";
            return Err(Refusal::validation(
                &format!("'{explicit}'"),
                &place("explicitHashKey"),
                constraint,
            ));
        }
        explicit.parse().map_err(|_| {
            Refusal::invalid_argument(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {explicit}"
            ))
        })
    }

    fn commit(self, hash: u128, state: &mut State, partial: bool) -> Outcome {
        if partial && state.faults.strikes(state.partial_share) {
            state.ledger.counters.refused += 1;
            if state.faults.strikes(0.5) {
                return Outcome::internal_failure();
            }
            let place = state.stream.place(hash);
            return Outcome::throughput_exceeded(&state.stream.shards[place].id, &state.stream.name);
        }
        let now = state.started.elapsed();
        let place = state.stream.place(hash);
        let shard = &mut state.stream.shards[place];
        let bytes = self.bytes();
        if shard
            .throttle
            .as_mut()
            .is_some_and(|throttle| !throttle.take(bytes, now))
        {
            state.ledger.counters.throttled += 1;
            return Outcome::throughput_exceeded(&shard.id, &state.stream.name);
        }
        let sequence = shard.next_sequence();
        let accepted = state.ledger.accept(Accepted {
            index: state.ledger.counters.accepted,
            request: state.request,
            shard: shard.id.clone(),
            sequence: sequence.clone(),
            partition_key: self.partition_key.unwrap_or_default(),
            explicit_hash_key: self.explicit_hash_key,
            arrival_millis: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            data: self.data,
        });
        shard.records.extend(accepted);
        Outcome::Accepted {
            sequence_number: sequence,
            shard_id: shard.id.to_string(),
        }
    }
}

impl Outcome {
    fn internal_failure() -> Self {
        Self::Refused {
            error_code: "InternalFailure",
            error_message: "Internal Service Failure".to_owned(),
        }
    }

    fn throughput_exceeded(shard: &str, stream: &str) -> Self {
        Self::Refused {
            error_code: "ProvisionedThroughputExceededException",
            error_message: format!("Rate exceeded for shard {shard} in stream {stream} under account {ACCOUNT}."),
        }
    }
}

/// PutRecord answers for its record as a whole.
fn one_answer(outcomes: Vec<Outcome>) -> Result<Vec<u8>, Refusal> {
    match outcomes.into_iter().next() {
        Some(Outcome::Refused {
            error_code: "InternalFailure",
            error_message,
        }) => Err(Refusal::internal_failure(error_message)),
        Some(Outcome::Refused { error_message, .. }) => Err(Refusal::record_throttled(error_message)),
        accepted => Ok(serde_json::to_vec(&accepted).expect("strings always serialize")),
    }
}
