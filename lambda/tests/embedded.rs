//! The embedded store: its contract, its file, other processes, its first format.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use detect::{Anomaly, Change, Event, Kinds, Settings, Transition};
use lambda::embedded::{EmbeddedIncidents, EmbeddedOutbox, EmbeddedPages, FILE, open};
use lambda::entry::{Checkpoint, Entry};
use lambda::handler::{Handler, Limits};
use lambda::incidents::{Found, Incidents};
use lambda::marks::Marks;
use lambda::outbox::{Advance, Outbox};
use lambda::page_name::PageName;
use lambda::pages::{Append, AppendError, Checkpointed, Pages};
use lambda::{KinesisRecord, StoreError};
use rusqlite::Connection;
use wire::aggregate::Aggregate;
use wire::{Bounds, Identity, ProducerId, Reading, Sensor, Timestamp, Value, json};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store_1.db");

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2024-05-01 10:00:00".parse().unwrap();
    start.saturating_add_micros(second * 1_000_000)
}

fn transition(number: u32, change: Change) -> Transition {
    Transition {
        sensor: Arc::new(Sensor::new("DHT_001", "Temperature").with_unit("°C").with_group("hall")),
        since: at(0),
        number,
        change,
        kinds: Kinds::ABOVE,
        value: Value::Scalar(104.2),
        expected: Some((96.0, 101.0)),
        peak: 3.5,
        time: at(i64::from(number)),
    }
}

fn anomaly() -> Anomaly {
    Anomaly {
        sensor: transition(1, Change::Opened).sensor,
        time: at(0),
        value: Value::Scalar(104.2),
        kinds: Kinds::ABOVE | Kinds::RATE,
        score: 3.5,
        expected: Some((96.0, 101.0)),
        incident: at(0),
    }
}

fn entry(version: u64) -> Entry {
    let mut marks = Marks::default();
    marks.set("shard", &u128::from(version).into());
    Entry {
        version,
        marks,
        journal: vec![1, version as u8],
        events: vec![
            Event::Anomaly(anomaly()),
            Event::Incident(transition(1, Change::Opened)),
        ],
    }
}

fn checkpoint(version: u64) -> Checkpoint {
    Checkpoint {
        version,
        marks: Marks::default(),
        page: vec![7; 9],
    }
}

async fn append(pages: &mut EmbeddedPages, name: &str, versions: &[u64]) -> Result<(), AppendError> {
    let append = Append {
        page: PageName::of_key(name),
        entries: versions.iter().copied().map(entry).collect(),
    };
    pages.append(&[append]).await.pop().unwrap()
}

#[tokio::test]
async fn an_entry_is_appended_once_and_its_events_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut pages, mut outbox) = open(dir.path()).unwrap();
    let (a, b) = (PageName::of_key("a"), PageName::of_key("b"));
    append(&mut pages, "a", &[1, 2]).await.unwrap();
    let both = [("a", 2), ("b", 1)].map(|(name, version)| Append {
        page: PageName::of_key(name),
        entries: vec![entry(version)],
    });
    let answers = pages.append(&both).await;
    assert!(
        matches!(answers[..], [Err(AppendError::Conflict), Ok(())]),
        "{answers:?}"
    );
    let stored = pages.load(&[a, b, PageName::of_key("c")]).await;
    let entries: Vec<Option<Vec<Entry>>> = stored
        .into_iter()
        .map(|stored| stored.unwrap().map(|stored| stored.entries))
        .collect();
    assert_eq!(entries, [Some(vec![entry(1), entry(2)]), Some(vec![entry(1)]), None]);
    let untold = outbox.untold(10).unwrap();
    assert_eq!(untold.len(), 3, "a conflict leaves no events");
    outbox.delivered(&untold[..1]).unwrap();
    assert_eq!(outbox.untold(10).unwrap(), untold[1..]);
}

#[tokio::test]
async fn a_checkpoint_replaces_entries_and_their_versions_stay_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (mut pages, _) = open(dir.path()).unwrap();
    let page = PageName::of_key("a");
    append(&mut pages, "a", &[1, 2, 3]).await.unwrap();
    assert_eq!(
        pages.checkpoint(&page, &checkpoint(2)).await.unwrap(),
        Checkpointed::Written
    );
    for version in [0, 2] {
        let answer = pages.checkpoint(&page, &checkpoint(version)).await.unwrap();
        assert_eq!(answer, Checkpointed::Superseded);
    }
    for version in [1, 2, 3] {
        let answer = append(&mut pages, "a", &[version]).await;
        assert!(matches!(answer, Err(AppendError::Conflict)), "version {version}");
    }
    let stored = pages.load(&[page]).await.pop().unwrap().unwrap().unwrap();
    assert_eq!(
        (stored.checkpoint, stored.entries),
        (Some(checkpoint(2)), vec![entry(3)])
    );
}

#[tokio::test]
async fn an_incident_moves_forward_only_and_a_mute_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut outbox) = open(dir.path()).unwrap();
    let incidents = EmbeddedIncidents::open(dir.path()).unwrap().unwrap();
    let (first, second) = (transition(1, Change::Opened), transition(2, Change::Resolved));
    outbox.keep(&[&anomaly(), &anomaly()]).await.unwrap();
    assert_eq!(
        outbox.advance(&[&first, &second], at(9)).await.unwrap(),
        [Advance::Tell, Advance::Tell]
    );
    outbox.told(&[&first]).await.unwrap();
    assert_eq!(
        outbox.advance(&[&first, &second], at(9)).await.unwrap(),
        [Advance::Told, Advance::Tell]
    );
    let Found::One(incident) = incidents
        .find(&incidents.list(9).await.unwrap()[0].id[..4])
        .await
        .unwrap()
    else {
        panic!("one incident has this id")
    };
    assert_eq!(
        (incident.open, &incident.latest),
        (false, &second),
        "an older transition changes nothing"
    );
    assert_eq!(
        incidents.transitions(&incident).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(incidents.anomalies(&incident, 9).await.unwrap().len(), 1, "stored once");
    outbox.told(&[&second]).await.unwrap();
    outbox.told(&[&first]).await.unwrap();
    let answers = outbox.advance(&[&first, &second], at(9)).await.unwrap();
    assert_eq!(answers, [Advance::Told, Advance::Told], "what was told stays told");
    let second = transition(3, Change::Worsened);
    incidents.mute_sensor("DHT_001", at(20)).await.unwrap();
    assert_eq!(outbox.advance(&[&second], at(19)).await.unwrap(), [Advance::Muted]);
    assert_eq!(outbox.advance(&[&second], at(20)).await.unwrap(), [Advance::Tell]);
    incidents.mute(&incident, at(30)).await.unwrap();
    assert_eq!(outbox.advance(&[&second], at(29)).await.unwrap(), [Advance::Muted]);
    let by = incidents.acknowledge(&incident, "Ada", at(3)).await.unwrap();
    assert_eq!(
        incidents.acknowledge(&incident, "Bob", at(4)).await.unwrap(),
        by,
        "who was first stays"
    );
}

#[tokio::test]
async fn others_read_while_the_store_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut pages, mut outbox) = open(dir.path()).unwrap();
    append(&mut pages, "a", &[1]).await.unwrap();
    outbox.advance(&[&transition(1, Change::Opened)], at(0)).await.unwrap();
    let writer = Connection::open(dir.path().join(FILE)).unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM incidents; DELETE FROM entries;")
        .unwrap();
    let reader = EmbeddedIncidents::open(dir.path()).unwrap().unwrap();
    assert_eq!(reader.list(9).await.unwrap().len(), 1, "sees what was committed");
    assert!(
        pages.load(&[PageName::of_key("a")]).await[0]
            .as_ref()
            .unwrap()
            .is_some()
    );
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(reader.list(9).await.unwrap().len(), 0);
}

#[test]
fn each_start_has_a_number_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<u64> = (0..3).map(|_| open(dir.path()).unwrap().0.start().unwrap()).collect();
    assert_eq!(starts, [1, 2, 3]);
}

#[test]
fn a_newer_store_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    file.pragma_update(None, "user_version", 2).unwrap();
    let error = open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }));
    assert!(
        error.to_string().contains(FILE) && error.to_string().contains("newer"),
        "{error}"
    );
    assert!(EmbeddedIncidents::open(dir.path()).is_err());
}

#[tokio::test]
async fn damage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (mut pages, outbox) = open(dir.path()).unwrap();
    append(&mut pages, "a", &[1]).await.unwrap();
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    for (bytes, newer) in [
        (vec![], false),
        (vec![1], false),
        (vec![1, 250, 250], false),
        (vec![9, 0], true),
    ] {
        file.execute("UPDATE entries SET entry = ?1", [bytes]).unwrap();
        match pages.load(&[PageName::of_key("a")]).await.pop().unwrap() {
            Err(StoreError::Newer { .. }) => assert!(newer),
            Err(StoreError::Damaged { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
    }
    drop((pages, outbox, file));
    std::fs::write(dir.path().join(FILE), vec![b'x'; 8192]).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_failed_write_fails_its_pages_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (pages, mut outbox) = open(dir.path()).unwrap();
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    // As a full disk would: the events cannot be written, so neither may the entry.
    file.execute_batch("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'disk is full'); END")
        .unwrap();
    let mut handler = Handler::new(pages, Settings::default(), Limits::default());
    let (first, second) = (aggregate(1, 0..20, 20.0), aggregate(2, 20..21, 99.0));
    assert_eq!(handler.handle(&[record(1, &first)]).await.failed, None);
    assert_eq!(handler.handle(&[record(2, &second)]).await.failed, Some(2.into()));
    assert_eq!(outbox.untold(9).unwrap(), []);
    file.execute_batch("DROP TRIGGER full").unwrap();
    let handled = handler.handle(&[record(3, &second)]).await;
    assert_eq!(
        (handled.failed, handled.counts.anomalies),
        (None, 1),
        "folded once, when it could be kept"
    );
    assert_eq!(outbox.untold(9).unwrap().len(), 1);
}

fn aggregate(number: u64, seconds: std::ops::Range<i64>, value: f64) -> Vec<u8> {
    let sensor = Sensor::new("a", "temperature").with_bounds(Bounds {
        lowest: 0.0,
        highest: 50.0,
    });
    let sensor = Arc::new(sensor);
    let identity = Identity {
        producer: ProducerId(3),
        number,
    };
    let mut aggregate = Aggregate::new("1/0", 0, 1_000_000, identity);
    for second in seconds {
        let mut bytes = Vec::new();
        let value = value + (second % 7) as f64 / 10.0;
        let reading = Reading::new(sensor.clone(), at(second), Value::Scalar(value)).unwrap();
        json::encode(&reading, None, &mut bytes);
        aggregate.push(&bytes).unwrap();
    }
    aggregate.seal()
}

fn record(sequence: u128, data: &[u8]) -> KinesisRecord<'_> {
    KinesisRecord {
        shard: "embedded",
        sequence: sequence.into(),
        partition_key: "1/0",
        arrival: at(0),
        data,
    }
}

/// How the fixture was made, by running these tests with WRITE_FIXTURE set. Once released it must stay as it is, and be
/// read for as long as version 1 is the previous one.
async fn fill(dir: &Path) {
    let (pages, mut outbox): (EmbeddedPages, EmbeddedOutbox) = open(dir).unwrap();
    let limits = Limits {
        checkpoint_entries: 2,
        ..Limits::default()
    };
    let mut handler = Handler::new(pages, Settings::default(), limits);
    for (number, value) in [(1, 20.0), (2, 20.0), (3, 99.0)] {
        let seconds = number as i64 * 10..number as i64 * 10 + 5;
        let data = aggregate(number, seconds, value);
        assert_eq!(handler.handle(&[record(u128::from(number), &data)]).await.failed, None);
    }
    let untold = outbox.untold(9).unwrap();
    for event in &untold[0].events {
        match event {
            Event::Anomaly(anomaly) => outbox.keep(&[anomaly]).await.unwrap(),
            Event::Incident(transition) => drop(outbox.advance(&[transition], at(0)).await.unwrap()),
        }
    }
}

#[tokio::test]
async fn the_store_of_version_1_is_read() {
    // What is written today is read alike.
    let today = tempfile::tempdir().unwrap();
    fill(today.path()).await;
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let file = Connection::open(today.path().join(FILE)).unwrap();
        file.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM")
            .unwrap();
        std::fs::copy(today.path().join(FILE), FIXTURE).unwrap();
    }
    check(today.path()).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(FIXTURE, dir.path().join(FILE)).unwrap();
    check(dir.path()).await;
}

async fn check(dir: &Path) {
    let (mut pages, mut outbox) = open(dir).unwrap();
    let stored = pages
        .load(&[PageName::of_key("1/0")])
        .await
        .pop()
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(stored.checkpoint.as_ref().map(|checkpoint| checkpoint.version), Some(2));
    assert_eq!(
        stored.entries.iter().map(|entry| entry.version).collect::<Vec<_>>(),
        [3]
    );
    assert!(stored.entries[0].marks.covers("embedded", &3.into()));
    let untold = outbox.untold(9).unwrap();
    assert_eq!(untold.len(), 1);
    assert_eq!(untold[0].events, stored.entries[0].events);
    let incidents = EmbeddedIncidents::open(dir).unwrap().unwrap().list(9).await.unwrap();
    assert!(incidents[0].open && incidents[0].latest.kinds.contains(Kinds::ABOVE));
    let mut handler = Handler::new(pages, Settings::default(), Limits::default());
    let again = aggregate(3, 30..35, 99.0);
    let next = aggregate(4, 40..41, 99.0);
    let handled = handler.handle(&[record(4, &again), record(5, &next)]).await;
    assert_eq!((handled.counts.repeated_records, handled.counts.readings), (1, 1));
    assert_eq!(handled.counts.anomalies, 1, "the incident goes on");
}
