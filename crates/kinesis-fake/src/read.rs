//! GetShardIterator and GetRecords. An iterator is a shard and a position in it; it never expires.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ledger::Accepted;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::stream::Stream;

/// A page of records. <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>
const MAX_RECORDS: usize = 10_000;
const MAX_BYTES: usize = 10 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    /// Seconds since the Unix epoch.
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsInput {
    shard_iterator: String,
    limit: Option<usize>,
}

pub(crate) fn iterator(stream: &Stream, body: &[u8]) -> Result<Value, Refusal> {
    let input: IteratorInput =
        serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))?;
    stream.check(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let Some(shard) = stream.shards.iter().position(|shard| *shard.id == *input.shard_id) else {
        return Err(Refusal::shard_not_found(&input.shard_id, &stream.name));
    };
    let records = &stream.shards[shard].records;
    let missing = |what: &str| Refusal::invalid_argument(format!("{} needs {what}", input.shard_iterator_type));
    let sequence = || {
        input
            .starting_sequence_number
            .as_deref()
            .ok_or_else(|| missing("StartingSequenceNumber"))
    };
    let position = match input.shard_iterator_type.as_str() {
        "TRIM_HORIZON" => 0,
        "LATEST" => records.len(),
        "AT_SEQUENCE_NUMBER" => {
            let at = sequence()?;
            records.partition_point(|record| *record.sequence < *at)
        }
        "AFTER_SEQUENCE_NUMBER" => {
            let after = sequence()?;
            records.partition_point(|record| *record.sequence <= *after)
        }
        "AT_TIMESTAMP" => {
            let at = input.timestamp.ok_or_else(|| missing("Timestamp"))? * 1_000.0;
            records.partition_point(|record| (record.arrival_millis as f64) < at)
        }
        other => {
            return Err(Refusal::invalid_argument(format!(
                "ShardIteratorType {other} is not known"
            )));
        }
    };
    Ok(json!({ "ShardIterator": write(shard, position) }))
}

pub(crate) fn records(stream: &Stream, body: &[u8]) -> Result<Value, Refusal> {
    let input: RecordsInput =
        serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))?;
    let Some((shard, position)) = parse(&input.shard_iterator).filter(|(shard, _)| *shard < stream.shards.len()) else {
        return Err(Refusal::invalid_argument("Invalid ShardIterator."));
    };
    stream.check(Some(&stream.name), None)?;
    let held = &stream.shards[shard].records;
    let mut bytes = 0;
    let page: Vec<Value> = held
        .iter()
        .skip(position)
        .take(input.limit.unwrap_or(MAX_RECORDS).min(MAX_RECORDS))
        .take_while(|record| {
            let first = bytes == 0;
            bytes += record.data.len() + record.partition_key.len();
            first || bytes <= MAX_BYTES
        })
        .map(|record| describe(record))
        .collect();
    let next = position + page.len();
    let behind = match (held.get(next), held.last()) {
        (Some(next), Some(last)) => last.arrival_millis.saturating_sub(next.arrival_millis).max(1),
        _ => 0,
    };
    let mut answer = json!({ "Records": page, "MillisBehindLatest": behind });
    let read = &stream.shards[shard];
    if read.closed && next == held.len() {
        // A closed shard that is read to its end names those that follow from it.
        let children = stream.shards.iter().filter(|child| child.parents.contains(&read.id));
        answer["ChildShards"] = children.map(child).collect();
    } else {
        answer["NextShardIterator"] = json!(write(shard, next));
    }
    Ok(answer)
}

fn child(shard: &Shard) -> Value {
    json!({
        "ShardId": &*shard.id,
        "ParentShards": shard.parents.iter().map(|parent| &**parent).collect::<Vec<_>>(),
        "HashKeyRange": {
            "StartingHashKey": shard.slice.start().to_string(),
            "EndingHashKey": shard.slice.end().to_string(),
        },
    })
}

fn describe(record: &Accepted) -> Value {
    json!({
        "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": record.arrival_millis as f64 / 1_000.0,
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": record.partition_key,
        "EncryptionType": "NONE",
    })
}

fn write(shard: usize, position: usize) -> String {
    format!("{shard}:{position}")
}

fn parse(iterator: &str) -> Option<(usize, usize)> {
    let (shard, position) = iterator.split_once(':')?;
    Some((shard.parse().ok()?, position.parse().ok()?))
}
