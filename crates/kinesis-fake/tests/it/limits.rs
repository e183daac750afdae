//! What Kinesis refuses by name.

use aws_sdk_kinesis::primitives::Blob;
use kinesis_fake::{Config, Endpoint};

use crate::client::{STREAM, client, code, entries, entry, explicit, put};

#[tokio::test]
async fn requests_beyond_a_limit_are_refused_whole() {
    let endpoint = Endpoint::start(Config {
        max_record_kib: 4096,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let mebibyte = vec![7; 1024 * 1024];
    let beyond = (1_u128 << 127).to_string().replace('1', "9");
    for (name, records, expected) in [
        ("no record", vec![], "ValidationException"),
        ("501 records", entries(501), "ValidationException"),
        ("an empty key", vec![entry("", b"a")], "ValidationException"),
        (
            "257 characters",
            vec![entry(&"ü".repeat(257), b"a")],
            "ValidationException",
        ),
        ("no number", vec![explicit("a", "0x10")], "ValidationException"),
        ("a leading zero", vec![explicit("a", "010")], "ValidationException"),
        (
            "above 2^128 - 1",
            vec![explicit("a", &beyond)],
            "InvalidArgumentException",
        ),
        (
            "a record too large",
            vec![entry("k", &[0; 4096 * 1024])],
            "InvalidArgumentException",
        ),
        (
            "a request too large",
            vec![entry("k", &mebibyte); 10],
            "InvalidArgumentException",
        ),
    ] {
        // One good record beside it shows that all are refused together.
        let mut records = records;
        if !records.is_empty() && records.len() < 500 {
            records.push(entry("good", b"good"));
        }
        let error = put(&client, records).await.unwrap_err();
        assert_eq!(code(&error), (expected.to_owned(), 400), "{name}");
    }
    assert_eq!(endpoint.counters().accepted, 0);
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_accepted() {
    let endpoint = Endpoint::start(Config {
        max_record_kib: 1024,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let full = vec![7; 1024 * 1024 - 1];
    for records in [
        entries(500),
        vec![entry(&"ü".repeat(256), b"a")],
        vec![explicit("a", "0"), explicit("b", &u128::MAX.to_string())],
        vec![entry("k", &full); 10],
    ] {
        let count = records.len() as u64;
        let before = endpoint.counters().accepted;
        assert_eq!(put(&client, records).await.unwrap().failed_record_count(), Some(0));
        assert_eq!(endpoint.counters().accepted, before + count);
    }
}

#[tokio::test]
async fn the_stream_must_be_named_rightly() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let client = client(&endpoint.url());
    let request = || client.put_records().records(entry("a", b"a"));
    let other = request().stream_name("other").send().await.unwrap_err();
    assert!(other.as_service_error().unwrap().is_resource_not_found_exception());
    let arn = |account: &str, name: &str| format!("arn:aws:kinesis:eu-central-1:{account}:stream/{name}");
    request().stream_arn(arn("123456789012", STREAM)).send().await.unwrap();
    for (arn, expected) in [
        (arn("123456789012", "other"), "ResourceNotFoundException"),
        (arn("999999999999", STREAM), "InvalidArgumentException"),
    ] {
        assert_eq!(code(&request().stream_arn(arn).send().await.unwrap_err()).0, expected);
    }
}

#[tokio::test]
async fn a_dry_run_commits_nothing() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let client = client(&endpoint.url());
    let dry = client
        .put_records()
        .stream_name(STREAM)
        .records(entry("a", b"a"))
        .dry_run(true)
        .send()
        .await;
    assert!(
        dry.unwrap_err()
            .as_service_error()
            .unwrap()
            .is_dry_run_operation_exception()
    );
    let dry = client
        .put_record()
        .stream_name(STREAM)
        .partition_key("a")
        .data(Blob::new("a"))
        .dry_run(true);
    assert_eq!(code(&dry.send().await.unwrap_err()).0, "DryRunOperationException");
    assert_eq!(endpoint.counters().accepted, 0);
}
