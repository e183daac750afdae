#![allow(clippy::unwrap_used, reason = "a test may panic")]

use delivery::record::LaneKey;
use processor::incidents::Incidents as _;
use processor::sqlite::{EmbeddedIncidents, FILE};
use rusqlite::Connection;
use wire::aggregate::Aggregate;
use wire::{Bounds, Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

use super::*;

/// A notifier that passes messages on; it fails or panics on request.
struct Notified {
    lines: mpsc::UnboundedSender<String>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Error,
    Panic,
}

impl Notifier for Notified {
    async fn notify(&mut self, message: &Message) -> Result<(), NotifyError> {
        match self.fault {
            Fault::Panic => panic!("the notifier's end, for the test"),
            Fault::Error => Err(NotifyError::Failed {
                subject: message.subject.clone(),
                source: "the terminal is gone".into(),
            }),
            Fault::None => {
                self.lines.send(message.line.clone()).unwrap();
                Ok(())
            }
        }
    }
}

fn start(dir: &Path, fault: Fault) -> (Embedded, mpsc::UnboundedReceiver<String>) {
    start_with(dir, fault, detect::Settings::default())
}

fn start_with(dir: &Path, fault: Fault, settings: detect::Settings) -> (Embedded, mpsc::UnboundedReceiver<String>) {
    let (lines, told) = mpsc::unbounded_channel();
    let metrics = Arc::new(Metrics::new(Arc::default()));
    let embedded = Embedded::start(dir, settings, Notified { lines, fault }, Arc::default(), metrics).unwrap();
    (embedded, told)
}

fn sensor(lane: u32) -> Sensor {
    Sensor::new(&format!("sensor-{lane}"), "Temperature").with_bounds(Bounds {
        lowest: 0.0,
        highest: 30.0,
    })
}

/// A record of one lane: readings of one sensor, one a second from `second` on.
fn record(lane: u32, number: u64, second: i64, values: &[f64]) -> Arc<Record> {
    record_of(sensor(lane), lane, number, second, values)
}

fn record_of(sensor: Sensor, lane: u32, number: u64, second: i64, values: &[f64]) -> Arc<Record> {
    let sensor = Arc::new(sensor);
    let lines = values.iter().zip(second..).map(|(value, second)| {
        let time = Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000).unwrap();
        let reading = Reading::new(sensor.clone(), time, Value::Scalar(*value)).unwrap();
        let mut bytes = Vec::new();
        json::encode(&reading, None, &mut bytes);
        String::from_utf8(bytes).unwrap()
    });
    lines_of(lane, number, &lines.collect::<Vec<_>>())
}

/// A record of one lane, from readings as JSON.
fn lines_of(lane: u32, number: u64, lines: &[String]) -> Arc<Record> {
    let name = LaneName::of(u128::from(lane) << 124, 16);
    let identity = Identity {
        producer: ProducerId(5),
        number,
    };
    let key = name.to_string();
    let mut aggregate = Aggregate::new(&key, *name.slice().start(), 25_600, identity);
    for line in lines {
        aggregate.push(line.as_bytes()).unwrap();
    }
    Arc::new(Record {
        lane: Arc::new(LaneKey {
            name: key.into(),
            slice: name.slice(),
        }),
        identity,
        readings: lines.len() as u32,
        since: Timestamp::default(),
        data: aggregate.seal(),
        receipts: Vec::new(),
    })
}

const ACCEPTED: Answer = Answer::Accepted(None);

#[tokio::test]
async fn records_are_handled_and_incidents_told() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, mut told) = start(dir.path(), Fault::None);
    let request = [record(0, 1, 0, &[20.0, 99.0]), record(1, 1, 0, &[20.0, 20.5])];
    assert_eq!(embedded.put(&request).await.unwrap(), [ACCEPTED, ACCEPTED]);
    let line = told.recv().await.unwrap();
    assert!(
        line.contains("opened") && line.contains("sensor-0") && line.contains("99"),
        "{line}"
    );
    embedded.close().await;
    let totals = embedded.totals();
    assert_eq!((totals.handled.readings, totals.handled.anomalies), (4, 1));
    assert_eq!((totals.delivered.anomalies, totals.delivered.messages), (1, 1));
    assert!(
        matches!(embedded.put(&request).await, Err(PutError::Fatal { .. })),
        "closed"
    );
}

#[tokio::test]
async fn what_fails_together_in_several_lanes_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = toml::from_str("quiet = \"20s\"").unwrap();
    let (embedded, mut told) = start_with(dir.path(), Fault::None, quiet);
    let of =
        |lane, number, second, values: &[f64]| record_of(sensor(lane).with_group("hall"), lane, number, second, values);
    let all: Vec<_> = (0..7).map(|lane| of(lane, 1, 0, &[20.0, 99.0])).collect();
    embedded.put(&all[..3]).await.unwrap();
    let line = told.recv().await.unwrap();
    assert!(line.contains("opened") && line.contains("3 sensors in hall"), "{line}");
    embedded.put(&all[3..4]).await.unwrap();
    embedded.put(&all[4..]).await.unwrap();
    let line = told.recv().await.unwrap();
    assert!(line.contains("7 sensors in hall"), "four were not told: {line}");
    let calm: Vec<f64> = (0..150).map(|second| 20.0 + f64::from(second % 7) / 10.0).collect();
    for lane in 0..7 {
        embedded.put(&[of(lane, 2, 2, &calm)]).await.unwrap();
    }
    embedded.close().await;
    let mut rest = Vec::new();
    while let Ok(line) = told.try_recv() {
        rest.push(line);
    }
    assert!(
        rest.len() == 1 && rest[0].contains("resolved  7 incidents in hall"),
        "{rest:?}"
    );
}

#[tokio::test]
async fn what_is_sent_again_after_a_restart_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let (embedded, mut told) = start(dir.path(), Fault::None);
        let request = [
            record(0, 1, 0, &[20.0, 99.0]),
            record(0, 2 + run, 10 + run as i64, &[20.0]),
        ];
        assert_eq!(embedded.put(&request[..1]).await.unwrap(), [ACCEPTED]);
        assert_eq!(embedded.put(&request[1..]).await.unwrap(), [ACCEPTED]);
        embedded.close().await;
        let handled = embedded.totals().handled;
        let expected = if run == 0 { (3, 0) } else { (1, 1) };
        assert_eq!((handled.readings, handled.repeated_records), expected, "run {run}");
        assert_eq!(told.try_recv().is_ok(), run == 0, "told once");
    }
}

#[tokio::test]
async fn what_comes_too_late_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = toml::from_str("[rates.clicks]\ncount = {}\nwindow = \"10s\"").unwrap();
    let metrics = Arc::new(Metrics::new(Arc::default()));
    let told = Notified {
        lines: mpsc::unbounded_channel().0,
        fault: Fault::None,
    };
    let embedded = Embedded::start(dir.path(), settings, told, Arc::default(), metrics.clone()).unwrap();
    let late = || {
        let scrape = metrics.render();
        let line = scrape
            .lines()
            .find_map(|line| line.strip_prefix("temp_ingest_readings_late_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let put = async |number, json: &[String]| {
        let answers = embedded.put(&[lines_of(0, number, json)]).await.unwrap();
        assert_eq!(answers, [ACCEPTED]);
    };
    let event = |second| {
        format!(r#"{{"sensor":"site","kind":"clicks","time":"2024-01-01T00:00:{second}Z","event":{{"a":1}}}}"#)
    };
    let number = |second| format!(r#"{{"sensor":"room","kind":"t","time":"2024-01-01T00:00:{second}Z","value":20.5}}"#);
    put(1, &[event(10), event(55), event(51)]).await;
    assert_eq!(late(), 0, "its window is open");
    put(2, &[event(49)]).await;
    assert_eq!(late(), 1, "its window is closed");
    put(3, &[number(56), number(55), number(56)]).await;
    assert_eq!(late(), 3, "out of order, and repeated");
}

#[tokio::test]
async fn what_was_not_told_is_told_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, _told) = start(dir.path(), Fault::Error);
    assert_eq!(
        embedded.put(&[record(0, 1, 0, &[20.0, 99.0])]).await.unwrap(),
        [ACCEPTED]
    );
    embedded.close().await;
    assert_eq!(embedded.totals().delivered.messages, 0);
    let (embedded, mut told) = start(dir.path(), Fault::None);
    assert!(told.recv().await.unwrap().contains("opened"));
    embedded.close().await;
    assert_eq!(embedded.totals().delivered.messages, 1);
}

#[tokio::test]
async fn the_end_of_the_thread_is_an_error_and_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, _told) = start(dir.path(), Fault::Panic);
    // The answer is given before people are notified.
    assert_eq!(
        embedded.put(&[record(0, 1, 0, &[20.0, 99.0])]).await.unwrap(),
        [ACCEPTED]
    );
    let error = embedded.put(&[record(0, 2, 9, &[20.0])]).await.unwrap_err();
    assert!(matches!(error, PutError::Fatal { .. }), "{error}");
    embedded.close().await;
}

#[tokio::test]
async fn what_the_store_cannot_take_is_refused_from_there_on() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, _told) = start(dir.path(), Fault::None);
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    file.execute_batch("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT raise(ABORT, 'disk is full'); END")
        .unwrap();
    let request = [record(0, 1, 0, &[20.0]), record(1, 1, 0, &[20.0])];
    let refused = Answer::Refused("store");
    assert_eq!(embedded.put(&request).await.unwrap(), [refused.clone(), refused]);
    file.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(embedded.put(&request).await.unwrap(), [ACCEPTED, ACCEPTED]);
    embedded.close().await;
    assert_eq!(embedded.totals().handled.readings, 2);
}

#[tokio::test]
async fn a_mute_silences_the_terminal_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, mut told) = start(dir.path(), Fault::None);
    let incidents = EmbeddedIncidents::open(dir.path()).unwrap().unwrap();
    incidents.mute_sensor("sensor-0", Timestamp::MAX).await.unwrap();
    embedded.put(&[record(0, 1, 0, &[20.0, 99.0])]).await.unwrap();
    embedded.close().await;
    let delivered = embedded.totals().delivered;
    assert_eq!((delivered.anomalies, delivered.messages, delivered.muted), (1, 0, 1));
    assert!(told.try_recv().is_err());
    assert_eq!(incidents.list(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_terminal_gets_a_line_a_message_and_colour_only_where_it_is_one() {
    let message = Message {
        change: Change::Opened,
        subject: String::new(),
        text: String::new(),
        sms: String::new(),
        line: "a line".to_owned(),
        attributes: Vec::new(),
    };
    for (coloured, expected) in [(false, "a line\n"), (true, "\x1b[31ma line\x1b[0m\n")] {
        let mut out = Vec::new();
        Terminal::new(&mut out, coloured).notify(&message).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
