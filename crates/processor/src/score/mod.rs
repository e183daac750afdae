//! The score of a series or a vector, on request. Stored state does not change. It knows neither HTTP transport nor an
//! AWS type. Read in this order:

/// How much a request may hold.
pub mod body_limits;
/// The score of a vector, by a stored partition.
pub mod model;
/// Why a request is refused.
pub mod refusal;
/// The request.
pub mod request;
/// The scores of a series, by new detectors.
pub mod series;

use detect::Settings;
use serde::Serialize;
use wire::LaneName;

use self::model::Answer;
use self::refusal::Refusal;
use self::request::Request;
use self::series::Scores;
use crate::partition::Partitions;

pub use self::refusal::Unscored;

/// Answers requests from stored partitions, which it only reads.
#[derive(Debug)]
pub struct Scorer<P> {
    partitions: P,
    settings: Settings,
    lanes: u32,
    default_model: Option<String>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scored {
    /// For a series.
    Series(Scores),
    /// For a vector.
    Vector(Answer),
}

impl<P: Partitions> Scorer<P> {
    /// Judges series by `settings`. `lanes` is the daemon's number, a power of two, by which partitions are found. A
    /// vector without a model is scored by `default_model`.
    pub fn new(partitions: P, settings: Settings, lanes: u32, default_model: Option<String>) -> Self {
        debug_assert!(lanes.is_power_of_two() && lanes <= wire::lane::MAX_LANES);
        Self {
            partitions,
            settings,
            lanes,
            default_model,
        }
    }

    /// Answers a request's body; `model` is one named outside it.
    pub async fn score(&mut self, body: &[u8], model: Option<&str>) -> Result<Scored, Unscored> {
        match Request::parse(body)? {
            Request::Series(series) => Ok(Scored::Series(series::scores(&series, &self.settings)?)),
            Request::Vector(vector) => {
                let named = vector.model.as_deref().or(model).or(self.default_model.as_deref());
                let named = named.ok_or_else(Refusal::no_model)?;
                let lane = |hash| LaneName::of(hash, self.lanes);
                let answer = model::score(&mut self.partitions, named, &vector.numbers, lane).await?;
                Ok(Scored::Vector(answer))
            }
        }
    }
}
