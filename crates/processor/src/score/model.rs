//! The score of a vector, by what a stored page has learnt of the sensor it would come from.

use detect::derived::lines;
use detect::settings::SensorLimit;
use serde::Serialize;
use wire::{LaneName, Sensor};

use super::Unscored;
use super::refusal::Refusal;
use crate::page_name::PageName;
use crate::pages::Pages;
use crate::warm::WarmPage;

/// The largest partition that is loaded, independent of its settings.
const MOST_WEIGHT: u64 = 2 * SensorLimit::HIGHEST.get() as u64;

/// What a vector came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// On the seeds' scale.
    pub score: f64,
    /// Whether it would be an anomaly.
    pub anomaly: bool,
    /// What would be wrong with it.
    pub kinds: Vec<&'static str>,
    /// Whose next reading it was taken for.
    pub model: String,
}

/// Scores numbers as the next reading of a sensor; `lane` tells the lane of a hash.
pub async fn score(
    pages: &mut impl Pages,
    model: &str,
    numbers: &[f64],
    lane: impl Fn(u128) -> LaneName,
) -> Result<Answer, Unscored> {
    // Where a sensor's page is depends on who put its readings: others than the daemon, the daemon, or it in plain mode.
    let hash = Sensor::new(model, "").hash();
    let names = [
        PageName::of_series(model),
        PageName::of_lane(lane(hash)),
        PageName::of_key(model),
    ];
    let mut known = Vec::new();
    for (name, stored) in names.iter().zip(pages.load(&names).await) {
        if let Some(stored) = stored? {
            known.push(WarmPage::restore(name, &stored, MOST_WEIGHT)?.page);
        }
    }
    // What a log group says is scored as the readings that follow from its lines.
    let lines = format!("{model}/{}", lines::NAME);
    let foresights = known
        .iter()
        .filter_map(|page| page.foresight(model).or_else(|| page.foresight(&lines)));
    let foresight = foresights
        .max_by_key(|foresight| foresight.time())
        .ok_or_else(|| Refusal::unknown_model(model))?;
    if numbers.len() != foresight.length() {
        return Err(Refusal::wrong_length(model, numbers.len(), foresight.length()).into());
    }
    let folded = foresight.judge(numbers);
    Ok(Answer {
        score: folded.score,
        anomaly: !folded.kinds.is_empty(),
        kinds: folded.kinds.names(foresight.kind()).collect(),
        model: model.to_owned(),
    })
}
