//! What Lambda gave up, sent again by the real binary into a stream.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_fake::{Config, Endpoint};
use serde_json::json;
use wire::aggregate::{Aggregate, deaggregate};
use wire::{Identity, ProducerId, Reading, Sensor, Timestamp, Value};

const IDENTITY: Identity = Identity {
    producer: ProducerId(0xAB),
    number: 7,
};

fn encoded(index: i64) -> Vec<u8> {
    let sensor = Arc::new(Sensor::new("kitchen", "temperature"));
    let time = Timestamp::from_micros(1_700_000_000_000_000 + index).unwrap();
    let mut json = Vec::new();
    wire::json::encode(
        &Reading::new(sensor, time, Value::Scalar(20.0)).unwrap(),
        None,
        &mut json,
    );
    json
}

/// An object of the failure destination with one record of three readings.
fn object() -> String {
    let mut aggregate = Aggregate::new("16/03", 0, 25_000, IDENTITY);
    for index in 0..3 {
        aggregate.push(&encoded(index)).unwrap();
    }
    let kinesis = json!({"sequenceNumber": "1", "partitionKey": "16/03", "data": STANDARD.encode(aggregate.seal())});
    json!({
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 31},
        "timestamp": "2023-11-14T22:13:26.021Z",
        "KinesisBatchInfo": {"shardId": "shardId-000000000001", "startSequenceNumber": "1", "batchSize": 1},
        "payload": json!({"Records": [{"kinesis": kinesis}]}).to_string(),
    })
    .to_string()
}

fn dead_letter(home: &Path, endpoint: &Endpoint, verb: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_temp-ingest"))
        .args(["dead-letter", verb, "--from", "given-up"])
        .env_clear()
        .env("HOME", home)
        .env("TEMP_INGEST__SINK", "kinesis")
        .env("TEMP_INGEST__KINESIS__STREAM", "readings")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint.url())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .current_dir(home)
        .output()
        .unwrap()
}

/// The identities and the readings of what the stream took.
fn taken(endpoint: &Endpoint) -> (Vec<ProducerId>, Vec<Vec<u8>>) {
    let (mut producers, mut readings) = (Vec::new(), Vec::new());
    for accepted in endpoint.accepted() {
        let aggregate = deaggregate(&accepted.data).unwrap();
        producers.push(aggregate.identity().unwrap().producer);
        readings.extend(aggregate.records().map(|record| record.unwrap().data.to_vec()));
    }
    (producers, readings)
}

#[test]
fn readings_go_again_under_a_new_identity_as_often_as_they_are_sent() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let folder = home.path().join("given-up/shard/2023");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("one"), object()).unwrap();
    let output = dead_letter(home.path(), &endpoint, "replay");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.ends_with("3 readings sent again\n"), "{told}");
    let readings: Vec<Vec<u8>> = (0..3).map(encoded).collect();
    let (producers, once) = taken(&endpoint);
    assert_eq!(once, readings);
    assert!(!producers.contains(&IDENTITY.producer), "{producers:?}");
    assert_eq!(fs::read_to_string(folder.join("one")).unwrap(), object());
    dead_letter(home.path(), &endpoint, "replay");
    let (producers, twice) = taken(&endpoint);
    assert_eq!(twice, [readings.clone(), readings].concat());
    assert_ne!(producers.first(), producers.last());
}

#[test]
fn damaged_objects_are_named_and_hold_nothing_up() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    fs::create_dir(home.path().join("given-up")).unwrap();
    // More than are sent at a time.
    for number in 0..300 {
        let path = home.path().join(format!("given-up/damaged-{number}"));
        fs::write(path, &object()[..100]).unwrap();
    }
    fs::write(home.path().join("given-up/good"), object()).unwrap();
    for verb in ["list", "replay"] {
        let output = dead_letter(home.path(), &endpoint, verb);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("given-up/damaged-299: this is not an object of a failure destination"),
            "{verb}: {error}"
        );
    }
    assert_eq!(taken(&endpoint).1.len(), 3);
}
