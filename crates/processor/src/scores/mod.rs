//! Where the score of every reading goes, if more than anomalies is wanted. It knows no AWS type.

/// Scores as lines of JSON.
pub mod lines;

use std::future::Future;

use detect::{Disposition, Folded, Kinds};
use wire::Reading;

use crate::partition::PartitionName;
use crate::store_error::StoreError;

/// A reading and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// What was observed.
    pub reading: Reading,
    /// Anomaly score, where 2 is an alert; `None` if the reading was late and not judged.
    pub score: Option<f64>,
    /// The expected range, if known.
    pub expected: Option<(f64, f64)>,
    /// What is wrong with it.
    pub kinds: Kinds,
}

impl Scored {
    pub(crate) fn of(reading: &Reading, folded: &Folded) -> Self {
        Self {
            reading: reading.clone(),
            score: (folded.disposition == Disposition::Fresh).then_some(folded.score),
            expected: folded.expected,
            kinds: folded.kinds,
        }
    }
}

/// Takes the score of every reading before its partition is stored. So none is missed, but readings that are folded
/// again (after a crash or a conflict) are passed again. Sensor and time together identify a reading.
pub trait Scores: Send {
    /// False if scores need not be collected.
    fn wanted(&self) -> bool;

    /// Keeps the readings of some partitions, in the order they were folded.
    fn keep(
        &mut self,
        partitions: &[(PartitionName, Vec<Scored>)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Scores are not wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwanted;

impl Scores for Unwanted {
    fn wanted(&self) -> bool {
        false
    }

    async fn keep(&mut self, _: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        Ok(())
    }
}
