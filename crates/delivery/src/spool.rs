//! What lanes and the spool tell each other.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{LaneKey, Record};

/// Where a record is in the spool. Positions of one lane are ordered as its records come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The start of the daemon that appended it, counted.
    pub generation: i64,
    /// The record's number in its lane.
    pub number: i64,
    /// The row that holds it.
    pub row: i64,
}

#[cfg(test)]
impl Position {
    /// The position of a record of this number.
    pub(crate) fn of_test(number: i64) -> Self {
        Self {
            generation: 1,
            number,
            row: number,
        }
    }
}

/// How much was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records.
    pub records: u64,
    /// The readings in them.
    pub readings: u64,
}

/// What was in the spool when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The lanes that hold records, in the order of the records that have been there longest.
    pub lanes: Vec<RecoveredLane>,
    /// What the spool held and its bytes no longer say, as far as its indexes tell how much that is. Not in `lanes`.
    pub corrupt: Lost,
    /// The damaged database, or that of a newer program, kept for a person to look at.
    pub set_aside: Option<PathBuf>,
}

/// One lane of [`Recovered`].
#[derive(Clone, Debug)]
pub struct RecoveredLane {
    /// Its name and slice.
    pub lane: Arc<LaneKey>,
    /// Records in it.
    pub records: u64,
    /// Readings in them.
    pub readings: u64,
}

/// What became of the records of one append.
#[derive(Debug, Default)]
pub struct Appended {
    /// On disk and synced, in the order given: always the first ones of those given. They are given back so that
    /// their receipts can be settled; to be sent, they are read again.
    pub stored: Vec<Record>,
    /// The others, untouched, and why.
    pub refused: Option<Refused>,
    /// The oldest records, given up to make room: they are no longer in the spool.
    pub dropped: Lost,
    /// Found damaged on the way: they are no longer in the spool.
    pub corrupt: Lost,
}

/// Records the spool did not take.
#[derive(Debug)]
pub struct Refused {
    /// As they were given.
    pub records: Vec<Record>,
    /// Why.
    pub error: Box<dyn Error + Send + Sync>,
}

/// What a read found.
#[derive(Debug, Default)]
pub struct Next {
    /// In the order they are to be sent.
    pub records: Vec<(Position, Record)>,
    /// Found damaged on the way: they are no longer in the spool.
    pub corrupt: Lost,
}

impl Appended {
    /// Nothing is stored.
    pub fn refused(records: Vec<Record>, error: impl Error + Send + Sync + 'static) -> Self {
        let error = Box::new(error);
        Self {
            refused: Some(Refused { records, error }),
            ..Self::default()
        }
    }

    /// A record is not stored; the error of the first one is kept.
    pub fn refuse<E: Error + Send + Sync + 'static>(&mut self, record: Record, error: impl FnOnce() -> E) {
        let refused = self.refused.get_or_insert_with(|| Refused {
            records: Vec::new(),
            error: Box::new(error()),
        });
        refused.records.push(record);
    }
}

impl Lost {
    /// Counts further ones.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.readings += other.readings;
    }
}
