//! Shards that are split and merged.

use aws_sdk_kinesis::types::{Shard, ShardIteratorType};
use kinesis_fake::{Config, Endpoint};

use crate::client::{STREAM, client, explicit, put};

#[tokio::test]
async fn children_name_their_parents_and_a_closed_shard_ends_with_its_children() {
    let endpoint = Endpoint::start(Config {
        shards: 2,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let (quarter, half) = (1_u128 << 126, 1_u128 << 127);
    put(&client, vec![explicit("before", "0")]).await.unwrap();
    let split = |shard: &str, at: u128| {
        let request = client.split_shard().stream_name(STREAM).shard_to_split(shard);
        request.new_starting_hash_key(at.to_string()).send()
    };
    let refused = split("shardId-000000000000", half).await.unwrap_err();
    assert!(refused.as_service_error().unwrap().is_invalid_argument_exception());
    split("shardId-000000000000", quarter).await.unwrap();
    assert!(split("shardId-000000000000", 1).await.is_err(), "it is closed");
    let merge = |shard: &str, adjacent: &str| {
        let request = client.merge_shards().stream_name(STREAM).shard_to_merge(shard);
        request.adjacent_shard_to_merge(adjacent).send()
    };
    assert!(
        merge("shardId-000000000001", "shardId-000000000002").await.is_err(),
        "not adjacent"
    );
    merge("shardId-000000000001", "shardId-000000000003").await.unwrap();

    let listed = client.list_shards().stream_name(STREAM).send().await.unwrap();
    let family = |shard: &Shard| {
        let range = shard.hash_key_range().unwrap();
        (
            shard.shard_id().to_owned(),
            range.starting_hash_key().parse::<u128>().unwrap(),
            [shard.parent_shard_id(), shard.adjacent_parent_shard_id()].map(|parent| parent.map(str::to_owned)),
            shard
                .sequence_number_range()
                .unwrap()
                .ending_sequence_number()
                .is_some(),
        )
    };
    let id = |number: u32| format!("shardId-{number:012}");
    let expected = [
        (id(0), 0, [None, None], true),
        (id(1), half, [None, None], true),
        (id(2), 0, [Some(id(0)), None], false),
        (id(3), quarter, [Some(id(0)), None], true),
        (id(4), quarter, [Some(id(3)), Some(id(1))], false),
    ];
    assert_eq!(listed.shards().iter().map(family).collect::<Vec<_>>(), expected);

    let places = vec![explicit("after", "0"), explicit("after", &half.to_string())];
    let answer = put(&client, places).await.unwrap();
    let shards: Vec<_> = answer
        .records()
        .iter()
        .map(|record| record.shard_id().unwrap())
        .collect();
    assert_eq!(shards, [id(2), id(4)]);

    let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id(id(0));
    let iterator = iterator
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap();
    let read = client
        .get_records()
        .set_shard_iterator(iterator.shard_iterator)
        .send()
        .await
        .unwrap();
    let children: Vec<_> = read
        .child_shards()
        .iter()
        .map(|child| child.shard_id().to_owned())
        .collect();
    assert_eq!((read.records().len(), read.next_shard_iterator()), (1, None));
    assert_eq!(children, [id(2), id(3)]);
}
