//! Each fault gives the error a client expects, and commits what it says.

use std::io;

use aws_sdk_kinesis::error::SdkError;
use kinesis_fake::{Chances, Command, Config, Counters, Credentials, Endpoint, Fault, Operation, Step, Strategy};

use crate::client::{STREAM, client, client_with_key, code, entries, entry, explicit, put};

fn scripted(fault: Fault) -> Endpoint {
    Endpoint::start(Config {
        script: vec![Step::puts(fault, 1)],
        ..Config::default()
    })
    .unwrap()
}

/// The kind of the I/O error at the bottom of a failed dispatch.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = current.source();
    }
    None
}

#[tokio::test]
async fn a_partial_failure_refuses_some_records_with_either_code() {
    let endpoint = scripted(Fault::Partial);
    let answer = put(&client(&endpoint.url()), entries(400)).await.unwrap();
    let refused = answer
        .records()
        .iter()
        .filter(|record| record.error_code().is_some())
        .count();
    assert_eq!(answer.failed_record_count(), Some(refused as i32));
    assert!(
        (100..300).contains(&refused),
        "{refused} of 400 refused at a share of one half"
    );
    for wanted in ["ProvisionedThroughputExceededException", "InternalFailure"] {
        assert!(
            answer
                .records()
                .iter()
                .any(|record| record.error_code() == Some(wanted)),
            "no {wanted}"
        );
    }
    let accepted = endpoint.accepted();
    assert_eq!(accepted.len(), 400 - refused);
    let told = answer.records().iter().filter_map(|record| record.sequence_number());
    assert!(told.eq(accepted.iter().map(|record| record.sequence.as_str())));
    assert_eq!(endpoint.counters().refused, refused as u64);
}

#[tokio::test]
async fn whole_requests_are_refused_by_code() {
    for (fault, expected, status) in [
        (Fault::Throttled, "ProvisionedThroughputExceededException", 400),
        (Fault::LimitExceeded, "LimitExceededException", 400),
        (Fault::InternalFailure, "InternalFailureException", 500),
        (Fault::Unavailable, "ServiceUnavailable", 503),
        (Fault::ExpiredToken, "ExpiredTokenException", 400),
        (Fault::AccessDenied, "AccessDeniedException", 400),
    ] {
        let endpoint = scripted(fault);
        let client = client(&endpoint.url());
        let error = put(&client, entries(3)).await.unwrap_err();
        assert_eq!(code(&error), (expected.to_owned(), status), "{fault:?}");
        assert_eq!(endpoint.accepted(), []);
        assert_eq!(endpoint.counters().faults.get(&fault), Some(&1));
        put(&client, entries(3)).await.unwrap();
        assert_eq!(endpoint.accepted().len(), 3, "after {fault:?}");
    }
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_commit() {
    for (fault, committed) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 3)] {
        let endpoint = scripted(fault);
        let client = client(&endpoint.url());
        let error = put(&client, entries(3)).await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset), "{error:?}");
        assert_eq!(endpoint.accepted().len(), committed, "{fault:?}");
        put(&client, entries(1)).await.unwrap();
        assert_eq!(endpoint.accepted().len(), committed + 1);
    }
}

#[tokio::test]
async fn a_timeout_comes_before_or_after_the_commit() {
    for (fault, committed) in [(Fault::TimeoutBefore, 0), (Fault::TimeoutAfter, 3)] {
        let endpoint = scripted(fault);
        let client = client(&endpoint.url());
        tokio::select! {
            answer = put(&client, entries(3)) => panic!("{fault:?} was answered: {answer:?}"),
            _ = endpoint.until(|counters| counters.hanging == 1) => {}
        }
        // The client has given up: the endpoint hears it.
        endpoint.until(|counters| counters.hanging == 0).await;
        assert_eq!(endpoint.accepted().len(), committed, "{fault:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_committed_at_once() {
    let endpoint = scripted(Fault::Slow);
    let client = client(&endpoint.url());
    let slow = put(&client, entries(3));
    tokio::pin!(slow);
    let committed = tokio::select! {
        biased;
        counters = endpoint.until(|counters| counters.accepted == 3) => counters,
        answer = &mut slow => panic!("answered at once: {answer:?}"),
    };
    assert_eq!(committed.faults.get(&Fault::Slow), Some(&1));
    assert_eq!(slow.await.unwrap().failed_record_count(), Some(0));
}

#[tokio::test]
async fn a_truncated_answer_is_committed_and_cannot_be_read() {
    let endpoint = scripted(Fault::Truncated);
    let error = put(&client(&endpoint.url()), entries(3)).await.unwrap_err();
    assert!(matches!(error, SdkError::ResponseError(_)), "{error:?}");
    assert_eq!(endpoint.accepted().len(), 3);
}

#[tokio::test]
async fn credentials_are_expired_until_others_come() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let first = client_with_key(&endpoint.url(), "AKIAFIRST");
    put(&first, entries(1)).await.unwrap();
    endpoint.apply(Command::Credentials(Credentials::Expire)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            code(&put(&first, entries(1)).await.unwrap_err()).0,
            "ExpiredTokenException"
        );
    }
    put(&client_with_key(&endpoint.url(), "AKIASECOND"), entries(1))
        .await
        .unwrap();
    endpoint.apply(Command::Credentials(Credentials::Renew)).unwrap();
    put(&first, entries(1)).await.unwrap();
    assert_eq!(endpoint.counters().accepted, 3);
}

#[tokio::test]
async fn operations_are_denied_by_name() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let client = client(&endpoint.url());
    endpoint
        .apply(Command::Deny(vec![Operation::DescribeStreamSummary]))
        .unwrap();
    let denied = client
        .describe_stream_summary()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap_err();
    assert!(denied.as_service_error().unwrap().is_access_denied_exception());
    put(&client, entries(1)).await.unwrap();
}

#[tokio::test]
async fn a_missing_stream_is_not_found_until_it_is_created() {
    let endpoint = Endpoint::start(Config {
        exists: false,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let error = put(&client, entries(1)).await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_resource_not_found_exception());
    assert!(
        client
            .describe_stream_summary()
            .stream_name(STREAM)
            .send()
            .await
            .is_err()
    );
    endpoint.apply(Command::CreateStream).unwrap();
    put(&client, entries(1)).await.unwrap();
    endpoint.apply(Command::DeleteStream).unwrap();
    assert!(put(&client, entries(1)).await.is_err());
}

#[tokio::test]
async fn an_auto_stream_ignores_keys() {
    let endpoint = Endpoint::start(Config {
        strategy: Strategy::Auto,
        shards: 4,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    put(&client, (0..8).map(|_| explicit("one key", "0")).collect())
        .await
        .unwrap();
    let mut shards: Vec<_> = endpoint.accepted().iter().map(|record| record.shard.clone()).collect();
    shards.sort();
    shards.dedup();
    assert_eq!(shards.len(), 4);
}

#[tokio::test]
async fn a_key_hangs_its_own_requests_until_it_is_released() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let client = client(&endpoint.url());
    endpoint.apply(Command::Hang("16/03".to_owned())).unwrap();
    let hanging = put(&client, vec![entry("16/02", b"a"), entry("16/03", b"b")]);
    tokio::pin!(hanging);
    tokio::select! {
        answer = &mut hanging => panic!("answered: {answer:?}"),
        _ = endpoint.until(|counters| counters.hanging == 1) => {}
    }
    put(&client, vec![entry("16/04", b"c")]).await.unwrap();
    assert_eq!(endpoint.counters().accepted, 1, "the one that hangs is not committed");
    endpoint.apply(Command::Release("16/03".to_owned())).unwrap();
    hanging.await.unwrap();
    assert_eq!(endpoint.counters().accepted, 3);
    assert_eq!(endpoint.counters().hanging, 0);
}

#[tokio::test]
async fn an_outage_refuses_connections_and_keeps_the_port() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let url = endpoint.url();
    let client = client(&url);
    put(&client, entries(1)).await.unwrap();
    endpoint.apply(Command::Hang("key 0".to_owned())).unwrap();
    let (cut, ()) = tokio::join!(put(&client, entries(1)), async {
        endpoint.until(|counters| counters.hanging == 1).await;
        endpoint.apply(Command::Outage { millis: None }).unwrap();
    });
    assert!(
        matches!(cut.unwrap_err(), SdkError::DispatchFailure(_)),
        "a connection that was open is ended"
    );
    let refused = put(&client, entries(1)).await.unwrap_err();
    assert_eq!(io_kind(&refused), Some(io::ErrorKind::ConnectionRefused), "{refused:?}");
    endpoint.apply(Command::Release("key 0".to_owned())).unwrap();
    endpoint.apply(Command::Recover).unwrap();
    while put(&client, entries(1)).await.is_err() {}
    assert_eq!((endpoint.url(), endpoint.counters().accepted), (url, 2));
}

#[tokio::test]
async fn an_outage_of_a_given_length_ends_by_itself() {
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let client = client(&endpoint.url());
    endpoint.apply(Command::Outage { millis: Some(20) }).unwrap();
    while put(&client, entries(1)).await.is_err() {}
    assert_eq!(endpoint.counters().accepted, 1);
}

#[tokio::test]
async fn throughput_is_limited_by_shard() {
    // So slow that a shard takes one record from its full bucket, and no second one while a test lasts.
    let endpoint = Endpoint::start(Config {
        throttle: Some(1e-9),
        shards: 2,
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let high = u128::MAX.to_string();
    let mixed = vec![
        explicit("a", "0"),
        explicit("b", "0"),
        explicit("c", &high),
        explicit("d", &high),
    ];
    let answer = put(&client, mixed).await.unwrap();
    let codes: Vec<_> = answer.records().iter().map(|record| record.error_code()).collect();
    let throttled = Some("ProvisionedThroughputExceededException");
    assert_eq!(codes, [None, throttled, None, throttled]);
    assert_eq!(
        answer.records()[1].error_message(),
        Some("Rate exceeded for shard shardId-000000000000 in stream readings under account 123456789012.")
    );
    assert_eq!((endpoint.counters().throttled, endpoint.counters().accepted), (2, 2));
    endpoint.apply(Command::Throttle(None)).unwrap();
    assert_eq!(put(&client, entries(500)).await.unwrap().failed_record_count(), Some(0));
    assert!(endpoint.apply(Command::Throttle(Some(0.0))).is_err());
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    async fn run(seed: u64) -> Counters {
        let chances = Chances::from([
            (Fault::Partial, 0.4),
            (Fault::InternalFailure, 0.2),
            (Fault::ResetAfter, 0.2),
        ]);
        let endpoint = Endpoint::start(Config {
            chances,
            seed,
            ..Config::default()
        })
        .unwrap();
        let client = client(&endpoint.url());
        for _ in 0..40 {
            let _ = put(&client, entries(20)).await;
        }
        endpoint.stop()
    }
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    let faults: u64 = first.faults.values().sum();
    assert!(
        (20..40).contains(&faults),
        "{faults} of 40 requests were faulty at a chance of 0.8"
    );
}

#[tokio::test]
async fn a_script_comes_before_chance_and_is_of_one_operation() {
    let endpoint = Endpoint::start(Config {
        chances: Chances::from([(Fault::Unavailable, 1.0)]),
        script: vec![
            Step {
                fault: None,
                times: 2,
                operation: Operation::PutRecords,
            },
            Step {
                fault: Some(Fault::LimitExceeded),
                times: 1,
                operation: Operation::DescribeStreamSummary,
            },
        ],
        ..Config::default()
    })
    .unwrap();
    let client = client(&endpoint.url());
    let describe = || client.describe_stream_summary().stream_name(STREAM).send();
    put(&client, entries(1)).await.unwrap();
    assert_eq!(code(&describe().await.unwrap_err()).0, "LimitExceededException");
    describe().await.unwrap();
    put(&client, entries(1)).await.unwrap();
    assert_eq!(
        code(&put(&client, entries(1)).await.unwrap_err()).0,
        "ServiceUnavailable"
    );
}

#[test]
fn chances_above_certainty_are_refused() {
    let chances = Chances::from([(Fault::Partial, 0.7), (Fault::Slow, 0.4)]);
    assert!(
        Endpoint::start(Config {
            chances: chances.clone(),
            ..Config::default()
        })
        .is_err()
    );
    let endpoint = Endpoint::start(Config::default()).unwrap();
    assert!(endpoint.apply(Command::Chances(chances)).is_err());
}
