use std::sync::Arc;

use delivery::record::{LaneKey, Record};
use wire::{Identity, ProducerId, Timestamp};

use super::packed::{Packed, unpack};
use super::store::PAGE_BYTES;

/// What a row holds beside its data and its lane's name: its other columns and its cell.
const ROW_BYTES: u64 = 80;
/// What it takes in both indexes beside its lane's name, with a share of partly filled pages.
const INDEX_BYTES: u64 = 42;
/// What of a page holds rows.
const LEAF_BYTES: u64 = PAGE_BYTES as u64 - 8;
/// What an overflow page holds of a row.
const OVERFLOW_BYTES: u64 = PAGE_BYTES as u64 - 4;
/// What a leaf holds at least of a row that is too large for it.
const LEAST_LOCAL: u64 = (PAGE_BYTES as u64 - 12) * 32 / 255 - 23;

/// A record as it lies in the spool.
#[derive(Debug)]
pub(super) struct Row {
    /// Names the row for as long as the record is in the spool, also after a salvage.
    pub id: i64,
    /// Counts the producers in the order they came to the spool.
    pub generation: i64,
    pub packed: Packed,
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
    /// As stored.
    pub data: Vec<u8>,
    /// The size of the data where it is compressed, else 0.
    pub raw_bytes: i64,
}

impl Row {
    /// The row of these columns, where each is of its range, the checksum holds and the data unpacks.
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

/// CRC-32 over all that a row says of its record and over what it stores of its data, so that no damaged column passes.
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

/// The bytes of disk a row takes, which count against the spool's limit: a leaf holds whole rows only, and what is too
/// large for one goes on in pages of its own. <https://www.sqlite.org/fileformat2.html>
pub(super) fn cost(data_bytes: u64, lane_name_bytes: u64) -> u64 {
    let leaf = |bytes: u64| LEAF_BYTES / (LEAF_BYTES / bytes);
    let row = data_bytes + lane_name_bytes + ROW_BYTES;
    let indexed = lane_name_bytes + INDEX_BYTES;
    if row <= LEAF_BYTES {
        return leaf(row) + indexed;
    }
    let rest = row - LEAST_LOCAL;
    let (pages, local) = (rest / OVERFLOW_BYTES, LEAST_LOCAL + rest % OVERFLOW_BYTES);
    if local <= LEAF_BYTES {
        pages * u64::from(PAGE_BYTES) + leaf(local) + indexed
    } else {
        (pages + 1) * u64::from(PAGE_BYTES) + leaf(LEAST_LOCAL) + indexed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the file format: 8,184 bytes of a leaf hold rows, of a row that goes on elsewhere at least 1,003.
    #[test]
    fn a_row_costs_its_share_of_the_pages_it_is_on() {
        for (data, bytes) in [
            // 44 of 185 bytes fit a leaf.
            (100, 186),
            // Alone on its leaf, and at most as large as that.
            (8_000, 8_184),
            (8_099, 8_184),
            // One byte stands on a page of its own: eight such rows share a leaf.
            (8_100, 8_192 + 1_023),
            // 3,709 bytes of it stay, and then fill two pages.
            (20_000, 2 * 8_192 + 4_092),
            // 8,709 bytes would stay, which no leaf holds: as few as may be, and three pages.
            (25_000, 3 * 8_192 + 1_023),
        ] {
            // And 47 bytes in the indexes, five of them its lane's name.
            assert_eq!(cost(data, 5), bytes + 47, "{data}");
        }
    }
}
