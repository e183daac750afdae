//! Where the score of every reading goes, for those who want more than anomalies. It knows no AWS type.

use std::future::Future;

use detect::{Disposition, Folded, Kinds};
use wire::Reading;

use crate::partition::PartitionName;
use crate::store_error::StoreError;

/// What one reading came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// What was observed.
    pub reading: Reading,
    /// On the seeds' scale, where 2 is an alert; `None` where the reading came late and was not judged.
    pub score: Option<f64>,
    /// The lowest and the highest value that would have been usual, where the detector knows.
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

/// Takes what every reading came to, before its partition moves: so nothing is missed, but what is folded again (after a
/// crash, or because another invocation moved the partition) is handed over again. Sensor and time together name a reading.
pub trait Scores: Send {
    /// False where nobody wants them: then none are collected.
    fn wanted(&self) -> bool;

    /// Keeps the readings of some partitions, in the order they were folded.
    fn keep(
        &mut self,
        partitions: &[(PartitionName, Vec<Scored>)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Nobody wants them.
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
