//! A replay at its paces, and from run to run.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use delivery::batch::Batch;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::{Timestamp, Value};

use super::super::trial::{Trial, context, settle};
use super::super::{Ended, Malformed, Output, Settings, SourceError, spawn};

/// A directory with a file of readings, one a second, whose values count from 0.
fn history(readings: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("history.csv"), csv(readings)).unwrap();
    dir
}

fn csv(readings: usize) -> String {
    let start: Timestamp = "2024-05-01T10:00:00Z".parse().unwrap();
    let mut text = String::from("timestamp,value\n");
    for index in 0..readings {
        let time = start.saturating_add_micros(index as i64 * 1_000_000);
        text += &format!("{time},{index}\n");
    }
    text
}

fn replay(dir: &Path, rest: &str, output: Output, malformed: Arc<Malformed>) -> JoinHandle<Result<Ended, SourceError>> {
    let path = dir.join("history.csv");
    let settings: Settings = toml::from_str(&format!("kind = \"replay\"\npath = {path:?}\n{rest}")).unwrap();
    spawn("history", &settings, output, context(&dir.join("state"), malformed))
}

fn start(dir: &TempDir, rest: &str) -> (JoinHandle<Result<Ended, SourceError>>, Trial) {
    let (output, trial) = Trial::new(1);
    (replay(dir.path(), rest, output, Arc::default()), trial)
}

fn values(batches: &[Batch]) -> Vec<u64> {
    let readings = batches.iter().flat_map(|batch| &batch.readings);
    readings
        .map(|reading| match reading.value() {
            Value::Scalar(value) => *value as u64,
            _ => u64::MAX,
        })
        .collect()
}

/// Replays and returns the remaining readings.
async fn rest(dir: &TempDir) -> Vec<u64> {
    let (source, mut trial) = start(dir, "speed = \"max\"");
    let batches = trial.all().await;
    assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
    values(&batches)
}

#[tokio::test]
async fn a_file_is_replayed_once_whole_and_in_order() {
    let dir = history(10_000);
    assert_eq!(rest(&dir).await, (0..10_000).collect::<Vec<_>>());
    assert_eq!(rest(&dir).await, Vec::<u64>::new());
}

#[tokio::test]
async fn it_goes_on_after_what_was_settled_and_not_after_what_was_sent() {
    let dir = history(3_000);
    let (source, mut trial) = start(&dir, "speed = \"max\"");
    let mut first = Vec::new();
    for _ in 0..5 {
        first.push(trial.recv().await.unwrap());
    }
    // Of five batches the third stays unsafe: only the two before it count.
    for index in [4, 1, 0, 3] {
        settle(&first[index]);
    }
    let safe = values(&first[..2]).len() as u64;
    trial.stop.send_replace(true);
    drop(first);
    // Batches on their way at the stop are not settled either.
    while trial.recv().await.is_some() {}
    assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    assert!(safe > 0);
    assert_eq!(rest(&dir).await, (safe..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn receipts_that_come_during_the_drain_move_the_position() {
    let dir = history(3_000);
    let (source, mut trial) = start(&dir, "speed = \"max\"");
    let mut held = vec![trial.recv().await.unwrap()];
    trial.stop.send_replace(true);
    // The source has released its output: the pipeline's input ends, while receipts are still pending.
    while let Some(batch) = trial.recv().await {
        held.push(batch);
    }
    assert!(!source.is_finished());
    held.iter().for_each(settle);
    let safe = values(&held).len() as u64;
    drop(held);
    assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    assert_eq!(rest(&dir).await, (safe..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_spent_file_waits_for_its_receipts() {
    let dir = history(10);
    let (source, mut trial) = start(&dir, "speed = \"max\"");
    let mut held = Vec::new();
    while let Some(batch) = trial.recv().await {
        held.push(batch);
    }
    assert!(!source.is_finished());
    held.iter().for_each(settle);
    drop(held);
    assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
}

#[tokio::test]
async fn a_file_that_has_changed_starts_anew_and_one_that_grew_goes_on() {
    let dir = history(100);
    assert_eq!(rest(&dir).await.len(), 100);
    fs::write(dir.path().join("history.csv"), csv(130)).unwrap();
    assert_eq!(rest(&dir).await, (100..130).collect::<Vec<_>>());
    fs::write(dir.path().join("history.csv"), csv(130).replace(",7\n", ",8\n")).unwrap();
    assert_eq!(rest(&dir).await.len(), 130);
    fs::write(dir.path().join("history.csv"), csv(50)).unwrap();
    assert_eq!(rest(&dir).await.len(), 50);
}

#[tokio::test]
async fn malformed_lines_at_the_end_are_counted_once_over_all_runs() {
    let dir = history(10);
    let path = dir.path().join("history.csv");
    fs::write(&path, csv(10) + "bad\nworse\n").unwrap();
    for (run, expected) in [(1, 2), (2, 0)] {
        let (output, mut trial) = Trial::new(1);
        let malformed = Arc::new(Malformed::default());
        let source = replay(dir.path(), "speed = \"max\"", output, Arc::clone(&malformed));
        trial.all().await;
        assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
        assert_eq!(malformed.count(), expected, "run {run}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _trial) = start(&dir, "");
    let error = source.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("history.csv"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn at_a_factor_readings_come_when_they_are_due_with_the_time_of_that() {
    let dir = history(40);
    let (source, mut trial) = start(&dir, "speed = 4");
    let mut first: Option<(Instant, Timestamp)> = None;
    let mut seen = 0;
    while let Some(batch) = trial.settled().await {
        for reading in &batch.readings {
            let (began, wall) = *first.get_or_insert((Instant::now(), reading.time()));
            assert_eq!(reading.time(), wall.saturating_add_micros(seen * 250_000));
            let due = began + Duration::from_millis(250 * seen as u64);
            assert!(
                Instant::now() >= due && Instant::now() <= due + Duration::from_millis(1),
                "reading {seen}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 40);
    assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
    let (_, wall) = first.unwrap();
    assert!(wall > "2026-01-01T00:00:00Z".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn times_are_kept_where_the_settings_say_so() {
    let dir = history(10);
    let (_source, mut trial) = start(&dir, "speed = 1000\ntimes = \"keep\"");
    let batches = trial.all().await;
    let times: Vec<_> = batches
        .iter()
        .flat_map(|batch| &batch.readings)
        .map(|reading| reading.time())
        .collect();
    assert_eq!(times[9], "2024-05-01T10:00:09Z".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn it_stops_while_it_waits_for_a_reading_that_is_not_due() {
    let dir = history(2);
    let path = dir.path().join("history.csv");
    fs::write(path, "timestamp,value\n0001-01-01 00:00:00,1\n9999-01-01 00:00:00,2\n").unwrap();
    let (source, mut trial) = start(&dir, "speed = 1e-6");
    trial.settled().await.unwrap();
    trial.stop.send_replace(true);
    assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn the_built_in_example_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (output, mut trial) = Trial::new(1);
    let settings = "kind = \"replay\"\npath = \"example:rds_cpu_utilization\"\nspeed = \"max\"\nunit = \"%\"";
    let settings: Settings = toml::from_str(settings).unwrap();
    let malformed = Arc::new(Malformed::default());
    let source = spawn(
        "recorded",
        &settings,
        output,
        context(dir.path(), Arc::clone(&malformed)),
    );
    let readings: Vec<_> = trial.all().await.into_iter().flat_map(|batch| batch.readings).collect();
    assert_eq!((readings.len(), malformed.count()), (4_032, 0));
    assert_eq!(readings[0].time(), "2014-04-10T00:02:00Z".parse().unwrap());
    assert_eq!(readings[0].sensor().id(), "recorded");
    assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_cause_once() {
    let error = SourceError::File {
        doing: "reading",
        file: "house.csv".to_owned(),
        source: std::io::Error::other("no such disk"),
    };
    assert_eq!(
        format!("{:#}", anyhow::Error::from(error)),
        "reading house.csv: no such disk"
    );
}
