//! DescribeStreamSummary, ListShards and DescribeLimits.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Strategy;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::stream::{Condition, Stream};

/// A shard list's page, as Kinesis cuts it.
const MAX_SHARDS: usize = 1_000;

/// What these operations are asked.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Question {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
}

impl Question {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))
    }
}

pub(crate) fn summary(stream: &Stream, body: &[u8]) -> Result<Value, Refusal> {
    let question = Question::parse(body)?;
    stream.check(question.stream_name.as_deref(), question.stream_arn.as_deref())?;
    let mut summary = json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": if stream.condition == Condition::Creating { "CREATING" } else { "ACTIVE" },
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": stream.created_seconds,
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": stream.open_shards().count(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": stream.max_record_kib,
    });
    if stream.strategy == Strategy::Auto {
        summary["StreamModeDetails"] = json!({ "StreamMode": "ON_DEMAND" });
        summary["RecordDistributionStrategy"] = json!(stream.strategy);
    }
    Ok(json!({ "StreamDescriptionSummary": summary }))
}

pub(crate) fn shards(stream: &Stream, body: &[u8]) -> Result<Value, Refusal> {
    let question = Question::parse(body)?;
    let after = match &question.next_token {
        Some(token) => {
            // A token stands for the stream and where it goes on; naming the stream again is an error there as here.
            if question.stream_name.is_some() || question.exclusive_start_shard_id.is_some() {
                return Err(Refusal::invalid_argument(
                    "NextToken and StreamName cannot be provided together.",
                ));
            }
            Some(token.as_str())
        }
        None => {
            stream.check(question.stream_name.as_deref(), question.stream_arn.as_deref())?;
            question.exclusive_start_shard_id.as_deref()
        }
    };
    let from = after.map_or(0, |after| stream.shards.partition_point(|shard| *shard.id <= *after));
    let rest = &stream.shards[from..];
    let page = &rest[..rest
        .len()
        .min(question.max_results.unwrap_or(MAX_SHARDS).clamp(1, MAX_SHARDS))];
    let mut answer = json!({ "Shards": page.iter().map(describe).collect::<Vec<_>>() });
    if page.len() < rest.len() {
        answer["NextToken"] = json!(page.last().map(|shard| &*shard.id));
    }
    Ok(answer)
}

pub(crate) fn limits(stream: &Stream) -> Value {
    json!({
        "ShardLimit": 500,
        "OpenShardCount": stream.open_shards().count(),
        "OnDemandStreamCount": u8::from(stream.strategy == Strategy::Auto),
        "OnDemandStreamCountLimit": 50,
    })
}

fn describe(shard: &Shard) -> Value {
    let mut sequences = json!({ "StartingSequenceNumber": shard.first_sequence() });
    if let Some(last) = shard.last_sequence() {
        sequences["EndingSequenceNumber"] = json!(last);
    }
    let mut description = json!({
        "ShardId": &*shard.id,
        "HashKeyRange": {
            "StartingHashKey": shard.slice.start().to_string(),
            "EndingHashKey": shard.slice.end().to_string(),
        },
        "SequenceNumberRange": sequences,
    });
    for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        description[name] = json!(&**parent);
    }
    description
}
