//! The ledger's file holds what was accepted, at the moment it is answered.

use std::fs;

use kinesis_fake::{Config, Endpoint, Fault, Step};
use serde_json::Value;

use crate::client::{client, entries, explicit, put};

fn lines(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_file_has_each_record_right_after_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.jsonl");
    let endpoint = Endpoint::start(Config {
        ledger: Some(path.clone()),
        script: vec![Step::puts(Fault::ResetAfter, 1)],
        shards: 2,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    put(&client, entries(3)).await.unwrap_err();
    assert_eq!(lines(&path).len(), 1 + 3, "a line of shards and one a record");
    put(&client, vec![explicit("16/03", "0")]).await.unwrap();
    let lines = lines(&path);
    assert_eq!(lines[0]["shards"][1]["start"], (u128::MAX / 2 + 1).to_string());
    assert_eq!(lines[0]["shards"][1]["end"], u128::MAX.to_string());
    let accepted: Vec<_> = endpoint
        .accepted()
        .iter()
        .map(|record| serde_json::to_value(record).unwrap())
        .collect();
    assert_eq!(lines[1..], accepted);
    let last = &lines[4];
    assert_eq!((&last["index"], &last["request"]), (&Value::from(3), &Value::from(2)));
    assert_eq!(
        (&last["partition_key"], &last["explicit_hash_key"]),
        (&Value::from("16/03"), &Value::from("0"))
    );
    assert_eq!(last["data"], "MTYvMDM=");
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_shall_be() {
    let endpoint = Endpoint::start(Config {
        keep: false,
        ..Config::default()
    })
    .unwrap();
    put(&client(&endpoint.url()), entries(3)).await.unwrap();
    assert_eq!((endpoint.accepted().len(), endpoint.counters().accepted), (0, 3));
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let path = std::path::PathBuf::from("/proc/no/ledger.jsonl");
    let error = Endpoint::start(Config {
        ledger: Some(path),
        ..Config::default()
    })
    .err()
    .unwrap();
    assert!(error.to_string().contains("/proc/no/ledger.jsonl"), "{error}");
}
