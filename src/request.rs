//! One PutRecords request: at most one record of each lane, within the limits of the service.

use std::sync::Arc;

use crate::record::Record;

/// Records in one request.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
pub const MAX_RECORDS: usize = 500;
/// Bytes in one request, partition keys included; from the same page.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;

/// The heads of some lanes, on their way together.
#[derive(Debug, Default)]
pub struct Request {
    /// Which lane each record is of.
    pub(crate) lanes: Vec<usize>,
    /// The records, in the order of `lanes`.
    pub records: Vec<Arc<Record>>,
    bytes: usize,
    /// As many records as may share it.
    company: usize,
}

impl Request {
    /// An empty request.
    pub fn new() -> Self {
        Self {
            company: MAX_RECORDS,
            ..Self::default()
        }
    }

    /// Takes a lane's head along; false where it does not fit, or one of them may not travel in such company.
    pub(crate) fn take(&mut self, lane: usize, record: &Arc<Record>, company: usize) -> bool {
        let most = self.company.min(company);
        let fits = self.records.is_empty() || self.bytes + record.bytes() <= MAX_BYTES;
        if !fits || self.records.len() + 1 > most {
            return false;
        }
        self.company = most;
        self.bytes += record.bytes();
        self.lanes.push(lane);
        self.records.push(record.clone());
        true
    }

    /// Leaves the record taken last behind.
    pub(crate) fn leave(&mut self) {
        self.lanes.pop();
        if let Some(record) = self.records.pop() {
            self.bytes -= record.bytes();
        }
    }

    /// Bytes of data and partition keys.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Readings inside all of its records.
    pub fn readings(&self) -> u64 {
        self.records.iter().map(|record| u64::from(record.readings)).sum()
    }
}
