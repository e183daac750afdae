//! The types that lanes and the spool exchange.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{LaneKey, Record};

/// Where a record is in the spool. Positions of one lane sort in the order in which its records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the daemon start that appended the record.
    pub generation: i64,
    /// The record's number in its lane.
    pub number: i64,
    /// The id of its row.
    pub row: i64,
}

#[cfg(test)]
impl Position {
    /// The position of the record with this number.
    pub(crate) fn of_test(number: i64) -> Self {
        Self {
            generation: 1,
            number,
            row: number,
        }
    }
}

/// How much was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records.
    pub records: u64,
    /// Readings in those records.
    pub readings: u64,
}

/// What the spool held when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The lanes that hold records, those with the oldest records first.
    pub lanes: Vec<RecoveredLane>,
    /// What the spool had held but can no longer be read, as far as the indexes show. Not counted in `lanes`.
    pub corrupt: Lost,
    /// The damaged database, or one written by a newer version, kept for inspection.
    pub set_aside: Option<PathBuf>,
}

/// One lane of [`Recovered`].
#[derive(Clone, Debug)]
pub struct RecoveredLane {
    /// Its name and slice.
    pub lane: Arc<LaneKey>,
    /// Its number of records.
    pub records: u64,
    /// The number of readings in them.
    pub readings: u64,
}

/// The outcome of one append.
#[derive(Debug, Default)]
pub struct Appended {
    /// The records that are on disk and synced: always the first ones, in the given order. Returned so that their
    /// receipts can be settled; to be sent, they are read again.
    pub stored: Vec<Record>,
    /// The remaining records, unchanged, and the reason.
    pub refused: Option<Refused>,
    /// The oldest records, dropped to make room and no longer in the spool.
    pub dropped: Lost,
    /// Records found damaged during the append and no longer in the spool.
    pub corrupt: Lost,
}

/// Records that the spool rejected.
#[derive(Debug)]
pub struct Refused {
    /// The records, unchanged.
    pub records: Vec<Record>,
    /// The reason.
    pub error: Box<dyn Error + Send + Sync>,
}

/// The result of a read.
#[derive(Debug, Default)]
pub struct Next {
    /// The records, in the order in which to send them.
    pub records: Vec<(Position, Record)>,
    /// Records found damaged during the read and no longer in the spool.
    pub corrupt: Lost,
}

impl Appended {
    /// An outcome with nothing stored.
    pub fn refused(records: Vec<Record>, error: impl Error + Send + Sync + 'static) -> Self {
        let error = Box::new(error);
        Self {
            refused: Some(Refused { records, error }),
            ..Self::default()
        }
    }

    /// Adds a record that was not stored; the error of the first one is kept.
    pub fn refuse<E: Error + Send + Sync + 'static>(&mut self, record: Record, error: impl FnOnce() -> E) {
        let refused = self.refused.get_or_insert_with(|| Refused {
            records: Vec::new(),
            error: Box::new(error()),
        });
        refused.records.push(record);
    }
}

impl Lost {
    /// Adds further losses.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.readings += other.readings;
    }
}
