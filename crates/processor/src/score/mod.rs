//! What a series or a vector would score, for whoever asks: nothing that is stored moves. It knows neither HTTP's
//! transport nor an AWS type. Read in this order:

/// The score of a vector, by what a stored partition has learnt.
pub mod model;
/// Why it is not answered.
pub mod refusal;
/// What is asked.
pub mod request;
/// The scores of a series, by detectors that begin with it.
pub mod series;

use detect::Settings;
use serde::Serialize;
use wire::LaneName;

use self::model::Answer;
use self::refusal::Refusal;
use self::request::Request;
use self::series::Scores;
use crate::partition::Partitions;
use crate::store_error::StoreError;

/// Answers requests over stored partitions, which it only reads.
#[derive(Debug)]
pub struct Scorer<P> {
    partitions: P,
    settings: Settings,
    lanes: u32,
    default_model: Option<String>,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scored {
    /// Of a series.
    Series(Scores),
    /// Of a vector.
    Vector(Answer),
}

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum Unscored {
    /// Because of what was asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Because of what is stored, or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<P: Partitions> Scorer<P> {
    /// Judges series by `settings`, and finds the partitions of a daemon that has so many lanes, a power of two. A vector
    /// without a model is for `default_model`.
    pub fn new(partitions: P, settings: Settings, lanes: u32, default_model: Option<String>) -> Self {
        debug_assert!(lanes.is_power_of_two() && lanes <= wire::lane::MAX_LANES);
        Self {
            partitions,
            settings,
            lanes,
            default_model,
        }
    }

    /// The scores for a request's body; `model` is one that was named beside it.
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
