//! A row of a history, and why it may be no reading.

use wire::Reading;

/// A row that was read.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it begins, from 1.
    pub line: u64,
    pub reading: Result<Reading, Fault>,
}

/// Why a row is no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing was measured.
    Missing,
    /// Something in it cannot be read.
    Malformed(String),
}
