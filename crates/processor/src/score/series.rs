//! The scores of a series, in order and in one pass, by new detectors.

use std::sync::Arc;

use detect::{Journal, Partition, Settings};
use serde::Serialize;
use wire::{Reading, Sensor, Value};

use super::refusal::Refusal;
use super::request::Series;

/// The scores of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Anomaly scores, one per value.
    pub scores: Vec<f64>,
    /// Those that are anomalies.
    pub anomalies: Vec<Anomaly>,
}

/// A value that is an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// Its place in the series, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub kinds: Vec<&'static str>,
    /// The expected range, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<(f64, f64)>,
}

const KIND: &str = "value";

/// Scores each value by those before it.
pub fn scores(series: &Series, settings: &Settings) -> Result<Scores, Refusal> {
    let sensor = Arc::new(Sensor::new("series", KIND));
    let mut partition = Partition::new();
    let mut scores = Vec::with_capacity(series.values.len());
    let mut anomalies = Vec::new();
    let mut events = Vec::new();
    for (index, (value, time)) in series.values.iter().zip(&series.times).enumerate() {
        let reading = Reading::new(sensor.clone(), *time, Value::Scalar(*value));
        let reading = reading.map_err(|error| Refusal::fields(format!("values[{index}]: {error}")))?;
        let folded = partition.fold(&reading, settings, &mut Journal::new(), &mut events);
        events.clear();
        scores.push(folded.score);
        if !folded.kinds.is_empty() {
            anomalies.push(Anomaly {
                index,
                kinds: folded.kinds.names(KIND).collect(),
                expected: folded.expected,
            });
        }
    }
    Ok(Scores { scores, anomalies })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::request::Request;
    use super::*;

    fn of(values: &[f64]) -> Scores {
        let body = serde_json::json!({"values": values}).to_string();
        match Request::parse(body.as_bytes()).unwrap() {
            Request::Series(series) => scores(&series, &Settings::default()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stands_out_is_named_and_nothing_before_it_changes() {
        let calm: Vec<f64> = (0..400).map(|at| 20.0 + f64::from(at * 7 % 11) / 10.0).collect();
        let mut odd = calm.clone();
        odd[300] = 60.0;
        let (calm, odd) = (of(&calm), of(&odd));
        assert_eq!((calm.scores.len(), calm.anomalies.len()), (400, 0));
        assert_eq!(odd.scores[..300], calm.scores[..300]);
        assert_eq!(odd.anomalies[0].index, 300);
        assert!(
            odd.scores[300] >= 2.0 && odd.anomalies[0].kinds.contains(&"Novel"),
            "{odd:?}"
        );
    }
}
