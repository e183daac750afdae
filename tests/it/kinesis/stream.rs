//! Resharding, and a stream that is deleted and made again.

use std::collections::BTreeSet;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::types::ScalingType;
use kinesis_fake::{Command, Config, Endpoint, Fault, Strategy};

use super::Scene;
use crate::support::{Daemon, check_ledger, get, metric};

fn client(endpoint: &Endpoint) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIAPERSON", "secret", None, None, "test"))
        .endpoint_url(endpoint.url());
    Client::from_conf(config.build())
}

async fn split(client: &Client, shard: &str, at: u128) {
    let request = client.split_shard().stream_name("readings").shard_to_split(shard);
    request.new_starting_hash_key(at.to_string()).send().await.unwrap();
}

async fn merge(client: &Client, shard: &str, adjacent: &str) {
    let request = client.merge_shards().stream_name("readings").shard_to_merge(shard);
    request.adjacent_shard_to_merge(adjacent).send().await.unwrap();
}

async fn scale(client: &Client, target: i32) {
    let request = client
        .update_shard_count()
        .stream_name("readings")
        .target_shard_count(target);
    request.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
}

/// Shards are split, merged, doubled and halved while a sixth of the requests goes wrong: nothing is lost, and no sensor
/// out of order over parents and children.
#[tokio::test]
async fn shards_change_under_load() {
    const READINGS: u64 = 30_000;
    let faults = [
        (Fault::Partial, 0.05),
        (Fault::Unavailable, 0.06),
        (Fault::ResetAfter, 0.05),
    ];
    let scene = Scene::new(
        200,
        READINGS,
        Config {
            shards: 2,
            chances: faults.into(),
            seed: 5,
            ..Config::default()
        },
    );
    let (endpoint, client) = (&scene.endpoint, client(&scene.endpoint));
    let mut daemon = Daemon::start(scene.path(), &scene.config("", ""), Some(&endpoint.url()), &[]);
    let taken = async |records| {
        endpoint.until(|counters| counters.accepted >= records).await;
    };
    taken(200).await;
    split(&client, "shardId-000000000000", 1 << 126).await;
    taken(500).await;
    merge(&client, "shardId-000000000003", "shardId-000000000001").await;
    taken(800).await;
    scale(&client, 4).await;
    taken(1_100).await;
    scale(&client, 2).await;
    taken(1_400).await;
    split(&client, "shardId-000000000009", 3 << 126).await;
    assert!(
        daemon.child.try_wait().unwrap().is_none(),
        "all of it happened under load"
    );
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["delivered"], READINGS);
    let ledger = std::fs::read_to_string(&scene.ledger).unwrap();
    let records = ledger
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let used: BTreeSet<_> = records
        .filter_map(|record| Some(record.get("shard")?.as_str()?.to_owned()))
        .collect();
    assert!(used.len() > 10, "parents and children took records: {used:?}");
    let report = check_ledger(&scene.ledger, &scene.readings, &[]);
    assert_eq!(report["distinct_readings"], READINGS, "{report}");
}

#[test]
fn more_shards_than_lanes_are_said_at_the_start() {
    let scene = Scene::new(
        10,
        1_000,
        Config {
            shards: 8,
            ..Config::default()
        },
    );
    let config = scene.config("lanes = 4", "");
    let mut daemon = Daemon::start(scene.path(), &config, Some(&scene.endpoint.url()), &[]);
    let said = daemon.logged("more shards than there are lanes");
    assert!(said.contains("open_shards=8") && said.contains("lanes=4"), "{said}");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
}

/// Deleted while readings flow, made again with fewer shards: what it is waited for is said, what memory does not hold is
/// spooled, and all is delivered in order.
#[tokio::test]
async fn a_stream_deleted_and_made_again_with_fewer_shards() {
    const READINGS: u64 = 15_000;
    let scene = Scene::new(50, READINGS, Config::default());
    let endpoint = &scene.endpoint;
    let config = scene.config("budget = \"1MiB\"", "");
    let mut daemon = Daemon::start(scene.path(), &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    endpoint.until(|counters| counters.accepted >= 200).await;
    endpoint.apply(Command::DeleteStream).unwrap();
    let said = daemon.logged("waiting for the sink");
    assert!(said.contains("stream_missing"), "{said}");
    while metric(&get(&address, "/metrics").1, "temp_ingest_readings_spooled") == 0.0 {
        assert!(daemon.child.try_wait().unwrap().is_none(), "it waits");
    }
    let (shards, strategy) = (1, Strategy::UserPartitionKey);
    endpoint.apply(Command::MakeStreamAgain { shards, strategy }).unwrap();
    let said = daemon.logged("still waiting for the sink");
    assert!(said.contains("stream_not_active"), "{said}");
    endpoint.apply(Command::CreateStream).unwrap();
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let report = check_ledger(&scene.ledger, &scene.readings, &[]);
    assert_eq!(report["distinct_readings"], READINGS, "{report}");
}

/// Made again so that it ignores partition keys: nothing goes there, and what was not delivered waits in the spool.
#[tokio::test]
async fn a_stream_made_again_with_strategy_auto_is_refused_by_name() {
    let scene = Scene::new(50, 20_000, Config::default());
    let endpoint = &scene.endpoint;
    // A second request could be between the look at the old stream and its put.
    let config = scene.config("", "max_requests = 1");
    let mut daemon = Daemon::start(scene.path(), &config, Some(&endpoint.url()), &[]);
    endpoint.until(|counters| counters.accepted >= 100).await;
    endpoint.apply(Command::DeleteStream).unwrap();
    daemon.logged("waiting for the sink");
    let before = endpoint.counters().accepted;
    let (shards, strategy) = (4, Strategy::Auto);
    endpoint.apply(Command::MakeStreamAgain { shards, strategy }).unwrap();
    endpoint.apply(Command::CreateStream).unwrap();
    assert_eq!(daemon.ended().code(), Some(1));
    let named = |line: &String| line.contains("stream readings has the record distribution strategy AUTO");
    assert!(daemon.log.iter().any(named), "{}", daemon.log.join("\n"));
    assert_eq!(endpoint.counters().accepted, before);

    endpoint.apply(Command::Strategy(Strategy::UserPartitionKey)).unwrap();
    let mut daemon = Daemon::start(scene.path(), &scene.config("", ""), Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    check_ledger(&scene.ledger, &scene.readings, &[]);
}
