#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use detect::{Anomaly, Change, Kinds, Worst};
use processor::outbox::Outbox;
use tempfile::TempDir;
use wire::Sensor;

use super::*;

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2024-05-01 10:00:00".parse().unwrap();
    start.saturating_add_micros(second * 1_000_000)
}

fn transition(sensor: &str, since: i64, number: u32, change: Change) -> Transition {
    let sensor = Sensor::new(sensor, "Temperature").with_unit("°C").with_group("hall");
    Transition {
        sensor: Arc::new(sensor),
        since: at(since),
        number,
        change,
        kinds: Kinds::ABOVE,
        now: Kinds::ABOVE,
        value: Value::Scalar(104.2),
        expected: Some((96.0, 101.0)),
        lasting: None,
        peak: 3.5,
        worst: Worst {
            time: at(since),
            kinds: Kinds::ABOVE,
            value: Value::Scalar(104.2),
            expected: Some((96.0, 101.0)),
            lasting: None,
        },
        anomalies: 1,
        time: at(since + i64::from(number) * 90),
    }
}

/// A resolved incident of DHT_001, then an open one of DHT_002 that began earlier.
async fn store() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut outbox) = processor::sqlite::open(dir.path()).unwrap();
    let moments = [
        transition("DHT_001", 500, 1, Change::Opened),
        transition("DHT_001", 500, 2, Change::Resolved),
        transition("DHT_002", 0, 1, Change::Opened),
    ];
    outbox.advance(&moments.each_ref()).await.unwrap();
    let anomaly = Anomaly {
        sensor: moments[2].sensor.clone(),
        time: at(0),
        value: Value::Scalar(104.2),
        kinds: Kinds::ABOVE | Kinds::JUMP,
        score: 3.5,
        expected: None,
        incident: at(0),
    };
    outbox.keep(&[&anomaly]).await.unwrap();
    let open = kept(&dir).list(None, 9).await.unwrap().swap_remove(0).id;
    (dir, open)
}

fn kept(dir: &TempDir) -> EmbeddedIncidents {
    in_store(dir.path()).unwrap()
}

/// What is written.
macro_rules! text {
    ($command:ident($($argument:expr),*)) => {{
        let mut out = Vec::new();
        $command($($argument,)* &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }};
}

#[tokio::test]
async fn open_ones_come_first_in_aligned_columns() {
    let (dir, open) = store().await;
    let table = text!(list(&kept(&dir), None, Format::Text));
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[1].starts_with(&open) && lines[1].contains("open") && lines[1].contains("DHT_002"),
        "{table}"
    );
    assert!(lines[2].contains("resolved") && lines[2].contains("3m"), "{table}");
    let value = lines[0].find("VALUE").unwrap();
    assert!(
        lines[1..].iter().all(|line| line[value..].starts_with("104.2 °C")),
        "{table}"
    );
    let json: Json = serde_json::from_str(&text!(list(&kept(&dir), None, Format::Json))).unwrap();
    assert_eq!(
        (&json[0]["id"], &json[0]["open"]),
        (&open.as_str().into(), &true.into())
    );
    assert_eq!(json[1]["change"], "resolved");
}

#[tokio::test]
async fn those_of_a_group_are_listed_alone() {
    let (dir, open) = store().await;
    let all = text!(list(&kept(&dir), None, Format::Text));
    assert_eq!(text!(list(&kept(&dir), Some("hall"), Format::Text)), all);
    assert!(all.contains(&open));
    assert_eq!(
        text!(list(&kept(&dir), Some("attic"), Format::Text)),
        "no incidents in attic\n"
    );
}

#[tokio::test]
async fn one_is_shown_with_its_moments_and_anomalies() {
    let (dir, open) = store().await;
    let shown = text!(show(&kept(&dir), &open[..5], Format::Text));
    for part in [
        &open,
        "DHT_002 in hall",
        "opened",
        "Hot,Jump",
        "96 to 101",
        "2024-05-01 10:01:30 UTC",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let json: Json = serde_json::from_str(&text!(show(&kept(&dir), &open, Format::Json))).unwrap();
    assert_eq!(json["transitions"][0]["change"], "opened");
    assert_eq!(json["anomalies"][0]["value"], 104.2);
}

#[tokio::test]
async fn who_has_seen_it_and_until_when_it_is_mute_is_shown() {
    let (dir, open) = store().await;
    let said = text!(acknowledge(&kept(&dir), &open, "Ada", at(100)));
    assert!(
        said.contains("acknowledged by Ada at 2024-05-01 10:01:40 UTC"),
        "{said}"
    );
    let hour = Duration::from_secs(3_600);
    let said = text!(mute(&kept(&dir), "DHT_002", hour, at(100)));
    assert_eq!(said, "sensor DHT_002 muted until 2024-05-01 11:01:40 UTC\n");
    let said = text!(mute(&kept(&dir), &open, 2 * hour, at(100)));
    assert!(said.starts_with(&format!("incident {open} of DHT_002")), "{said}");
    let said = text!(mute(&kept(&dir), "DTH_002", hour, at(100)));
    assert!(said.contains("check the spelling"), "{said}");
    let table = text!(list(&kept(&dir), None, Format::Text));
    let line = table.lines().nth(1).unwrap();
    assert!(
        line.contains("seen") && line.contains("by Ada") && line.contains("muted until 2024-05-01 12:01:40"),
        "{table}"
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let (dir, open) = store().await;
    let mut out = Vec::new();
    let unknown = show(&kept(&dir), "zzz", Format::Text, &mut out).await.unwrap_err();
    assert!(matches!(unknown, IncidentsError::Unknown(_)), "{unknown}");
    let ambiguous = acknowledge(&kept(&dir), "", "Ada", at(0), &mut out).await.unwrap_err();
    assert!(ambiguous.to_string().contains(&open), "{ambiguous}");
    let endless = mute(&kept(&dir), "DHT_001", Duration::MAX, at(0), &mut out)
        .await
        .unwrap_err();
    assert!(matches!(endless, IncidentsError::TooLong(_)), "{endless}");
    let elsewhere = tempfile::tempdir().unwrap();
    let missing = in_store(elsewhere.path()).unwrap_err();
    assert!(matches!(missing, IncidentsError::NoStore(_)), "{missing}");
    assert_eq!(
        std::fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "asking makes no store"
    );
    assert!(out.is_empty());
}

#[tokio::test]
async fn nothing_is_listed_where_nothing_happened() {
    let dir = tempfile::tempdir().unwrap();
    drop(processor::sqlite::open(dir.path()).unwrap());
    assert_eq!(text!(list(&kept(&dir), None, Format::Text)), "no incidents\n");
    assert_eq!(text!(list(&kept(&dir), None, Format::Json)), "[]\n");
}
