//! What the operations answer.

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, ShardIteratorType, StreamMode, StreamStatus};
use kinesis_fake::{Command, Config, Endpoint, Strategy};

use crate::client::{STREAM, client, entries, entry, explicit, put};

#[tokio::test]
async fn the_summary_tells_shards_sizes_and_strategy() {
    let endpoint = Endpoint::start(Config {
        shards: 6,
        max_record_kib: 2048,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let describe = || async {
        let answer = client
            .describe_stream_summary()
            .stream_name(STREAM)
            .send()
            .await
            .unwrap();
        answer.stream_description_summary().unwrap().clone()
    };
    let summary = describe().await;
    assert_eq!(summary.stream_name(), STREAM);
    assert_eq!(
        summary.stream_arn(),
        "arn:aws:kinesis:us-east-1:123456789012:stream/readings"
    );
    assert_eq!(summary.stream_status(), &StreamStatus::Active);
    assert_eq!(
        (summary.open_shard_count(), summary.max_record_size_in_kib()),
        (6, Some(2048))
    );
    assert_eq!(
        summary.stream_mode_details().unwrap().stream_mode(),
        &StreamMode::Provisioned
    );
    assert_eq!(summary.record_distribution_strategy(), None);
    endpoint.apply(Command::Strategy(Strategy::Auto)).unwrap();
    let summary = describe().await;
    assert_eq!(
        summary.stream_mode_details().unwrap().stream_mode(),
        &StreamMode::OnDemand
    );
    assert_eq!(
        summary.record_distribution_strategy(),
        Some(&RecordDistributionStrategy::Auto)
    );
}

#[tokio::test]
async fn shards_are_listed_in_pages_and_cover_the_hash_space() {
    let endpoint = Endpoint::start(Config {
        shards: 7,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let mut shards = Vec::new();
    let mut page = client
        .list_shards()
        .stream_name(STREAM)
        .max_results(3)
        .send()
        .await
        .unwrap();
    loop {
        shards.extend_from_slice(page.shards());
        let Some(token) = page.next_token() else { break };
        page = client
            .list_shards()
            .next_token(token)
            .max_results(3)
            .send()
            .await
            .unwrap();
    }
    assert_eq!(shards.len(), 7);
    let mut next = Some(0_u128);
    for shard in &shards {
        let range = shard.hash_key_range().unwrap();
        assert_eq!(Some(range.starting_hash_key().parse().unwrap()), next);
        next = range.ending_hash_key().parse::<u128>().unwrap().checked_add(1);
    }
    assert_eq!(next, None, "the last shard ends at 2^128 - 1");
}

#[tokio::test]
async fn a_record_goes_where_its_hash_belongs() {
    let endpoint = Endpoint::start(Config {
        shards: 4,
        ..Config::default()
    })
    .unwrap();
    let quarter = (u128::MAX / 4 + 1).to_string();
    // MD5 of "16/03" is c66d6c4e...: the last quarter. An explicit hash key overrides it.
    let records = vec![
        entry("16/03", b"a"),
        explicit("16/03", &quarter),
        explicit("16/03", "0"),
    ];
    let answer = put(&client(&endpoint.url()), records).await.unwrap();
    let shards: Vec<_> = answer
        .records()
        .iter()
        .map(|record| record.shard_id().unwrap())
        .collect();
    assert_eq!(
        shards,
        ["shardId-000000000003", "shardId-000000000001", "shardId-000000000000"]
    );
}

#[tokio::test]
async fn what_was_put_is_read_again_in_order() {
    let endpoint = Endpoint::start(Config {
        shards: 1,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    put(&client, entries(5)).await.unwrap();
    let one = client
        .put_record()
        .stream_name(STREAM)
        .partition_key("last")
        .data(Blob::new("last"));
    let last = one.send().await.unwrap();
    let iterator = |kind: ShardIteratorType, sequence: Option<&str>| {
        let request = client
            .get_shard_iterator()
            .stream_name(STREAM)
            .shard_id(last.shard_id())
            .shard_iterator_type(kind)
            .set_starting_sequence_number(sequence.map(str::to_owned));
        async { request.send().await.unwrap().shard_iterator().unwrap().to_owned() }
    };
    let read = |iterator: String, limit: i32| {
        let request = client.get_records().shard_iterator(iterator).limit(limit);
        async { request.send().await.unwrap() }
    };
    let first = read(iterator(ShardIteratorType::TrimHorizon, None).await, 4).await;
    assert_eq!(first.records().len(), 4);
    assert!(first.millis_behind_latest().unwrap() > 0);
    assert!(
        first
            .records()
            .is_sorted_by_key(|record| record.sequence_number().to_owned())
    );
    let rest = read(first.next_shard_iterator().unwrap().to_owned(), 100).await;
    let keys: Vec<_> = rest
        .records()
        .iter()
        .map(|record| record.partition_key().unwrap())
        .collect();
    assert_eq!((keys, rest.millis_behind_latest()), (vec!["key 4", "last"], Some(0)));
    assert_eq!(rest.records()[1].data().as_ref(), b"last");
    let at = read(
        iterator(ShardIteratorType::AtSequenceNumber, Some(last.sequence_number())).await,
        100,
    )
    .await;
    assert_eq!(at.records().len(), 1);
    let after = read(
        iterator(ShardIteratorType::AfterSequenceNumber, Some(last.sequence_number())).await,
        100,
    )
    .await;
    assert_eq!(after.records().len(), 0);
    assert_eq!(
        read(iterator(ShardIteratorType::Latest, None).await, 100)
            .await
            .records()
            .len(),
        0
    );
}

#[tokio::test]
async fn limits_and_the_caller_are_told() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let limits = client(&endpoint.url()).describe_limits().send().await.unwrap();
    assert_eq!(limits.open_shard_count(), 4);
    let sts = aws_sdk_sts::Client::from_conf(
        aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .region(aws_sdk_sts::config::Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_sts::config::Credentials::new(
                "AKIAFIRST",
                "secret",
                None,
                None,
                "test",
            ))
            .endpoint_url(endpoint.url())
            .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled())
            .build(),
    );
    let caller = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(caller.account(), Some("123456789012"));
    assert!(
        caller
            .arn()
            .unwrap()
            .starts_with("arn:aws:sts::123456789012:assumed-role/")
    );
    endpoint
        .apply(Command::Credentials(kinesis_fake::Credentials::Expire))
        .unwrap();
    let expired = sts.get_caller_identity().send().await.unwrap_err();
    let expired = expired.as_service_error().unwrap().meta();
    assert_eq!(expired.code(), Some("ExpiredToken"));
}
