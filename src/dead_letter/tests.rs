#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use delivery::ledger::DeadLetter;
use delivery::record::LaneKey;
use tempfile::TempDir;
use wire::aggregate::Aggregate;
use wire::{Identity, ProducerId, Reading, Sensor, Timestamp, Value, json};

use super::*;

const IDENTITY: Identity = Identity {
    producer: ProducerId(0xAB),
    number: 7,
};

fn reading(index: i64) -> Reading {
    let sensor = Arc::new(Sensor::new("kitchen\n\"1\"", "temperature").with_unit("°C"));
    let time = Timestamp::from_micros(1_700_000_000_000_000 + index).unwrap();
    Reading::new(sensor, time, Value::Scalar(20.0 + index as f64)).unwrap()
}

fn record(readings: u32, data: Vec<u8>) -> Record {
    Record {
        lane: Arc::new(LaneKey {
            name: "16/03".into(),
            slice: 0..=9,
        }),
        identity: IDENTITY,
        readings,
        since: Timestamp::default(),
        data,
        receipts: Vec::new(),
    }
}

fn aggregated(indices: std::ops::Range<i64>) -> Record {
    let mut aggregate = Aggregate::new("16/03", 0, 25_000, IDENTITY);
    for index in indices {
        let mut data = Vec::new();
        json::encode(&reading(index), None, &mut data);
        aggregate.push(&data).unwrap();
    }
    record(aggregate.count(), aggregate.seal())
}

fn plain(index: i64) -> Record {
    let mut data = Vec::new();
    json::encode(&reading(index), Some(IDENTITY), &mut data);
    record(1, data)
}

fn letters(dir: &TempDir) -> DeadLetters {
    DeadLetters::open(dir.path(), "kinesis house").unwrap()
}

fn read(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join(FILE)).unwrap_or_default()
}

fn listed(letters: &DeadLetters, json: bool) -> (String, Vec<DeadLetterError>) {
    let mut out = Vec::new();
    let malformed = letters.list(&mut out, json).unwrap();
    (String::from_utf8(out).unwrap(), malformed)
}

/// The indices of the readings, and the numbers of the lines without any.
fn drain(replay: &mut Replay) -> (Vec<i64>, Vec<u64>) {
    let (mut indices, mut malformed) = (Vec::new(), Vec::new());
    for item in replay {
        match item {
            Ok(found) => {
                let index = found.time().as_micros() - 1_700_000_000_000_000;
                assert_eq!(found, reading(index));
                indices.push(index);
            }
            Err(DeadLetterError::Malformed { line, .. }) => malformed.push(line),
            Err(error) => panic!("{error}"),
        }
    }
    (indices, malformed)
}

#[test]
fn a_line_says_all_and_holds_the_readings_as_they_were() {
    let dir = TempDir::new().unwrap();
    let letters = letters(&dir);
    letters
        .append(&aggregated(0..3), DeadLetter::TooLarge, "too \"large\"\n")
        .unwrap();
    letters
        .append(&record(2, b"\xF3\x00 no JSON".to_vec()), DeadLetter::Rejected, "no")
        .unwrap();
    let text = read(&dir);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let first = &lines[0];
    assert!(first["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(first["reason"], "too_large");
    assert_eq!(first["message"], "too \"large\"\n");
    assert_eq!(first["sink"], "kinesis house");
    assert_eq!(first["partition_key"], "16/03");
    assert_eq!(first["producer"], "00000000000000ab");
    assert_eq!((&first["number"], &first["readings"]), (&7.into(), &3.into()));
    let mut whole = Vec::new();
    json::encode(&reading(2), None, &mut whole);
    assert!(text.contains(std::str::from_utf8(&whole).unwrap()), "{text}");
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    assert_eq!(lines[1]["data_base64"], "8wAgbm8gSlNPTg==");
    assert!(lines[1].get("data").is_none());
}

#[test]
fn lists_for_people_and_for_programs() {
    let dir = TempDir::new().unwrap();
    let letters = letters(&dir);
    assert!(listed(&letters, false).0.starts_with("no dead letters"));
    assert_eq!(listed(&letters, true).0, "");
    letters
        .append(&plain(1), DeadLetter::Rejected, "it says\x1b[31m no")
        .unwrap();
    OpenOptions::new()
        .append(true)
        .open(dir.path().join(FILE))
        .unwrap()
        .write_all(b"{\"half")
        .unwrap();
    letters.append(&aggregated(2..4), DeadLetter::TooLarge, "huge").unwrap();
    let (table, malformed) = listed(&letters, false);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].contains("partition key"));
    assert!(
        rows[1].contains("it says [31m no") && rows[2].contains("too_large"),
        "{table}"
    );
    assert_eq!(malformed.len(), 1);
    let told = malformed[0].to_string();
    assert!(
        told.contains("dead-letter.jsonl:2: ") && told.contains("by hand"),
        "{told}"
    );
    let (lines, _) = listed(&letters, true);
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [0, 2].map(|line| read(&dir).lines().nth(line).unwrap().to_owned())
    );
}

#[test]
fn a_replay_gives_every_reading_and_keeps_what_gives_none() {
    let dir = TempDir::new().unwrap();
    let letters = letters(&dir);
    letters.append(&aggregated(0..3), DeadLetter::TooLarge, "").unwrap();
    letters
        .append(&record(1, b"\xFF".to_vec()), DeadLetter::Rejected, "")
        .unwrap();
    letters
        .append(
            &record(1, b"{\"not\":\"a reading\"}".to_vec()),
            DeadLetter::Rejected,
            "",
        )
        .unwrap();
    letters.append(&plain(3), DeadLetter::Rejected, "").unwrap();
    let before = read(&dir);
    let mut replay = letters.replay().unwrap();
    assert_eq!(drain(&mut replay), (vec![0, 1, 2, 3], vec![2, 3]));
    // Rejected again while being replayed: it waits for the next replay.
    letters.append(&plain(9), DeadLetter::Rejected, "").unwrap();
    let replayed = replay.finish().unwrap();
    assert_eq!(replayed.len(), 1);
    assert_eq!(fs::read_to_string(&replayed[0]).unwrap(), before, "nothing is deleted");
    assert!(replayed[0].to_string_lossy().contains(".replayed-"));
    let kept: Vec<_> = before.lines().skip(1).take(2).collect();
    let now = read(&dir);
    assert_eq!(now.lines().skip(1).collect::<Vec<_>>(), kept);
    let mut replay = letters.replay().unwrap();
    assert_eq!(drain(&mut replay), (vec![9], vec![2, 3]));
    replay.finish().unwrap();
    assert_eq!(read(&dir).lines().collect::<Vec<_>>(), kept);
}

#[test]
fn an_unfinished_replay_begins_anew() {
    let dir = TempDir::new().unwrap();
    let letters = letters(&dir);
    letters.append(&aggregated(0..3), DeadLetter::TooLarge, "").unwrap();
    let mut replay = letters.replay().unwrap();
    replay.next().unwrap().unwrap();
    assert!(matches!(letters.replay(), Err(DeadLetterError::Replaying { .. })));
    assert!(matches!(replay.finish(), Err(DeadLetterError::Unfinished)));
    letters.append(&plain(3), DeadLetter::Rejected, "").unwrap();
    assert_eq!(listed(&letters, true).0.lines().count(), 2);
    let mut replay = letters.replay().unwrap();
    assert_eq!(drain(&mut replay).0, [0, 1, 2, 3]);
    assert_eq!(replay.finish().unwrap().len(), 2);
    let mut replay = letters.replay().unwrap();
    assert_eq!(drain(&mut replay).0, [0; 0]);
    assert!(replay.finish().unwrap().is_empty());
}

#[test]
fn a_refused_write_is_an_error() {
    let dir = TempDir::new().unwrap();
    let letters = letters(&dir);
    fs::create_dir(dir.path().join(FILE)).unwrap();
    let error = letters.append(&plain(1), DeadLetter::Rejected, "").unwrap_err();
    assert!(
        error.to_string().contains("dead-letter.jsonl: check the disk"),
        "{error}"
    );
}
