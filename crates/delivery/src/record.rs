//! A sealed record: the unit that a lane sends, retries and spools. It is never repacked, so its identity stays valid.

use std::ops::RangeInclusive;
use std::sync::Arc;

use wire::{Identity, Timestamp};

use crate::batch::Receipt;

/// A lane's name in Kinesis and its place in the hash space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The partition key: `16/03`, or the sensor's id in plain mode.
    pub name: Box<str>,
    /// The lane's hash range. Its start is the explicit hash key of the lane's records.
    pub slice: RangeInclusive<u128>,
}

/// One sealed Kinesis record: its bytes and identity do not change until it is delivered.
#[derive(Clone, Debug)]
pub struct Record {
    /// The lane that it belongs to.
    pub lane: Arc<LaneKey>,
    /// The producer and the record's number in its lane; the bytes contain both.
    pub identity: Identity,
    /// The number of readings in it.
    pub readings: u32,
    /// When its first reading arrived, by the daemon's wall clock.
    pub since: Timestamp,
    /// The payload for Kinesis.
    pub data: Vec<u8>,
    /// The receipts to settle, each with its number of readings; empty after a restart.
    pub receipts: Vec<(Receipt, u32)>,
}

impl Record {
    /// The size that counts against the memory budget and the request limit: data plus partition key.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.lane.name.len()
    }

    /// Notifies the sources that the sink has accepted its readings.
    pub fn deliver(&self) {
        for (receipt, readings) in &self.receipts {
            receipt.deliver(*readings);
        }
    }

    /// Notifies the sources that its readings are safe on disk, or dropped and counted.
    pub fn settle(&self) {
        for (receipt, readings) in &self.receipts {
            receipt.settle(*readings);
        }
    }
}
