//! What every store must hold to, whatever it is made of.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test may panic, and not every test needs all of it"
)]

use std::sync::Arc;

use detect::{Anomaly, Change, Event, Kinds, Transition, Worst};
use processor::episodes::Group;
use processor::incidents::{Found, Incidents};
use processor::outbox::{NotificationState, Outbox};
use processor::partition::{
    Append, AppendError, Checkpoint, Checkpointed, Entry, HighWaterMarks, PartitionName, Partitions, Stored,
};
use wire::{Sensor, Timestamp, Value};

pub fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2024-05-01 10:00:00".parse().unwrap();
    start.saturating_add_micros(second * 1_000_000)
}

pub fn transition(number: u32, change: Change) -> Transition {
    Transition {
        sensor: Arc::new(Sensor::new("DHT_001", "Temperature").with_unit("°C").with_group("hall")),
        since: at(0),
        number,
        change,
        kinds: Kinds::ABOVE,
        now: Kinds::ABOVE,
        value: Value::Scalar(104.2),
        expected: Some((96.0, 101.0)),
        lasting: None,
        peak: 3.5,
        worst: Worst {
            time: at(1),
            kinds: Kinds::ABOVE,
            value: Value::Scalar(104.2),
            expected: Some((96.0, 101.0)),
            lasting: None,
        },
        anomalies: 1,
        time: at(i64::from(number)),
    }
}

pub fn anomaly() -> Anomaly {
    Anomaly {
        sensor: transition(1, Change::Opened).sensor,
        time: at(0),
        value: Value::Scalar(104.2),
        kinds: Kinds::ABOVE | Kinds::JUMP,
        score: 3.5,
        expected: Some((96.0, 101.0)),
        incident: at(0),
    }
}

pub fn entry(version: u64) -> Entry {
    let mut marks = HighWaterMarks::default();
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

pub fn checkpoint(version: u64) -> Checkpoint {
    Checkpoint {
        version,
        marks: HighWaterMarks::default(),
        state: vec![7; 9],
    }
}

pub async fn append(partitions: &mut impl Partitions, name: &str, versions: &[u64]) -> Result<(), AppendError> {
    let append = Append {
        partition: PartitionName::of_key(name),
        entries: versions.iter().copied().map(entry).collect(),
    };
    partitions.append(&[append]).await.pop().unwrap()
}

pub async fn load(partitions: &mut impl Partitions, name: &str) -> Option<Stored> {
    partitions
        .load(&[PartitionName::of_key(name)])
        .await
        .pop()
        .unwrap()
        .unwrap()
}

pub fn versions(stored: &Stored) -> Vec<u64> {
    stored.entries.iter().map(|entry| entry.version).collect()
}

/// An entry is appended once, after those before it, and one partition's conflict is not another's.
pub async fn entries_are_appended_once(partitions: &mut impl Partitions) {
    append(partitions, "b", &[1, 2]).await.unwrap();
    let both = [("b", 2), ("c", 1)].map(|(name, version)| Append {
        partition: PartitionName::of_key(name),
        entries: vec![entry(version)],
    });
    let answers = partitions.append(&both).await;
    assert!(
        matches!(answers[..], [Err(AppendError::Conflict), Ok(())]),
        "{answers:?}"
    );
    assert_eq!(versions(&load(partitions, "b").await.unwrap()), [1, 2]);
    assert_eq!(versions(&load(partitions, "c").await.unwrap()), [1]);
    assert_eq!(load(partitions, "d").await, None);
}

/// What others appended is read from where one left off.
pub async fn what_follows_is_read(partitions: &mut impl Partitions) {
    append(partitions, "followed", &[1, 2, 3]).await.unwrap();
    for (known, expected) in [(0, vec![1, 2, 3]), (2, vec![3]), (3, vec![])] {
        let asked = [(PartitionName::of_key("followed"), known)];
        let entries = partitions.since(&asked).await.pop().unwrap().unwrap();
        let versions: Vec<u64> = entries.iter().map(|entry| entry.version).collect();
        assert_eq!(versions, expected, "after {known}");
    }
    let unknown = [(PartitionName::of_key("never"), 4)];
    assert!(partitions.since(&unknown).await.pop().unwrap().unwrap().is_empty());
}

/// A checkpoint replaces entries, and their versions stay taken.
pub async fn a_checkpoint_replaces_entries(partitions: &mut impl Partitions) {
    let partition = PartitionName::of_key("a");
    append(partitions, "a", &[1, 2, 3]).await.unwrap();
    assert_eq!(
        partitions.checkpoint(&partition, &checkpoint(2)).await.unwrap(),
        Checkpointed::Written
    );
    for version in [0, 2] {
        let answer = partitions.checkpoint(&partition, &checkpoint(version)).await.unwrap();
        assert_eq!(answer, Checkpointed::Superseded);
    }
    for version in [1, 2, 3] {
        let answer = append(partitions, "a", &[version]).await;
        assert!(matches!(answer, Err(AppendError::Conflict)), "version {version}");
    }
    let stored = load(partitions, "a").await.unwrap();
    assert_eq!(stored.checkpoint, Some(checkpoint(2)));
    assert_eq!(versions(&stored), [3]);
    assert_eq!(
        (&stored.entries[0].journal, &stored.entries[0].marks),
        (&entry(3).journal, &entry(3).marks)
    );
}

/// An incident moves forward only, and a mute ends.
pub async fn an_incident_moves_forward_only(outbox: &mut impl Outbox, incidents: &impl Incidents) {
    let (first, second) = (transition(1, Change::Opened), transition(2, Change::Resolved));
    outbox.keep(&[&anomaly(), &anomaly()]).await.unwrap();
    outbox.advance(&[&first, &second]).await.unwrap();
    assert_eq!(outbox.lease(&first, at(9)).await.unwrap(), NotificationState::Pending);
    assert_eq!(
        outbox.lease(&first, at(9)).await.unwrap(),
        NotificationState::Pending,
        "again, after an answer that was lost"
    );
    outbox.mark_notified(&[&first]).await.unwrap();
    outbox.advance(&[&first]).await.unwrap();
    assert_eq!(outbox.lease(&first, at(9)).await.unwrap(), NotificationState::Notified);
    assert_eq!(outbox.lease(&second, at(9)).await.unwrap(), NotificationState::Pending);
    let Found::One(incident) = incidents
        .find(&incidents.list(None, 9).await.unwrap()[0].id[..4])
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
    outbox.mark_notified(&[&second]).await.unwrap();
    outbox.mark_notified(&[&first]).await.unwrap();
    outbox.advance(&[&first, &second]).await.unwrap();
    for transition in [&first, &second] {
        let claim = outbox.lease(transition, at(9)).await.unwrap();
        assert_eq!(claim, NotificationState::Notified, "what was told stays told");
    }
    let third = transition(3, Change::Worsened);
    outbox.advance(&[&third]).await.unwrap();
    incidents.mute_sensor("DHT_001", at(20)).await.unwrap();
    assert_eq!(outbox.lease(&third, at(19)).await.unwrap(), NotificationState::Muted);
    assert_eq!(outbox.lease(&third, at(20)).await.unwrap(), NotificationState::Pending);
    incidents.mute(&incident, at(30)).await.unwrap();
    assert_eq!(outbox.lease(&third, at(29)).await.unwrap(), NotificationState::Muted);
    let by = incidents.acknowledge(&incident, "Ada", at(3)).await.unwrap();
    assert_eq!(
        incidents.acknowledge(&incident, "Bob", at(4)).await.unwrap(),
        by,
        "who was first stays"
    );
}

/// A group is kept as it was left, and its incidents can be asked for.
pub async fn a_group_is_kept(outbox: &mut impl Outbox, incidents: &impl Incidents) {
    let mut one = transition(1, Change::Opened);
    one.since = at(5_000);
    one.sensor = Arc::new(Sensor::new("DHT_004", "Temperature").with_group("hall"));
    let mut other = one.clone();
    other.sensor = Arc::new(Sensor::new("DHT_002", "Temperature").with_group("hall"));
    let mut elsewhere = one.clone();
    elsewhere.sensor = Arc::new(Sensor::new("DHT_003", "Temperature").with_group("cellar"));
    outbox.advance(&[&one, &other, &elsewhere]).await.unwrap();
    let both = [&one, &other];
    assert_eq!(
        outbox.states(&both, at(9)).await.unwrap(),
        [NotificationState::Pending; 2]
    );
    incidents.mute_sensor("DHT_002", at(20)).await.unwrap();
    assert_eq!(
        outbox.states(&both, at(19)).await.unwrap(),
        [NotificationState::Pending, NotificationState::Muted]
    );
    let mut group = outbox.lease_group("hall").await.unwrap();
    assert_eq!(group, Group::default());
    let tellings = group.take(&[(&one, false), (&other, false)]).len();
    assert_eq!(tellings, 1);
    outbox.save_group("hall", &group).await.unwrap();
    outbox.mark_notified(&both).await.unwrap();
    outbox.release_group("hall").await.unwrap();
    assert_eq!(
        outbox.states(&both, at(19)).await.unwrap(),
        [NotificationState::Notified; 2]
    );
    assert_eq!(outbox.lease_group("hall").await.unwrap(), group);
    outbox.release_group("hall").await.unwrap();
    assert_eq!(
        outbox.lease_group("DHT_002").await.unwrap(),
        Group::default(),
        "a sensor is no group"
    );
    outbox.release_group("DHT_002").await.unwrap();
    let listed = incidents.list(Some("cellar"), 9).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].latest, elsewhere);
    let of_hall = incidents.list(Some("hall"), 9).await.unwrap();
    assert!(
        of_hall
            .iter()
            .any(|incident| incident.latest == other && incident.muted_until == Some(at(20)))
    );
    assert!(
        of_hall
            .iter()
            .all(|incident| incident.latest.sensor.group() == Some("hall"))
    );
    assert_eq!(incidents.list(Some("hall"), 1).await.unwrap().len(), 1);
    assert!(!incidents.knows_sensor("hall").await.unwrap(), "a group is no sensor");
}
