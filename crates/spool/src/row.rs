use std::sync::Arc;

use delivery::record::{LaneKey, Record};
use wire::{Identity, ProducerId, Timestamp};

use super::packed::{Packed, unpack};

/// A record as stored in the spool.
#[derive(Debug)]
pub(super) struct Row {
    /// The row's id for as long as the record is in the spool, even after a salvage.
    pub id: i64,
    /// Numbers the producers in the order in which they first used the spool.
    pub generation: i64,
    pub packed: Packed,
    /// The checksum it was written with.
    pub crc: u32,
}

/// The columns of a row as SQLite returns them.
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
    /// As stored.
    pub data: Vec<u8>,
    /// The uncompressed size of compressed data, else 0.
    pub raw_bytes: i64,
}

impl Row {
    /// The row of these columns, if each is in range, the checksum is right and the data unpacks.
    pub fn checked(columns: Columns<'_>) -> Option<Self> {
        let first = u128::from_be_bytes(columns.first.try_into().ok()?);
        let last = u128::from_be_bytes(columns.last.try_into().ok()?);
        let mut record = Record {
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
        let raw_bytes = columns.raw_bytes.try_into().ok()?;
        let crc = columns.crc.try_into().ok()?;
        if checksum(columns.generation, &record, raw_bytes, &record.data) != crc {
            return None;
        }
        let mut compressed = None;
        if raw_bytes > 0 {
            let data = unpack(&record.data, raw_bytes)?;
            compressed = Some(std::mem::replace(&mut record.data, data));
        }
        Some(Self {
            id: columns.id,
            generation: columns.generation,
            packed: Packed { record, compressed },
            crc,
        })
    }
}

/// CRC-32 over all columns of a record and over its stored data, so that no damaged column passes.
pub(super) fn checksum(generation: i64, record: &Record, raw_bytes: u32, stored: &[u8]) -> u32 {
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
    if raw_bytes > 0 {
        crc.update(&raw_bytes.to_le_bytes());
    }
    crc.update(stored);
    crc.finalize()
}
