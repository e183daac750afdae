//! The score of a vector, by a stored partition that knows its sensor.

use detect::derived::lines;
use detect::settings::SensorLimit;
use serde::Serialize;
use wire::{LaneName, Sensor};

use super::refusal::{Refusal, Unscored};
use crate::partition::{PartitionName, Partitions, WarmPartition};

/// The largest partition that is loaded, independent of its settings.
const MOST_WEIGHT: u64 = 2 * SensorLimit::HIGHEST.get() as u64;

/// The score of a vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Anomaly score.
    pub score: f64,
    /// Whether it would be an anomaly.
    pub anomaly: bool,
    /// What would be wrong with it.
    pub kinds: Vec<&'static str>,
    /// The sensor whose next reading it was taken for.
    pub model: String,
}

/// Scores numbers as the next reading of a sensor; `lane` maps a hash to its lane.
pub async fn score(
    partitions: &mut impl Partitions,
    model: &str,
    numbers: &[f64],
    lane: impl Fn(u128) -> LaneName,
) -> Result<Answer, Unscored> {
    // A sensor's partition depends on who put its readings: another producer, the daemon, or the daemon in plain mode.
    let hash = Sensor::new(model, "").hash();
    let names = [
        PartitionName::of_series(model),
        PartitionName::of_lane(lane(hash)),
        PartitionName::of_key(model),
    ];
    let mut known = Vec::new();
    for (name, stored) in names.iter().zip(partitions.load(&names).await) {
        if let Some(stored) = stored? {
            known.push(WarmPartition::restore(name, &stored, MOST_WEIGHT)?.state);
        }
    }
    // A log group is scored as the readings derived from its lines.
    let lines = format!("{model}/{}", lines::NAME);
    let dry_runs = known
        .iter()
        .filter_map(|partition| partition.dry_run(model).or_else(|| partition.dry_run(&lines)));
    let dry_run = dry_runs
        .max_by_key(|dry_run| dry_run.time())
        .ok_or_else(|| Refusal::unknown_model(model))?;
    if numbers.len() != dry_run.length() {
        return Err(Refusal::wrong_length(model, numbers.len(), dry_run.length()).into());
    }
    let folded = dry_run.judge(numbers);
    Ok(Answer {
        score: folded.score,
        anomaly: !folded.kinds.is_empty(),
        kinds: folded.kinds.names(dry_run.kind()).collect(),
        model: model.to_owned(),
    })
}
