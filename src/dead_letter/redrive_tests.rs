#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use wire::aggregate::Aggregate;
use wire::{Identity, ProducerId, Reading, Sensor, Timestamp, Value, json};

use super::*;

const IDENTITY: Identity = Identity {
    producer: ProducerId(0xAB),
    number: 7,
};

fn reading(index: i64) -> Reading {
    let sensor = Arc::new(Sensor::new("kitchen", "temperature").with_unit("°C"));
    let time = Timestamp::from_micros(1_700_000_000_000_000 + index).unwrap();
    Reading::new(sensor, time, Value::Scalar(20.0)).unwrap()
}

fn encoded(index: i64, identity: Option<Identity>) -> Vec<u8> {
    let mut data = Vec::new();
    json::encode(&reading(index), identity, &mut data);
    data
}

fn aggregated(indices: std::ops::Range<i64>) -> Vec<u8> {
    let mut aggregate = Aggregate::new("16/03", 0, 25_000, IDENTITY);
    for index in indices {
        aggregate.push(&encoded(index, None)).unwrap();
    }
    aggregate.seal()
}

fn event(first: u64, records: &[Vec<u8>]) -> Json {
    let records: Vec<Json> = (first..)
        .zip(records)
        .map(|(number, data)| {
            json!({
                "eventSource": "aws:kinesis",
                "eventID": format!("shardId-000000000001:{number}"),
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "16/03",
                    "sequenceNumber": number.to_string(),
                    "data": STANDARD.encode(data),
                    "approximateArrivalTimestamp": 1_700_000_000.25,
                },
            })
        })
        .collect();
    json!({ "Records": records })
}

/// An object as the failure destination's documentation shows it, with the event as a JSON string.
fn object(first: u64, records: &[Vec<u8>]) -> Json {
    json!({
        "requestContext": {
            "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 31,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled\u{1b}[31m"},
        "version": "1.0",
        "timestamp": "2023-11-14T22:13:26.021Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000001",
            "startSequenceNumber": first.to_string(),
            "endSequenceNumber": (first + records.len() as u64 - 1).to_string(),
            "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20.250Z",
            "approximateArrivalOfLastRecord": "2023-11-14T22:13:20.250Z",
            "batchSize": records.len(),
            "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/house",
        },
        "payload": event(first, records).to_string(),
    })
}

fn written(dir: &TempDir, name: &str, object: &Json) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, object.to_string()).unwrap();
    path
}

/// The indices of the readings, and the problems as text.
fn drained(paths: &[PathBuf]) -> (Vec<i64>, Vec<String>) {
    let (mut indices, mut problems) = (Vec::new(), Vec::new());
    let mut redrive = Redrive::open(paths).unwrap();
    for item in redrive.by_ref() {
        match item {
            Ok(found) => {
                let index = found.time().as_micros() - 1_700_000_000_000_000;
                assert_eq!(found, reading(index));
                indices.push(index);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    assert_eq!(redrive.problems(), problems.len() as u64);
    (indices, problems)
}

fn listed(paths: &[PathBuf], json: bool) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let problems = list_given_up(paths, json, &mut out).unwrap();
    let problems = problems.iter().map(ToString::to_string).collect();
    (String::from_utf8(out).unwrap(), problems)
}

#[test]
fn folders_give_all_readings_in_the_order_of_the_stream_once() {
    let dir = TempDir::new().unwrap();
    let plain = encoded(9, Some(IDENTITY));
    // Their names sort in the opposite order, and 100 is greater than 99.
    written(&dir, "m/shard/2023/b", &object(99, &[aggregated(0..3)]));
    written(&dir, "m/shard/2023/a", &object(100, &[aggregated(3..5), plain.clone()]));
    let again = written(&dir, "m/shard/2024/c", &object(101, &[plain]));
    let folder = dir.path().to_owned();
    let (indices, problems) = drained(&[folder.clone(), again]);
    assert_eq!((indices, problems), (vec![0, 1, 2, 3, 4, 9], vec![]));
    // Nothing was changed: reading again gives the same.
    assert_eq!(drained(&[folder]).0, [0, 1, 2, 3, 4, 9]);
}

#[test]
fn an_event_that_is_not_wrapped_in_text_is_read_as_well() {
    let dir = TempDir::new().unwrap();
    let mut object = object(1, &[aggregated(0..2)]);
    object["payload"] = event(1, &[aggregated(0..2)]);
    assert_eq!(drained(&[written(&dir, "a", &object)]), (vec![0, 1], vec![]));
}

#[test]
fn lists_for_people_and_for_programs() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, "a", &object(1, &[aggregated(0..3), aggregated(3..5)]));
    let (table, problems) = listed(std::slice::from_ref(&path), false);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!((rows.len(), problems), (2, vec![]), "{table}");
    assert!(rows[0].starts_with("given up"), "{table}");
    for text in [
        "RetryAttemptsExhausted, Unhandled [31m",
        "   31  ",
        "shardId-000000000001",
        "      2         5  ",
    ] {
        assert!(rows[1].contains(text), "{text}: {table}");
    }
    let (line, _) = listed(std::slice::from_ref(&path), true);
    let line: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(line["file"], path.to_str().unwrap());
    assert_eq!((&line["records"], &line["readings"]), (&2.into(), &5.into()));
    assert_eq!((&line["stream"], &line["tries"]), (&"house".into(), &31.into()));
    assert_eq!(line["condition"], "RetryAttemptsExhausted");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_sent() {
    let dir = TempDir::new().unwrap();
    let mut spoilt = Aggregate::new("16/03", 0, 25_000, IDENTITY);
    spoilt.push(&encoded(0, None)).unwrap();
    spoilt.push(b"{\"sensor\":\"kitchen\"}").unwrap();
    spoilt.push(&encoded(1, None)).unwrap();
    let mut one = object(1, &[spoilt.seal(), b"\xFF\xFE".to_vec(), aggregated(2..3)]);
    one["KinesisBatchInfo"]["batchSize"] = 4.into();
    let mut two = object(4, &[b"".to_vec()]);
    two["payload"] = event(4, &[b"".to_vec()])
        .to_string()
        .replace("\"data\":\"\"", "\"data\":\"~\"")
        .into();
    let paths = [written(&dir, "1", &one), written(&dir, "2", &two)];
    let (indices, problems) = drained(&paths);
    assert_eq!(indices, [0, 1, 2]);
    let starts = |path: &Path, rest: &str| format!("{}: {rest}", path.display());
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(
        problems[0],
        starts(&paths[0], "it has 3 of its 4 records: download it again")
    );
    assert!(
        problems[1].starts_with(&starts(&paths[0], "record 1: ")),
        "{problems:?}"
    );
    assert!(
        problems[2].starts_with(&starts(&paths[0], "record 2: ")),
        "{problems:?}"
    );
    assert!(problems[3].contains("record 4: its data is not base64"), "{problems:?}");
    assert_eq!(listed(&paths, true).1, problems);
}

#[test]
fn what_others_put_is_left_to_the_function() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, "1", &object(1, &[encoded(0, None), aggregated(1..3)]));
    let (indices, problems) = drained(std::slice::from_ref(&path));
    assert_eq!(indices, [1, 2]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("1 of its readings were not put by temp-ingest"),
        "{problems:?}"
    );
    let (line, _) = listed(&[path], true);
    assert_eq!(serde_json::from_str::<Json>(&line).unwrap()["readings"], 3);
}

#[test]
fn every_damaged_file_is_named_with_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let whole = object(1, &[aggregated(0..2)]);
    let mut table = whole.clone();
    table["DDBStreamBatchInfo"] = table["KinesisBatchInfo"].take();
    table.as_object_mut().unwrap().remove("KinesisBatchInfo");
    let mut bare = whole.clone();
    bare.as_object_mut().unwrap().remove("payload");
    let mut other = bare.clone();
    other.as_object_mut().unwrap().remove("KinesisBatchInfo");
    let mut half = whole.clone();
    half["payload"] = "{\"Records\":[".into();
    let cut = dir.path().join("cut");
    fs::write(&cut, &whole.to_string()[..300]).unwrap();
    for (path, problem) in [
        (cut, "is not an object of a failure destination"),
        (written(&dir, "table", &table), "events of the table of pages"),
        (
            written(&dir, "bare", &bare),
            "no payload, which only a destination in S3 keeps",
        ),
        (written(&dir, "other", &other), "no KinesisBatchInfo"),
        (written(&dir, "half", &half), "its payload cannot be read"),
    ] {
        let good = written(&dir, "good", &whole);
        let (indices, problems) = drained(&[path.clone(), good]);
        assert_eq!(indices, [0, 1], "{problems:?}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(path.to_str().unwrap()), "{problems:?}");
        assert!(problems[0].contains(problem), "{problem}: {problems:?}");
    }
}

#[test]
fn a_folder_without_files_and_a_missing_file_are_refused() {
    let dir = TempDir::new().unwrap();
    let refused = |path: PathBuf| Redrive::open(&[path]).map(drop).unwrap_err().to_string();
    assert!(refused(dir.path().to_owned()).contains("there is no file in it"));
    assert!(refused(dir.path().join("gone")).starts_with("reading "));
}

proptest! {
    /// Any file is either read or named in an error, and no reading is invented.
    #[test]
    fn any_damage_is_named(at in 0usize..4_000, byte in any::<u8>(), cut in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        // Numbers that one damaged byte cannot make equal.
        let whole = object(1_009, &[aggregated(0..3), aggregated(3..6)]).to_string().into_bytes();
        let mut damaged = whole.clone();
        let at = at % whole.len();
        if cut { damaged.truncate(at) } else { damaged[at] = byte }
        let path = dir.path().join("a");
        fs::write(&path, &damaged).unwrap();
        let mut redrive = Redrive::open(&[path]).unwrap();
        let found = redrive.by_ref().filter(Result::is_ok).count() as u64;
        prop_assert!(found <= 6);
        if cut {
            prop_assert_eq!((found, redrive.problems()), (0, 1));
        }
        prop_assert!(found == 6 || redrive.problems() > 0);
    }
}
