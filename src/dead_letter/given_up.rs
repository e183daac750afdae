//! One object of a Lambda failure destination in S3: a batch that the stream's event source mapping gave up, and why.
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wire::Reading;
use wire::aggregate::{AggregateError, deaggregate};
use wire::json::Decoder;

use super::{DeadLetterError, failed};

/// An event of 6 MB with its quotes escaped is far smaller.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A batch that Lambda gave up.
#[derive(Debug)]
pub(super) struct GivenUp {
    path: PathBuf,
    time: String,
    request: Request,
    response: Response,
    batch: Batch,
    records: Vec<Record>,
}

/// The contents of an object, as JSON output.
#[derive(Debug, Serialize)]
pub(super) struct Described<'a> {
    file: &'a Path,
    time: &'a str,
    condition: &'a str,
    function_error: &'a str,
    tries: u64,
    stream: &'a str,
    shard: &'a str,
    first_arrival: &'a str,
    last_arrival: &'a str,
    records: usize,
    readings: usize,
}

/// The readings that can be sent again, and the problems with the rest.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub readings: Vec<Reading>,
    pub problems: Vec<String>,
    foreign: u64,
}

/// Records already read, by shard and sequence number: mappings write some records into two objects.
pub(super) type Known = HashSet<(String, String)>;

#[derive(Deserialize)]
struct Invocation<'a> {
    #[serde(default)]
    timestamp: String,
    #[serde(rename = "requestContext", default)]
    request: Request,
    #[serde(rename = "responseContext", default)]
    response: Option<Response>,
    #[serde(rename = "KinesisBatchInfo")]
    stream: Option<Batch>,
    #[serde(rename = "DDBStreamBatchInfo")]
    table: Option<IgnoredAny>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    condition: String,
    approximate_invoke_count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    function_error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Batch {
    shard_id: String,
    start_sequence_number: String,
    approximate_arrival_of_first_record: String,
    approximate_arrival_of_last_record: String,
    batch_size: usize,
    stream_arn: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<EventRecord>,
}

#[derive(Deserialize)]
struct EventRecord {
    kinesis: Record,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    sequence_number: String,
    data: String,
}

impl GivenUp {
    /// Reads an object as downloaded.
    pub fn read(path: &Path) -> Result<Self, DeadLetterError> {
        let reading = |error| failed("reading", path, error);
        let damaged = |problem: String| DeadLetterError::GivenUp {
            path: path.to_owned(),
            problem,
        };
        let bytes = fs::metadata(path).map_err(reading)?.len();
        if bytes > MOST_BYTES {
            return Err(damaged(format!(
                "{bytes} bytes is more than Lambda writes: name an object of the failure destination"
            )));
        }
        let text = fs::read(path).map_err(reading)?;
        let invocation: Invocation<'_> = serde_json::from_slice(&text).map_err(|error| {
            damaged(format!(
                "this is not an object of a failure destination ({error}): download it again"
            ))
        })?;
        let batch = invocation.stream.ok_or_else(|| {
            damaged(match invocation.table {
                Some(_) => "it holds events of the table of pages, no readings: drive them through temp-alert, as \
                            docs/operations.md says"
                    .to_owned(),
                None => "it has no KinesisBatchInfo: it does not come from a stream's event source mapping".to_owned(),
            })
        })?;
        let payload = invocation.payload.ok_or_else(|| {
            damaged(format!(
                "it has no payload, which only a destination in S3 keeps: the records are in {} from {} on for as long as the \
                 stream keeps them",
                batch.shard_id, batch.start_sequence_number
            ))
        })?;
        let event = event(payload.get())
            .map_err(|error| damaged(format!("its payload cannot be read ({error}): download it again")))?;
        Ok(Self {
            path: path.to_owned(),
            time: invocation.timestamp,
            request: invocation.request,
            response: invocation.response.unwrap_or_default(),
            batch,
            records: event.records.into_iter().map(|record| record.kinesis).collect(),
        })
    }

    /// The sort key that puts objects in the order of their stream.
    pub fn order(&self) -> (String, usize, String) {
        let first = &self.batch.start_sequence_number;
        (
            self.batch.approximate_arrival_of_first_record.clone(),
            first.len(),
            first.clone(),
        )
    }

    /// Returns all readings except those of records in `known`, in the order of the stream.
    pub fn contents(&self, known: &mut Known, decoder: &mut Decoder) -> Contents {
        let mut contents = Contents::default();
        if self.records.len() != self.batch.batch_size {
            contents.problems.push(format!(
                "it has {} of its {} records: download it again",
                self.records.len(),
                self.batch.batch_size
            ));
        }
        for record in &self.records {
            if known.insert((self.batch.shard_id.clone(), record.sequence_number.clone())) {
                contents.take(record, decoder);
            }
        }
        if contents.foreign > 0 {
            contents.problems.push(format!(
                "{} of its readings were not put by temp-ingest: packed again, they would become other sensors; redrive \
                 them through temp-detect, as docs/operations.md says",
                contents.foreign
            ));
        }
        contents
    }

    /// Describes the contents.
    pub fn describe(&self, contents: &Contents) -> Described<'_> {
        Described {
            file: &self.path,
            time: &self.time,
            condition: &self.request.condition,
            function_error: self.response.function_error.as_deref().unwrap_or_default(),
            tries: self.request.approximate_invoke_count,
            stream: self.batch.stream_arn.rsplit('/').next().unwrap_or_default(),
            shard: &self.batch.shard_id,
            first_arrival: &self.batch.approximate_arrival_of_first_record,
            last_arrival: &self.batch.approximate_arrival_of_last_record,
            records: self.records.len(),
            readings: contents.readings.len() + contents.foreign as usize,
        }
    }
}

/// Parses the payload: the event as a JSON string, or as a plain object.
fn event(payload: &str) -> Result<Event, serde_json::Error> {
    if payload.starts_with('"') {
        let text: String = serde_json::from_str(payload)?;
        serde_json::from_str(&text)
    } else {
        serde_json::from_str(payload)
    }
}

impl Contents {
    fn take(&mut self, record: &Record, decoder: &mut Decoder) {
        let number = &record.sequence_number;
        let data = match STANDARD.decode(&record.data) {
            Ok(data) => data,
            Err(error) => {
                return self.spoilt(
                    number,
                    format!("its data is not base64 ({error}): download the object again"),
                );
            }
        };
        match deaggregate(&data) {
            Ok(aggregate) => {
                let ours = aggregate.identity().is_some();
                for user_record in aggregate.records() {
                    match user_record {
                        Ok(user_record) => self.decode(number, user_record.data, |_| ours, decoder),
                        Err(error) => self.spoilt(number, error.to_string()),
                    }
                }
            }
            Err(AggregateError::NotAggregated) => self.decode(number, &data, |identified| identified, decoder),
            Err(error @ AggregateError::Malformed(_)) => self.spoilt(number, error.to_string()),
        }
    }

    fn decode(&mut self, number: &str, json: &[u8], ours: impl FnOnce(bool) -> bool, decoder: &mut Decoder) {
        match decoder.decode(json) {
            Ok(decoded) if ours(decoded.identity.is_some()) => self.readings.push(decoded.reading),
            Ok(_) => self.foreign += 1,
            Err(error) => self.spoilt(number, error.to_string()),
        }
    }

    fn spoilt(&mut self, number: &str, problem: String) {
        self.problems.push(format!("record {number}: {problem}"));
    }
}

impl Described<'_> {
    /// The column names.
    pub const COLUMNS: [&'static str; 8] = [
        "given up",
        "why",
        "tries",
        "shard",
        "records",
        "readings",
        "first arrival",
        "file",
    ];

    /// The table row.
    pub fn row(&self) -> [String; 8] {
        let why = match self.function_error {
            "" => self.condition.to_owned(),
            error => format!("{}, {error}", self.condition),
        };
        [
            self.time.to_owned(),
            why,
            self.tries.to_string(),
            self.shard.to_owned(),
            self.records.to_string(),
            self.readings.to_string(),
            self.first_arrival.to_owned(),
            self.file.display().to_string(),
        ]
    }
}
