use std::sync::Arc;

use wire::{Identity, ProducerId, Timestamp};

use crate::record::{LaneKey, Record};

/// What a row costs beside its data and twice its lane's name (in the row and in an index): its other columns,
/// its cells in three trees and their share of partly filled pages.
const ROW_BYTES: u64 = 128;

/// A record as it lies in the spool.
#[derive(Debug)]
pub(super) struct Row {
    /// Names the row for as long as the record is in the spool, also after a salvage.
    pub id: i64,
    /// Counts the producers in the order they came to the spool.
    pub generation: i64,
    pub record: Record,
    /// The checksum it was written with.
    pub crc: u32,
}

/// The columns of a row as SQLite gives them.
pub(super) struct Columns<'a> {
    pub id: i64,
    pub lane: &'a str,
    pub first: &'a [u8],
    pub last: &'a [u8],
    pub generation: i64,
    pub producer: i64,
    pub number: i64,
    pub readings: i64,
    pub since: i64,
    pub crc: i64,
    pub data: Vec<u8>,
}

impl Row {
    /// The row of these columns, where each is of its range and the checksum holds.
    pub fn checked(columns: Columns<'_>) -> Option<Self> {
        let first = u128::from_be_bytes(columns.first.try_into().ok()?);
        let last = u128::from_be_bytes(columns.last.try_into().ok()?);
        let record = Record {
            lane: Arc::new(LaneKey {
                name: columns.lane.into(),
                slice: first..=last,
            }),
            identity: Identity {
                producer: ProducerId(columns.producer.cast_unsigned()),
                number: columns.number.cast_unsigned(),
            },
            readings: columns.readings.try_into().ok()?,
            since: Timestamp::from_micros(columns.since)?,
            data: columns.data,
            receipts: Vec::new(),
        };
        let crc = columns.crc.try_into().ok()?;
        (checksum(columns.generation, &record) == crc).then_some(Self {
            id: columns.id,
            generation: columns.generation,
            record,
            crc,
        })
    }
}

/// CRC-32 over all that a row says of its record, so that no damaged column passes.
pub(super) fn checksum(generation: i64, record: &Record) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(record.lane.name.len() as u64).to_le_bytes());
    crc.update(record.lane.name.as_bytes());
    crc.update(&record.lane.slice.start().to_le_bytes());
    crc.update(&record.lane.slice.end().to_le_bytes());
    crc.update(&generation.to_le_bytes());
    crc.update(&record.identity.producer.0.to_le_bytes());
    crc.update(&record.identity.number.to_le_bytes());
    crc.update(&record.readings.to_le_bytes());
    crc.update(&record.since.as_micros().to_le_bytes());
    crc.update(&record.data);
    crc.finalize()
}

/// The bytes a record counts against the spool's limit.
pub(super) fn cost(data_bytes: u64, lane_name_bytes: u64) -> u64 {
    data_bytes + 2 * lane_name_bytes + ROW_BYTES
}
