//! A sealed record: what a lane sends, retries and spools. It is never packed anew, so that its identity holds.

use std::ops::RangeInclusive;
use std::sync::Arc;

use wire::{Identity, Timestamp};

use crate::batch::Receipt;

/// What names a lane to Kinesis and places it in the hash space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The partition key: `16/03`, or the sensor's id in plain mode.
    pub name: Box<str>,
    /// The hashes that belong to the lane. Its start is the explicit hash key of its records.
    pub slice: RangeInclusive<u128>,
}

/// One Kinesis record, sealed: its bytes and its identity stay as they are until it is delivered.
#[derive(Clone, Debug)]
pub struct Record {
    /// The lane it belongs to.
    pub lane: Arc<LaneKey>,
    /// Who packed it, and its number in its lane; the bytes carry it too.
    pub identity: Identity,
    /// How many readings are inside.
    pub readings: u32,
    /// When its first reading came in, by the wall clock of the daemon.
    pub since: Timestamp,
    /// The bytes Kinesis gets.
    pub data: Vec<u8>,
    /// Who waits to hear that its readings are safe, and for how many of them; empty after a restart.
    pub receipts: Vec<(Receipt, u32)>,
}

impl Record {
    /// The bytes it counts against the byte budget and the request limit: data and partition key.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.lane.name.len()
    }

    /// Tells the sources that the sink has its readings.
    pub fn deliver(&self) {
        for (receipt, readings) in &self.receipts {
            receipt.deliver(*readings);
        }
    }

    /// Tells the sources that its readings are safe on disk, or given up and counted.
    pub fn settle(&self) {
        for (receipt, readings) in &self.receipts {
            receipt.settle(*readings);
        }
    }
}
