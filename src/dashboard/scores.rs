//! What the functions behind the stream made of a sensor's readings, from the table they keep.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use processor::StoreError;
use processor::dynamodb::TableReadings;
use tokio::time::Instant;
use wire::Timestamp;

use super::tables::{FRESH, Opened, in_time};
use crate::control::status::Table;
use crate::telemetry::recent_readings::RecentReading;

/// Scores by when readings were observed, µs; or why they cannot be read.
type Known = Result<BTreeMap<i64, f64>, String>;

/// The table, and what it said lately.
#[derive(Debug, Default)]
pub(super) struct Scores(Opened<Lately>);

#[derive(Debug)]
struct Lately {
    readings: TableReadings,
    /// By sensor.
    known: HashMap<String, (Instant, Known)>,
}

impl Scores {
    /// Adds the scores to the readings of a sensor; a score of `threshold` is an anomaly.
    pub(super) async fn add(
        &self,
        table: &Table,
        sensor: &str,
        threshold: f64,
        trace: &mut RecentReading,
    ) -> Result<(), String> {
        let (Some(first), Some(last)) = (trace.points.front(), trace.points.back()) else {
            return Ok(());
        };
        let (from, to) = (first.time, last.time.saturating_add_micros(1));
        let known = self.0.of(table, Lately::of).await.scores(sensor, from, to).await?;
        for point in &mut trace.points {
            point.score = known.get(&point.time.as_micros()).copied();
            point.anomaly = point.score.is_some_and(|score| score >= threshold);
        }
        Ok(())
    }
}

impl Lately {
    fn of(client: Client, table: &str) -> Self {
        Self {
            readings: TableReadings::new(client, table, 0),
            known: HashMap::new(),
        }
    }

    async fn scores(&mut self, sensor: &str, from: Timestamp, to: Timestamp) -> Known {
        self.known.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, known)) = self.known.get(sensor) {
            return known.clone();
        }
        let known = in_time(scores(&self.readings, sensor, from, to)).await;
        self.known.insert(sensor.to_owned(), (Instant::now(), known.clone()));
        known
    }
}

async fn scores(
    readings: &TableReadings,
    sensor: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeMap<i64, f64>, StoreError> {
    let mut hours = readings.of(sensor, from, to);
    let mut scores = BTreeMap::new();
    while let Some(hour) = hours.next().await? {
        let judged = hour.into_iter();
        scores.extend(judged.filter_map(|one| Some((one.reading.time().as_micros(), one.score?))));
    }
    Ok(scores)
}
