//! Envelopes of CloudWatch Logs through the handler: a partition for a log group, what is delivered again, decode
//! failures, an incident, and the score of the next line.

use std::io::Write;

use detect::{Change, Event, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use processor::handler::{Counts, Handler, Limits};
use processor::score::{Scored, Scorer};
use processor::sqlite::open;
use processor::{Handled, KinesisRecord};
use serde_json::{Value, json};
use wire::Timestamp;

const GROUP: &str = "/app/house";
const START_MS: u64 = 1_700_000_040_000;

/// So many teach what is usual.
const LINES: u64 = 2_000;

/// So many ordinary lines of one log stream, from line `from` on; about five a second.
fn ordinary(from: u64, count: u64) -> Vec<Value> {
    let line = |number: u64| {
        let message = match number * 7 % 11 {
            0..6 => format!("GET /rooms/{number} took {} ms", number % 90),
            6..9 => format!("POST /rooms/{}/temperature took {} ms", number % 9, number % 70),
            _ => format!("cache refreshed: {number} entries"),
        };
        event(number, &message)
    };
    (from..from + count).map(line).collect()
}

fn event(number: u64, message: &str) -> Value {
    let time = START_MS + number * 200 + number * 31 % 97;
    json!({"id": format!("{number:056}"), "timestamp": time, "message": message})
}

fn envelope(kind: &str, events: &[Value]) -> Vec<u8> {
    let envelope = json!({"messageType": kind, "owner": "123456789012", "logGroup": GROUP, "logStream": "i-1",
        "subscriptionFilters": ["all"], "logEvents": events});
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(envelope.to_string().as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A function of its own for each delivery: none knows more than the store.
async fn handle(dir: &std::path::Path, sequence: u128, envelopes: &[Vec<u8>]) -> Handled {
    let mut handler = Handler::new(open(dir).unwrap().0, Settings::default(), Limits::default());
    let records: Vec<KinesisRecord<'_>> = envelopes
        .iter()
        .zip(sequence..)
        .map(|(data, sequence)| KinesisRecord {
            shard: "shard",
            sequence: sequence.into(),
            partition_key: "whatever",
            arrival: Timestamp::from_micros(START_MS as i64 * 1_000).unwrap(),
            data,
        })
        .collect();
    let handled = handler.handle(&records).await;
    assert_eq!(handled.failed, None);
    handled
}

#[tokio::test]
async fn a_line_never_seen_is_an_incident_of_its_log_group() {
    let dir = tempfile::tempdir().unwrap();
    for (sequence, from) in (1..).zip((0..LINES).step_by(50)) {
        let lines = envelope("DATA_MESSAGE", &ordinary(from, 50));
        let counts = handle(dir.path(), sequence, &[lines]).await.counts;
        let derived = if from < 100 { 0 } else { 50 };
        assert_eq!(
            (counts.events, counts.derived, counts.late, counts.decode_failures.len()),
            (50, derived, 0, 0)
        );
    }
    let (_, mut outbox) = open(dir.path()).unwrap();
    let told = outbox.pending(1_000).unwrap();
    outbox.delivered(&told).unwrap();
    // The log group is a model: usual numbers score little, others do not.
    for (numbers, anomaly) in [([5.3, 3.2, 0.0, 1.8], false), ([5.3, 3.8, 0.0, 2_000.0], true)] {
        let mut scorer = Scorer::new(open(dir.path()).unwrap().0, Settings::default(), 16, None);
        let body = json!({"data": numbers, "model": GROUP}).to_string();
        let Scored::Vector(answer) = scorer.score(body.as_bytes(), None).await.unwrap() else {
            panic!("a vector has one score");
        };
        assert_eq!(answer.anomaly, anomaly, "{answer:?}");
    }
    let panicked = envelope(
        "DATA_MESSAGE",
        &[event(LINES, "panicked at src/main.rs: index out of bounds")],
    );
    let counts = handle(dir.path(), 1_000, &[panicked]).await.counts;
    assert_eq!((counts.anomalies, counts.transitions), (1, 1));
    let told = open(dir.path()).unwrap().1.pending(1_000).unwrap();
    let opened = told
        .iter()
        .flat_map(|entry| &entry.events)
        .find_map(|event| match event {
            Event::Incident(one) if one.change == Change::Opened => Some(one.sensor.id()),
            _ => None,
        });
    assert_eq!(opened, Some("/app/house/lines"));
}

#[tokio::test]
async fn what_is_delivered_again_counts_as_late_and_poison_is_contained() {
    let dir = tempfile::tempdir().unwrap();
    let mut torn = envelope("DATA_MESSAGE", &ordinary(0, 5));
    torn.truncate(40);
    let mixed = [
        envelope("CONTROL_MESSAGE", &ordinary(0, 1)),
        envelope("DATA_MESSAGE", &ordinary(0, 20)),
        torn,
        envelope("DATA_MESSAGE", &[json!({"id": "1"}), ordinary(20, 1).remove(0)]),
    ];
    let Counts {
        events,
        late,
        decode_failures,
        ..
    } = handle(dir.path(), 1, &mixed).await.counts;
    let decode_failures: Vec<(&str, u64)> = decode_failures.into_iter().collect();
    assert_eq!((events, late), (21, 0));
    assert_eq!(decode_failures, [("malformed_envelope", 1), ("malformed_log_event", 1)]);
    // By Kinesis, and by a client that put it again under a new number.
    for sequence in [1, 100] {
        let counts = handle(dir.path(), sequence, &mixed[..2]).await.counts;
        assert_eq!((counts.events, counts.late, counts.entries), (0, 20, 0));
    }
}
