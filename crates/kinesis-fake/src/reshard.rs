//! SplitShard, MergeShards and UpdateShardCount. Here they are done at once; Kinesis takes about half a minute a shard, and
//! takes records all the while.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::state::State;

/// What these operations are asked.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Question {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
    target_shard_count: Option<usize>,
}

pub(crate) fn reshard(state: &mut State, operation: Operation, body: &[u8]) -> Result<Value, Refusal> {
    let question: Question = serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))?;
    let now = state.started.elapsed();
    let stream = &mut state.stream;
    stream.check_active(question.stream_name.as_deref(), question.stream_arn.as_deref())?;
    let before = stream.open_shards().count();
    let answer = match operation {
        Operation::SplitShard => {
            let at = wanted(question.new_starting_hash_key, "newStartingHashKey")?;
            let at = at
                .parse()
                .map_err(|_| Refusal::invalid_argument(format!("NewStartingHashKey {at} is no hash key")))?;
            stream.split(&wanted(question.shard_to_split, "shardToSplit")?, at, now)?;
            json!({})
        }
        Operation::MergeShards => {
            let adjacent = wanted(question.adjacent_shard_to_merge, "adjacentShardToMerge")?;
            stream.merge(&wanted(question.shard_to_merge, "shardToMerge")?, &adjacent, now)?;
            json!({})
        }
        _ => {
            let target = wanted(question.target_shard_count, "targetShardCount")?;
            stream.scale(target, now)?;
            json!({ "StreamName": stream.name, "CurrentShardCount": before, "TargetShardCount": target })
        }
    };
    match state.tell_shards() {
        Ok(()) => Ok(answer),
        Err(error) => Err(Refusal::internal_failure(format!("writing the ledger: {error}"))),
    }
}

fn wanted<T>(member: Option<T>, name: &str) -> Result<T, Refusal> {
    member.ok_or_else(|| Refusal::validation("null", name, "not be null"))
}
