//! One PutRecords request: at most one record per lane, within the limits of the service.

use std::sync::Arc;

use crate::record::Record;

/// The most records in one request.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
pub const MAX_RECORDS: usize = 500;
/// The most bytes in one request, partition keys included; from the same page.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;

/// The heads of several lanes, sent together.
#[derive(Debug, Default)]
pub struct Request {
    /// The lane of each record.
    pub(crate) lanes: Vec<usize>,
    /// The records, in the order of `lanes`.
    pub records: Vec<Arc<Record>>,
    bytes: usize,
    /// The most records that may share the request.
    max_records: usize,
    /// It is full: ready lanes had to be left out, or would have been.
    full: bool,
}

impl Request {
    /// An empty request.
    pub fn new() -> Self {
        Self {
            max_records: MAX_RECORDS,
            ..Self::default()
        }
    }

    /// Adds a lane's head; false if it does not fit, or if a record in the request must not share it with so many
    /// others.
    pub(crate) fn take(&mut self, lane: usize, record: &Arc<Record>, max_records: usize) -> bool {
        let most = self.max_records.min(max_records);
        let fits = self.records.is_empty() || self.bytes + record.bytes() <= MAX_BYTES;
        if !fits || self.records.len() + 1 > most {
            self.full = true;
            return false;
        }
        self.max_records = most;
        self.bytes += record.bytes();
        self.lanes.push(lane);
        self.records.push(record.clone());
        self.full |= self.records.len() == MAX_RECORDS;
        true
    }

    /// True if the request is full.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Removes the record added last.
    pub(crate) fn leave(&mut self) {
        self.full = false;
        self.lanes.pop();
        if let Some(record) = self.records.pop() {
            self.bytes -= record.bytes();
        }
    }

    /// Bytes of data and partition keys.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Readings in all of its records.
    pub fn readings(&self) -> u64 {
        self.records.iter().map(|record| u64::from(record.readings)).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use wire::{Identity, ProducerId, Timestamp};

    use super::*;
    use crate::record::LaneKey;

    /// A record of this many bytes, one of them its partition key, with as many readings as its number.
    fn record(number: u64, bytes: usize) -> Arc<Record> {
        Arc::new(Record {
            lane: Arc::new(LaneKey {
                name: "k".into(),
                slice: 0..=0,
            }),
            identity: Identity {
                producer: ProducerId(1),
                number,
            },
            readings: number as u32,
            since: Timestamp::from_micros(0).unwrap(),
            data: vec![0; bytes - 1],
            receipts: Vec::new(),
        })
    }

    #[test]
    fn it_is_filled_to_its_bytes_and_not_beyond() {
        let mut request = Request::new();
        assert!(request.take(3, &record(1, MAX_BYTES - 10), MAX_RECORDS));
        assert!(!request.is_full());
        assert!(!request.take(4, &record(2, 11), MAX_RECORDS));
        assert!(request.take(5, &record(3, 10), MAX_RECORDS));
        // 10 MiB, as on the service's page.
        assert_eq!((request.bytes(), request.readings()), (10_485_760, 4));
        assert_eq!(request.lanes, [3, 5]);
        assert!(request.is_full());
        request.leave();
        assert!(!request.is_full());
        assert_eq!((request.bytes(), request.lanes.as_slice()), (MAX_BYTES - 10, &[3][..]));
        assert!(request.take(4, &record(2, 10), MAX_RECORDS));
    }

    #[test]
    fn a_record_larger_than_all_bytes_goes_alone() {
        let mut request = Request::new();
        assert!(request.take(0, &record(1, MAX_BYTES + 1), MAX_RECORDS));
        assert!(!request.take(1, &record(2, 2), MAX_RECORDS));
    }

    #[test]
    fn it_holds_as_many_records_as_the_service_takes() {
        let mut request = Request::new();
        let taken = (0..600).filter(|lane| request.take(*lane, &record(1, 10), usize::MAX));
        assert_eq!(taken.count(), MAX_RECORDS);
        assert_eq!(request.bytes(), MAX_RECORDS * 10);
        assert!(request.is_full());
    }

    #[test]
    fn the_shyest_record_says_how_many_travel_together() {
        let mut request = Request::new();
        assert!(request.take(0, &record(1, 10), 5));
        assert!(request.take(1, &record(1, 10), 3));
        assert!(!request.take(2, &record(1, 10), 2));
        assert!(request.take(2, &record(1, 10), 9));
        assert!(!request.take(3, &record(1, 10), 9));
    }
}
