//! The tables: their contract, the ring, large items, against a local stand-in for DynamoDB.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use detect::{Anomaly, Change, Event, Kinds};
use processor::dynamodb::{TableIncidents, TableOutbox, TablePartitions, TableReadings};
use processor::incidents::Incidents;
use processor::outbox::{NotificationState, Outbox};
use processor::partition::{
    Append, AppendError, Checkpoint, Checkpointed, Entry, MAX_ENTRIES, PartitionName, Partitions, decode_events,
};
use processor::scores::{Scored, Scores};
use wire::{Reading, Sensor, Value};

use crate::contract::{self, anomaly, append, at, checkpoint, entry, load, transition, versions};
use crate::standin::{self, Standin};

const RING: u64 = MAX_ENTRIES as u64;

/// One stand-in for all, because starting it takes longer than any of them.
#[tokio::test]
async fn the_tables_hold_to_what_every_store_must() {
    let standin = Standin::start().await;
    let client = standin.client();
    for table in ["partitions", "contract"] {
        standin::table(client, table, "partition", "item", &[]).await;
    }
    standin::table(client, "anomalies", "deviceid", "timestamp", &[]).await;
    let indexes = [("by_state", "state", "since"), ("by_id", "id_head", "id")];
    standin::table(client, "incidents", "sensor", "since", &indexes).await;
    standin::table(client, "readings", "sensor", "time", &[]).await;

    let mut partitions = TablePartitions::new(client.clone(), "contract");
    contract::entries_are_appended_once(&mut partitions).await;
    contract::a_checkpoint_replaces_entries(&mut partitions).await;
    contract::what_follows_is_read(&mut partitions).await;
    let mut outbox = TableOutbox::new(client.clone(), "anomalies", "incidents");
    let incidents = TableIncidents::new(client.clone(), "incidents");
    contract::an_incident_moves_forward_only(&mut outbox, &incidents).await;

    let mut partitions = TablePartitions::new(client.clone(), "partitions");
    the_ring_comes_round(&mut partitions).await;
    an_entry_of_any_size_is_kept(client, &mut partitions).await;
    a_checkpoint_of_any_size_is_kept(client, &mut partitions).await;
    one_of_two_wins(&partitions).await;
    more_than_one_answer_is_read(&mut partitions).await;
    open_incidents_come_first(&mut outbox, &incidents).await;
    contract::a_group_is_kept(&mut outbox, &incidents).await;
    one_of_two_tells(client).await;
    one_of_two_tells_a_group(client).await;
    many_are_read_and_marked_at_once(&mut outbox, &incidents).await;
    anomalies_are_kept_field_for_field(client, &mut outbox).await;
    readings_are_kept_by_sensor_and_hour(client).await;
}

async fn the_ring_comes_round(partitions: &mut TablePartitions) {
    let partition = PartitionName::of_key("round");
    // A first round's entries are where the next ones go.
    append(partitions, "round", &[1, 2, 3]).await.unwrap();
    let answer = partitions.checkpoint(&partition, &checkpoint(RING - 3)).await.unwrap();
    assert_eq!(answer, Checkpointed::Written);
    assert_eq!(versions(&load(partitions, "round").await.unwrap()), [0; 0]);
    append(partitions, "round", &[RING - 2, RING - 1, RING, RING + 1])
        .await
        .unwrap();
    let stored = load(partitions, "round").await.unwrap();
    assert_eq!(
        versions(&stored),
        [RING - 2, RING - 1, RING, RING + 1],
        "over the end of the ring"
    );
    for taken in [1, RING - 2, RING, RING + 1] {
        let answer = append(partitions, "round", &[taken]).await;
        assert!(matches!(answer, Err(AppendError::Conflict)), "version {taken}");
    }
    // Where the ring ends exactly at its end, nothing follows.
    let answer = partitions.checkpoint(&partition, &checkpoint(RING - 1)).await.unwrap();
    assert_eq!(answer, Checkpointed::Written);
    assert_eq!(versions(&load(partitions, "round").await.unwrap()), [RING, RING + 1]);
}

async fn an_entry_of_any_size_is_kept(client: &Client, partitions: &mut TablePartitions) {
    let large = |version, journal: usize, events: usize| Entry {
        journal: vec![7; journal],
        events: vec![Event::Anomaly(anomaly()); events],
        ..entry(version)
    };
    let partition = PartitionName::of_key("large");
    let entries = [large(1, 900_000, 9), large(2, 10, 9_000), large(3, 10, 1)];
    for entry in &entries {
        let append = Append {
            partition: partition.clone(),
            entries: vec![entry.clone()],
        };
        partitions
            .append(std::slice::from_ref(&append))
            .await
            .pop()
            .unwrap()
            .unwrap();
        let again = partitions.append(&[append]).await.pop().unwrap();
        assert!(matches!(again, Err(AppendError::Conflict)), "{again:?}");
    }
    let stored = load(partitions, "large").await.unwrap();
    let journals: Vec<usize> = stored.entries.iter().map(|entry| entry.journal.len()).collect();
    assert_eq!(journals, [900_000, 10, 10]);
    let told: Vec<Event> = standin::items(client, "partitions", "large")
        .await
        .iter()
        .filter_map(|item| item.get("events"))
        .flat_map(|events| decode_events(events.as_b().unwrap().as_ref()).unwrap())
        .collect();
    assert_eq!(told.len(), 9 + 9_000 + 1, "each item's events are whole");
    // A small entry takes the place of a large one, whose parts are left over.
    partitions.checkpoint(&partition, &checkpoint(RING)).await.unwrap();
    append(partitions, "large", &[RING + 1, RING + 2]).await.unwrap();
    assert_eq!(
        versions(&load(partitions, "large").await.unwrap()),
        [RING + 1, RING + 2]
    );
}

async fn a_checkpoint_of_any_size_is_kept(client: &Client, partitions: &mut TablePartitions) {
    let partition = PartitionName::of_key("grown");
    for (version, bytes, parts) in [(1, 1_000_000, 3), (2, 500_000, 2), (3, 9, 0)] {
        let large = Checkpoint {
            state: vec![version as u8; bytes],
            ..checkpoint(version)
        };
        assert_eq!(
            partitions.checkpoint(&partition, &large).await.unwrap(),
            Checkpointed::Written
        );
        assert_eq!(load(partitions, "grown").await.unwrap().checkpoint, Some(large.clone()));
        let superseded = partitions.checkpoint(&partition, &large).await.unwrap();
        assert_eq!(superseded, Checkpointed::Superseded);
        let items = standin::items(client, "partitions", "grown").await.len();
        assert_eq!(items, 1 + parts, "nothing is left of checkpoints replaced or refused");
    }
}

async fn one_of_two_wins(partitions: &TablePartitions) {
    let (mut one, mut other) = (partitions.clone(), partitions.clone());
    for version in 1..=20 {
        let versions = [version];
        let answers = tokio::join!(
            append(&mut one, "raced", &versions),
            append(&mut other, "raced", &versions)
        );
        let won = [answers.0, answers.1].into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1, "version {version}");
    }
}

/// A query answers 1 MB at most.
async fn more_than_one_answer_is_read(partitions: &mut TablePartitions) {
    let entries: Vec<Entry> = (1..=40)
        .map(|version| Entry {
            journal: vec![version as u8; 100_000],
            ..entry(version)
        })
        .collect();
    let append = Append {
        partition: PartitionName::of_key("long"),
        entries,
    };
    partitions.append(&[append]).await.pop().unwrap().unwrap();
    assert_eq!(load(partitions, "long").await.unwrap().entries.len(), 40);
}

async fn open_incidents_come_first(outbox: &mut TableOutbox, incidents: &TableIncidents) {
    let mut later = transition(1, Change::Opened);
    later.since = at(500);
    outbox.advance(&[&later]).await.unwrap();
    let listed = incidents.list(None, 9).await.unwrap();
    assert!(listed[0].open && listed[0].latest == later);
    assert_eq!(incidents.list(None, 1).await.unwrap().len(), 1);
    assert!(incidents.knows_sensor("DHT_001").await.unwrap());
    incidents.mute_sensor("never seen", at(9)).await.unwrap();
    assert!(
        !incidents.knows_sensor("never seen").await.unwrap(),
        "a mute is no incident"
    );
    assert_eq!(outbox.command(), "temp-ingest incidents --table incidents");
}

async fn one_of_two_tells(client: &Client) {
    let outbox = || TableOutbox::new(client.clone(), "anomalies", "incidents");
    let (mut one, mut other) = (outbox(), outbox());
    let mut transition = transition(1, Change::Opened);
    transition.since = at(900);
    one.advance(&[&transition]).await.unwrap();
    assert_eq!(
        one.lease(&transition, at(99)).await.unwrap(),
        NotificationState::Pending
    );
    let waits = tokio::time::timeout(Duration::from_secs(1), other.lease(&transition, at(99))).await;
    assert!(waits.is_err(), "no answer while another has it");
    one.mark_notified(&[&transition]).await.unwrap();
    assert_eq!(
        other.lease(&transition, at(99)).await.unwrap(),
        NotificationState::Notified
    );
    // Who claimed it was stopped: when its time is over, another tells.
    transition.number = 2;
    one.advance(&[&transition]).await.unwrap();
    assert_eq!(
        one.lease(&transition, at(99)).await.unwrap(),
        NotificationState::Pending
    );
    let update = client.update_item().table_name("incidents");
    let update = update
        .key("sensor", AttributeValue::S("DHT_001".to_owned()))
        .key("since", AttributeValue::S("2024-05-01 10:15:00.000000".to_owned()))
        .update_expression("SET leased_until_ms = :past")
        .expression_attribute_values(":past", AttributeValue::N("1".to_owned()));
    update.send().await.unwrap();
    assert_eq!(
        other.lease(&transition, at(99)).await.unwrap(),
        NotificationState::Pending
    );
}

async fn one_of_two_tells_a_group(client: &Client) {
    let outbox = || TableOutbox::new(client.clone(), "anomalies", "incidents");
    let (mut one, mut other) = (outbox(), outbox());
    let group = one.lease_group("attic").await.unwrap();
    let waits = tokio::time::timeout(Duration::from_secs(1), other.lease_group("attic")).await;
    assert!(waits.is_err(), "no answer while another has it");
    one.save_group("attic", &group).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_secs(1), other.lease_group("attic")).await;
    assert!(waits.is_err(), "nor before it has marked what it told");
    one.release_group("attic").await.unwrap();
    other.lease_group("attic").await.unwrap();
    // Who claimed it was stopped: when its time is over, another tells, and what the first keeps is refused.
    let update = client.update_item().table_name("incidents");
    let update = update
        .key("sensor", AttributeValue::S("attic".to_owned()))
        .key("since", AttributeValue::S("group".to_owned()))
        .update_expression("SET leased_until_ms = :past")
        .expression_attribute_values(":past", AttributeValue::N("1".to_owned()));
    update.send().await.unwrap();
    one.lease_group("attic").await.unwrap();
    assert!(other.save_group("attic", &group).await.is_err());
    other.release_group("attic").await.unwrap();
    one.save_group("attic", &group).await.unwrap();
    one.release_group("attic").await.unwrap();
}

/// More than one request may name.
async fn many_are_read_and_marked_at_once(outbox: &mut TableOutbox, incidents: &TableIncidents) {
    let all: Vec<_> = (0..130)
        .map(|number| {
            let mut one = transition(1, Change::Opened);
            one.since = at(6_000);
            one.sensor = Arc::new(Sensor::new(&format!("MANY_{number:03}"), "Temperature").with_group("roof"));
            one
        })
        .collect();
    let all: Vec<_> = all.iter().collect();
    outbox.advance(&all).await.unwrap();
    incidents.mute_sensor("MANY_129", at(20)).await.unwrap();
    let standing = outbox.states(&all, at(9)).await.unwrap();
    assert_eq!(
        standing
            .iter()
            .filter(|claim| **claim == NotificationState::Pending)
            .count(),
        129
    );
    assert_eq!(standing[129], NotificationState::Muted);
    outbox.mark_notified(&all).await.unwrap();
    assert_eq!(
        outbox.states(&all, at(9)).await.unwrap(),
        [NotificationState::Notified; 130]
    );
    let listed = incidents.list(Some("roof"), 200).await.unwrap();
    assert_eq!(listed.len(), 130);
    assert_eq!(listed.iter().filter(|one| one.muted_until == Some(at(20))).count(), 1);
}

async fn anomalies_are_kept_field_for_field(client: &Client, outbox: &mut TableOutbox) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    let hot = Anomaly {
        kinds: Kinds::ABOVE,
        ..anomaly()
    };
    let huge = Anomaly {
        time: at(1),
        value: Value::Vector([1.5, 1e300].into()),
        ..anomaly()
    };
    // Thirty at once, two of them with the same key.
    let many: Vec<Anomaly> = (2..30)
        .map(|second| Anomaly {
            time: at(second),
            ..anomaly()
        })
        .collect();
    let older = anomaly();
    let mut all: Vec<&Anomaly> = many.iter().collect();
    all.extend([&older, &hot, &huge]);
    outbox.keep(&all).await.unwrap();
    let items = standin::items_of(client, "anomalies", "deviceid", "DHT_001").await;
    assert_eq!(items.len(), 30);
    let first = &items[0];
    assert_eq!(first["timestamp"], text("2024-05-01 10:00:00.000000"));
    assert_eq!(first["anomalyDate"], text("2024-05-01"));
    assert_eq!(
        (&first["value"], &first["anomalyType"]),
        (&number("104.2"), &text("Hot"))
    );
    assert_eq!(
        (&first["anomaly_score"], &first["unit"], &first["group"]),
        (&number("3.5"), &text("°C"), &text("hall"))
    );
    let beyond = AttributeValue::L(vec![number("1.5"), text(&1e300f64.to_string())]);
    assert_eq!(items[1]["value"], beyond, "numbers beyond the table's are kept as text");
}

async fn readings_are_kept_by_sensor_and_hour(client: &Client) {
    let sensor = transition(1, Change::Opened).sensor;
    let scored = |second: i64, score| Scored {
        reading: Reading::new(sensor.clone(), at(second), Value::Scalar(second as f64)).unwrap(),
        score,
        expected: None,
        kinds: Kinds::NONE,
    };
    // From 10:00:00 on: 3,600 s later another hour begins. One comes twice, one late.
    let scores = vec![
        scored(0, Some(0.123)),
        scored(1, Some(2.5)),
        scored(1, None),
        scored(3_600, None),
    ];
    let mut readings = TableReadings::new(client.clone(), "readings", 30);
    readings.keep(&[(PartitionName::of_key("a"), scores)]).await.unwrap();
    let items = standin::items_of(client, "readings", "sensor", "DHT_001").await;
    assert_eq!(items.len(), 2);
    let list = |name: &str| items[0][name].as_l().unwrap().clone();
    let numbers = |digits: [&str; 2]| digits.map(|digits| AttributeValue::N(digits.to_owned())).to_vec();
    assert_eq!(list("offsets_us"), numbers(["0", "1000000"]));
    assert_eq!(list("values"), numbers(["0", "1"]));
    assert_eq!(list("scores"), numbers(["0.12", "2.5"]));
    assert_eq!(items[1]["scores"].as_l().unwrap()[..], [AttributeValue::Null(true)]);
    assert!(items[0]["expires"].as_n().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    // Delivered again and cut elsewhere: nothing of it is judged a second time, two readings are new.
    let again = vec![
        scored(1, None),
        scored(2, Some(0.5)),
        scored(3, Some(f64::from(1e-3f32))),
    ];
    readings.keep(&[(PartitionName::of_key("a"), again)]).await.unwrap();
    let read = |from, to| {
        let mut hours = readings.of("DHT_001", from, to);
        async move {
            let mut found = Vec::new();
            while let Some(hour) = hours.next().await.unwrap() {
                found.push(
                    hour.iter()
                        .map(|scored| (scored.reading.clone(), scored.score))
                        .collect::<Vec<_>>(),
                );
            }
            found
        }
    };
    let row = |second: i64, score| (scored(second, None).reading, score);
    let (first, second) = (
        [
            row(0, Some(0.12)),
            row(1, Some(2.5)),
            row(2, Some(0.5)),
            row(3, Some(0.0)),
        ],
        [row(3_600, None)],
    );
    assert_eq!(read(at(0), at(4_000)).await, [first.to_vec(), second.to_vec()]);
    assert_eq!(
        read(at(1), at(3)).await,
        [first[1..3].to_vec()],
        "its end is not within"
    );
    assert_eq!(read(at(-7_200), at(0)).await, Vec::<Vec<_>>::new());
}
