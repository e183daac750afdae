//! What a stored partition is asked: the very score that the reading then gets, wherever its partition is, and no
//! change.

use std::sync::{Arc, Mutex};

use detect::Settings;
use processor::handler::{Handler, Limits};
use processor::partition::{PartitionName, Partitions};
use processor::score::refusal::Mistake;
use processor::score::{Scored, Scorer, Unscored};
use processor::scores::{Scored as Kept, Scores};
use processor::sqlite::{EmbeddedPartitions, open};
use processor::{KinesisRecord, StoreError};
use wire::aggregate::Aggregate;
use wire::{Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

const LANES: u32 = 16;
const MINUTE: i64 = 60_000_000;

/// Keeps the last score.
struct Last(Arc<Mutex<Option<f64>>>);

impl Scores for Last {
    fn wanted(&self) -> bool {
        true
    }

    async fn keep(&mut self, scores: &[(PartitionName, Vec<Kept>)]) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = scores.last().and_then(|(_, scores)| scores.last()?.score);
        Ok(())
    }
}

/// How the readings of a sensor come.
#[derive(Clone, Copy, Debug)]
enum Way {
    Foreign,
    Lane,
    Plain,
}

fn reading(sensor: &Arc<Sensor>, at: i64, numbers: [f64; 4]) -> Reading {
    let time = Timestamp::from_micros(at * MINUTE).unwrap();
    Reading::new(sensor.clone(), time, Value::Vector(numbers.into())).unwrap()
}

/// Numbers that move together, a little noisy.
fn usual(at: i64) -> [f64; 4] {
    let load = (at * 7 % 11) as f64;
    [
        load,
        2.0 * load + (at * 5 % 3) as f64 / 10.0,
        40.0 + (at % 5) as f64,
        1.0 / (1.0 + (at % 4) as f64),
    ]
}

async fn fold(partitions: EmbeddedPartitions, way: Way, readings: &[Reading], first: u64) -> Option<f64> {
    let last = Arc::new(Mutex::new(None));
    let handler = Handler::new(partitions, Settings::default(), Limits::default());
    let mut handler = handler.with_scores(Last(last.clone()));
    for (number, reading) in (first..).zip(readings) {
        let sensor = reading.sensor();
        let identity = Identity {
            producer: ProducerId(7),
            number,
        };
        let lane = LaneName::of(sensor.hash(), LANES).to_string();
        let mut data = Vec::new();
        let key = match way {
            Way::Foreign => "random",
            Way::Plain => sensor.id(),
            Way::Lane => &lane,
        };
        json::encode(reading, matches!(way, Way::Plain).then_some(identity), &mut data);
        if matches!(way, Way::Lane) {
            let mut aggregate = Aggregate::new(&lane, 0, 25_000, identity);
            aggregate.push(&data).unwrap();
            data = aggregate.seal();
        }
        let record = KinesisRecord {
            shard: "shard",
            sequence: u128::from(number).into(),
            partition_key: key,
            arrival: reading.time(),
            data: &data,
        };
        let handled = handler.handle(&[record]).await;
        assert_eq!((handled.failed, handled.counts.readings), (None, 1));
    }
    *last.lock().unwrap()
}

#[tokio::test]
async fn the_score_is_the_one_that_the_next_reading_gets_and_nothing_moves() {
    for way in [Way::Foreign, Way::Lane, Way::Plain] {
        let dir = tempfile::tempdir().unwrap();
        let sensor = Arc::new(Sensor::new("app", "log"));
        let history: Vec<Reading> = (1..200).map(|at| reading(&sensor, at, usual(at))).collect();
        fold(open(dir.path()).unwrap().0, way, &history, 1).await;
        let stored = async || {
            let lane = LaneName::of(sensor.hash(), LANES);
            let names = [
                PartitionName::of_series("app"),
                PartitionName::of_lane(lane),
                PartitionName::of_key("app"),
            ];
            let (mut partitions, _) = open(dir.path()).unwrap();
            partitions
                .load(&names)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        };
        let before = stored().await;
        let mut parted = usual(200);
        parted[1] = -20.0;
        let mut scores = Vec::new();
        for numbers in [usual(200), parted] {
            let mut scorer = Scorer::new(open(dir.path()).unwrap().0, Settings::default(), LANES, None);
            let body = serde_json::json!({"data": numbers}).to_string();
            let Scored::Vector(answer) = scorer.score(body.as_bytes(), Some("app")).await.unwrap() else {
                panic!("a vector has one score");
            };
            assert_eq!(
                (answer.anomaly, answer.model.as_str()),
                (answer.score >= 2.0, "app"),
                "{way:?}"
            );
            scores.push(answer.score);
        }
        assert!(scores[0] < 2.0 && scores[1] >= 2.0, "{way:?}: {scores:?}");
        assert_eq!(stored().await, before, "{way:?}");
        let next = fold(open(dir.path()).unwrap().0, way, &[reading(&sensor, 200, parted)], 200).await;
        assert_eq!(next, Some(scores[1]), "{way:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sensor = Arc::new(Sensor::new("app", "log"));
    let history: Vec<Reading> = (1..4).map(|at| reading(&sensor, at, usual(at))).collect();
    fold(open(dir.path()).unwrap().0, Way::Foreign, &history, 1).await;
    let ask = async |body: &str, default: Option<&str>| {
        let partitions = open(dir.path()).unwrap().0;
        let mut scorer = Scorer::new(partitions, Settings::default(), LANES, default.map(str::to_owned));
        match scorer.score(body.as_bytes(), None).await {
            Ok(_) => Ok(()),
            Err(Unscored::Refused(refusal)) => Err((refusal.error, refusal.error.status(), refusal.detail)),
            Err(error) => panic!("{error}"),
        }
    };
    let length = ask(r#"{"data":[1,2,3],"model":"app"}"#, None).await.unwrap_err();
    let detail = "data has 3 numbers, and the readings of \"app\" have 4".to_owned();
    assert_eq!(length, (Mistake::WrongLength, 400, detail));
    let unknown = ask(r#"{"data":[1,2,3,4],"model":"other"}"#, None).await.unwrap_err();
    assert_eq!((unknown.0, unknown.1), (Mistake::UnknownModel, 404));
    let none = ask(r#"{"data":[1,2,3,4]}"#, None).await.unwrap_err();
    assert_eq!((none.0, none.1), (Mistake::Fields, 400));
    assert_eq!(ask(r#"{"data":[1,2,3,4]}"#, Some("app")).await, Ok(()));
}
