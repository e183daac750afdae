//! The embedded store: its contract, its file, other processes, its format.

use std::path::Path;
use std::sync::Arc;

use detect::{Change, Event, Kinds, Settings};
use processor::alert::deliver;
use processor::handler::{Handler, Limits};
use processor::incidents::Incidents;
use processor::message::Message;
use processor::outbox::{Notifier, NotifyError, Outbox};
use processor::partition::{PartitionName, Partitions};
use processor::sqlite::{EmbeddedIncidents, EmbeddedOutbox, EmbeddedPartitions, FILE, open};
use processor::{KinesisRecord, StoreError};
use rusqlite::Connection;
use wire::aggregate::Aggregate;
use wire::{Bounds, Identity, ProducerId, Reading, Sensor, Value, json};

use crate::contract::{self, append, at, transition};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store_v2.db");

#[tokio::test]
async fn events_wait_with_their_entry_and_a_conflict_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut partitions, mut outbox) = open(dir.path()).unwrap();
    append(&mut partitions, "a", &[1, 2]).await.unwrap();
    append(&mut partitions, "a", &[2]).await.unwrap_err();
    let pending = outbox.pending(10).unwrap();
    assert_eq!(pending.len(), 2);
    outbox.delivered(&pending[..1]).unwrap();
    assert_eq!(outbox.pending(10).unwrap(), pending[1..]);
}

#[tokio::test]
async fn it_holds_to_what_every_store_must() {
    let dir = tempfile::tempdir().unwrap();
    let (mut partitions, mut outbox) = open(dir.path()).unwrap();
    contract::entries_are_appended_once(&mut partitions).await;
    contract::a_checkpoint_replaces_entries(&mut partitions).await;
    contract::what_follows_is_read(&mut partitions).await;
    let incidents = EmbeddedIncidents::open(dir.path()).unwrap().unwrap();
    contract::an_incident_moves_forward_only(&mut outbox, &incidents).await;
    contract::a_group_is_kept(&mut outbox, &incidents).await;
}

/// Publishes but what is about one sensor.
struct Picky {
    refuses: &'static str,
    fails: &'static str,
    published: Vec<String>,
}

impl Notifier for Picky {
    async fn notify(&mut self, message: &Message) -> Result<(), NotifyError> {
        let (subject, source) = (message.subject.clone(), "Invalid parameter: no".into());
        match &message.subject {
            of if of.contains(self.refuses) => Err(NotifyError::Refused { subject, source }),
            of if of.contains(self.fails) => Err(NotifyError::Failed { subject, source }),
            _ => {
                self.published.push(subject);
                Ok(())
            }
        }
    }
}

/// A message that is refused for what it holds is counted and not tried again, and those behind it are published; a
/// publisher that fails stops all from there on.
#[tokio::test]
async fn a_message_that_is_refused_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut outbox) = open(dir.path()).unwrap();
    let of = |sensor: Sensor| {
        let mut transition = transition(1, Change::Opened);
        transition.sensor = Arc::new(sensor);
        vec![Event::Incident(transition)]
    };
    let named = |id: &str| Sensor::new(id, "t");
    let entries = [
        of(named("poison")),
        of(named("poisoned-group").with_group("poison")),
        of(named("good")),
        of(named("away")),
        of(named("behind")),
    ];
    let mut notifier = Picky {
        refuses: "poison",
        fails: "away",
        published: Vec::new(),
    };
    let (delivered, undelivered) = deliver(&mut outbox, &mut notifier, &entries, at(0)).await;
    assert_eq!((delivered.refused, delivered.messages), (2, 1));
    assert_eq!(undelivered.unwrap().entry, 3);
    notifier.fails = "nothing of this";
    let (delivered, undelivered) = deliver(&mut outbox, &mut notifier, &entries, at(0)).await;
    assert!(undelivered.is_none());
    assert_eq!(
        (delivered.refused, delivered.messages),
        (0, 2),
        "the refused ones are done with"
    );
    assert_eq!(notifier.published.len(), 3);
}

#[tokio::test]
async fn others_read_while_the_store_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut partitions, mut outbox) = open(dir.path()).unwrap();
    append(&mut partitions, "a", &[1]).await.unwrap();
    outbox.advance(&[&transition(1, Change::Opened)]).await.unwrap();
    let writer = Connection::open(dir.path().join(FILE)).unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM incidents; DELETE FROM entries;")
        .unwrap();
    let reader = EmbeddedIncidents::open(dir.path()).unwrap().unwrap();
    assert_eq!(reader.list(None, 9).await.unwrap().len(), 1, "sees what was committed");
    assert!(
        partitions.load(&[PartitionName::of_key("a")]).await[0]
            .as_ref()
            .unwrap()
            .is_some()
    );
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(reader.list(None, 9).await.unwrap().len(), 0);
}

#[test]
fn each_start_has_a_number_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<u64> = (0..3).map(|_| open(dir.path()).unwrap().0.start().unwrap()).collect();
    assert_eq!(starts, [1, 2, 3]);
}

#[test]
fn another_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    file.pragma_update(None, "user_version", 1).unwrap();
    let error = open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 1, known: 2, .. }));
    file.pragma_update(None, "user_version", 3).unwrap();
    let error = open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 3, known: 2, .. }));
    assert!(
        error.to_string().contains(FILE) && error.to_string().contains("newer"),
        "{error}"
    );
    assert!(EmbeddedIncidents::open(dir.path()).is_err());
}

#[tokio::test]
async fn damage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (mut partitions, outbox) = open(dir.path()).unwrap();
    append(&mut partitions, "a", &[1]).await.unwrap();
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    for (bytes, newer) in [
        (vec![], false),
        (vec![1], false),
        (vec![1, 250, 250], false),
        (vec![9, 0], true),
    ] {
        file.execute("UPDATE entries SET entry = ?1", [bytes]).unwrap();
        match partitions.load(&[PartitionName::of_key("a")]).await.pop().unwrap() {
            Err(StoreError::Newer { .. }) => assert!(newer),
            Err(StoreError::Damaged { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
    }
    drop((partitions, outbox, file));
    std::fs::write(dir.path().join(FILE), vec![b'x'; 8192]).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_failed_write_fails_its_partitions_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (partitions, mut outbox) = open(dir.path()).unwrap();
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    // As a full disk would: the events cannot be written, so neither may the entry.
    file.execute_batch("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'disk is full'); END")
        .unwrap();
    let mut handler = Handler::new(partitions, Settings::default(), Limits::default());
    let (first, second) = (aggregate(1, 0..20, 20.0), aggregate(2, 20..21, 99.0));
    assert_eq!(handler.handle(&[record(1, &first)]).await.failed, None);
    assert_eq!(handler.handle(&[record(2, &second)]).await.failed, Some(2.into()));
    assert_eq!(outbox.pending(9).unwrap(), []);
    file.execute_batch("DROP TRIGGER full").unwrap();
    let handled = handler.handle(&[record(3, &second)]).await;
    assert_eq!(
        (handled.failed, handled.counts.anomalies),
        (None, 1),
        "folded once, when it could be kept"
    );
    assert_eq!(outbox.pending(9).unwrap().len(), 1);
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

/// The contents of the fixture. Running these tests with WRITE_FIXTURE set writes it anew, which only a new version may
/// do.
async fn fill(dir: &Path) {
    let (partitions, mut outbox): (EmbeddedPartitions, EmbeddedOutbox) = open(dir).unwrap();
    let limits = Limits {
        checkpoint_entries: 2,
        ..Limits::default()
    };
    let mut handler = Handler::new(partitions, Settings::default(), limits);
    for (number, value) in [(1, 20.0), (2, 20.0), (3, 99.0)] {
        let seconds = number as i64 * 10..number as i64 * 10 + 5;
        let data = aggregate(number, seconds, value);
        assert_eq!(handler.handle(&[record(u128::from(number), &data)]).await.failed, None);
    }
    let pending = outbox.pending(9).unwrap();
    for event in &pending[0].events {
        match event {
            Event::Anomaly(anomaly) => outbox.keep(&[anomaly]).await.unwrap(),
            Event::Incident(transition) => outbox.advance(&[transition]).await.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_store_of_this_version_is_read() {
    // A store written today reads the same.
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
    let (mut partitions, mut outbox) = open(dir).unwrap();
    let stored = partitions
        .load(&[PartitionName::of_key("1/0")])
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
    let pending = outbox.pending(9).unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].events, stored.entries[0].events);
    let incidents = EmbeddedIncidents::open(dir)
        .unwrap()
        .unwrap()
        .list(None, 9)
        .await
        .unwrap();
    assert!(incidents[0].open && incidents[0].latest.kinds.contains(Kinds::ABOVE));
    let mut handler = Handler::new(partitions, Settings::default(), Limits::default());
    let again = aggregate(3, 30..35, 99.0);
    let next = aggregate(4, 40..41, 99.0);
    let handled = handler.handle(&[record(4, &again), record(5, &next)]).await;
    assert_eq!((handled.counts.repeated_records, handled.counts.readings), (1, 1));
    assert_eq!(handled.counts.anomalies, 1, "the incident goes on");
}
