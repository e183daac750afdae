#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::time::Duration;

use delivery::pressure::Pressure;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinSet;

use super::*;
use crate::source::settings::Settings;
use crate::source::trial::{Trial, settle};
use crate::source::validate::Validated;

const LARGE: usize = 2;
const CLIENTS: usize = 16;

fn limits() -> Limits {
    let settings: Settings = toml::from_str("kind = \"http\"\nlisten = \"127.0.0.1:0\"").unwrap();
    match settings.validate("posts") {
        Ok(Validated::Http(config)) => config.limits,
        other => panic!("{other:?}"),
    }
}

/// An intake with slots for two large bodies, before a pipeline with capacity for `room` small readings.
fn intake(room: usize) -> (Arc<Intake>, Trial) {
    let (output, trial) = Trial::new(room);
    (Arc::new(Intake::new(output, Slots::new(LARGE))), trial)
}

fn reading(number: usize, value: &str) -> String {
    format!("{{\"sensor\":\"s{number}\",\"time\":\"2026-05-01T00:00:00Z\",\"kind\":\"k\",\"value\":{value}}}\n")
}

/// This many vectors of 1,024 numbers, which take twice as many bytes as their JSON; compressed.
fn vectors(count: usize) -> Vec<u8> {
    let text = reading(0, &format!("[{}]", vec!["0"; 1_024].join(","))).repeat(count);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn told(gzip: bool, key: Option<&str>) -> RequestMetadata {
    RequestMetadata {
        gzip,
        layout: Layout::Lines,
        key: key.map(str::to_owned),
    }
}

fn take(
    intake: &Arc<Intake>,
    body: &[u8],
    told: RequestMetadata,
) -> impl Future<Output = Result<Taken, NotTaken>> + use<> {
    let (intake, limits) = (intake.clone(), limits());
    let body = intake.bodies.arrived(body, limits.room).unwrap();
    async move { intake.take(body, told, &limits).await }
}

/// Twenty clients with one reading each, and fifty with a hundred, all at once before a pipeline that takes one batch
/// after the other: senders wait for capacity, and every accepted reading is received.
#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_for_it() {
    for (clients, readings) in [(20, 1), (50, 100)] {
        let (intake, mut trial) = intake(2);
        let mut taking = JoinSet::new();
        for client in 0..clients {
            taking.spawn(take(
                &intake,
                reading(client, "1").repeat(readings).as_bytes(),
                told(false, None),
            ));
        }
        let receiving = tokio::spawn(async move {
            let mut received = 0;
            while received < clients * readings {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let batch = trial.recv().await.unwrap();
                received += batch.readings.len();
                settle(&batch);
            }
            assert_eq!(trial.ledger.snapshot().produced, received as u64);
            assert!(trial.batches.try_recv().is_none());
        });
        while let Some(taken) = taking.join_next().await {
            let taken = taken.unwrap().expect("nobody is refused");
            assert_eq!((taken.readings, taken.outcome().await), (readings, Outcome::Safe));
        }
        receiving.await.unwrap();
    }
}

/// Only as many bodies are unpacked as there are slots, and a body is freed once it is decoded.
#[tokio::test(start_paused = true)]
async fn bodies_that_wait_are_not_unpacked() {
    let (intake, mut trial) = intake(1);
    let packed = vectors(48);
    let mut taking = JoinSet::new();
    for _ in 0..CLIENTS {
        taking.spawn(take(&intake, &packed, told(true, None)));
    }
    // In paused time this returns once nothing more can happen without the pipeline.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let decoded = 1 + LARGE;
    assert_eq!(trial.ledger.snapshot().produced, 48, "one batch fills the queue");
    assert_eq!(
        intake.bodies.bytes(),
        (CLIENTS - decoded) * packed.len(),
        "all others wait as they came"
    );
    for _ in 0..CLIENTS {
        settle(&trial.recv().await.unwrap());
    }
    while let Some(taken) = taking.join_next().await {
        assert_eq!(taken.unwrap().unwrap().outcome().await, Outcome::Safe);
    }
    assert_eq!(
        (trial.ledger.snapshot().produced, intake.bodies.bytes()),
        (CLIENTS as u64 * 48, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn small_bodies_do_not_wait_behind_large_ones() {
    let (intake, mut trial) = intake(4);
    let _slots: Vec<_> = [intake.slots.acquire(false).await, intake.slots.acquire(false).await].into();
    let large = tokio::spawn(take(&intake, &vectors(1), told(true, None)));
    take(&intake, reading(0, "1").as_bytes(), told(false, None))
        .await
        .unwrap();
    assert!(!large.is_finished());
    assert_eq!(trial.recv().await.unwrap().readings.len(), 1);
}

/// A request dropped while it waits, as when its client goes or times out, was not accepted and holds no capacity.
#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let (intake, mut trial) = intake(1);
    let first = take(&intake, reading(0, "1").as_bytes(), told(false, None))
        .await
        .unwrap();
    for _ in 0..10 {
        for (body, gzip) in [(reading(1, "1").into_bytes(), false), (vectors(4), true)] {
            let waiting = take(&intake, &body, told(gzip, Some("key")));
            assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_err());
        }
    }
    assert_eq!((trial.ledger.snapshot().produced, intake.bodies.bytes()), (1, 0));
    assert!(!intake.knows("key"));
    settle(&trial.recv().await.unwrap());
    assert_eq!(first.outcome().await, Outcome::Safe);
    take(&intake, reading(1, "1").as_bytes(), told(false, Some("key")))
        .await
        .unwrap();
    assert_eq!(trial.recv().await.unwrap().readings.len(), 1);
}

/// A repeated request needs no capacity: it is answered although the pipeline is blocked.
#[tokio::test(start_paused = true)]
async fn a_repeated_request_waits_for_the_first_ones_outcome_and_nothing_else() {
    let (intake, mut trial) = intake(1);
    let body = reading(0, "1").repeat(3);
    let first = take(&intake, body.as_bytes(), told(false, Some("key"))).await.unwrap();
    trial.batches.set_pressure(Pressure::Blocked);
    let again = take(&intake, body.as_bytes(), told(false, Some("key"))).await.unwrap();
    let other = take(&intake, reading(1, "1").as_bytes(), told(false, Some("key"))).await;
    assert!(matches!(other, Err(NotTaken::OtherBody(_))), "{other:?}");
    let new = take(&intake, body.as_bytes(), told(false, Some("new")));
    let new = tokio::time::timeout(Duration::from_secs(30), new).await;
    assert!(matches!(new, Ok(Err(NotTaken::Blocked))), "{new:?}");
    settle(&trial.recv().await.unwrap());
    for taken in [first, again] {
        assert_eq!((taken.readings, taken.outcome().await), (3, Outcome::Safe));
    }
    assert_eq!(trial.ledger.snapshot().produced, 3);
    intake.stop();
    let late = take(&intake, body.as_bytes(), told(false, None)).await;
    assert!(matches!(late, Err(NotTaken::Stopped)), "{late:?}");
}
