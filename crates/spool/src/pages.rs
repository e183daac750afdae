//! Reads the remains of a damaged database, page by page, without trusting its header or its trees.
//!
//! Follows <https://www.sqlite.org/fileformat2.html>: every page is examined on its own, overlaid with what the
//! write-ahead log committed. Returns only rows with a valid checksum.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::footprint::PAGE_BYTES;
use super::row::{Columns, Row};
use super::store::wal_of;

const PAGE: usize = PAGE_BYTES as usize;
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;
/// Entries of one pointer map page.
const MAP_ENTRIES: u32 = PAGE_BYTES / 5;
/// The page that holds byte 2^30, which SQLite never uses.
const LOCK_PAGE: u32 = (1 << 30) / PAGE_BYTES + 1;

const INDEX_INTERIOR: u8 = 0x02;
const INDEX_LEAF: u8 = 0x0A;
const TABLE_LEAF: u8 = 0x0D;

/// The use of a page according to the pointer map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Part of a table or an index.
    Tree,
    /// Free, or the rest of a large row. A free page still holds its former rows, which were removed.
    Other,
    /// The map is damaged there.
    Unknown,
}

/// The pages of a database and its write-ahead log.
pub(super) struct Pages {
    file: File,
    wal: Option<File>,
    /// Offset in the log of each page's newest committed version.
    logged: HashMap<u32, u64>,
    count: u32,
}

impl Pages {
    pub fn open(database: &Path) -> io::Result<Self> {
        let file = File::open(database)?;
        let wal = match File::open(wal_of(database)) {
            Ok(wal) => Some(wal),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let logged = wal.as_ref().map(committed).transpose()?.unwrap_or_default();
        let in_file = file.metadata()?.len().div_ceil(u64::from(PAGE_BYTES));
        let in_file = u32::try_from(in_file).unwrap_or(u32::MAX);
        let count = logged.keys().copied().max().unwrap_or(0).max(in_file);
        Ok(Self {
            file,
            wal,
            logged,
            count,
        })
    }

    /// Every whole row on the pages of this use.
    pub fn rows<E>(&self, used: Use, mut found: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        self.cells(|of, kind, cell| {
            if of == used
                && kind == TABLE_LEAF
                && let Some(row) = self.row(cell)
            {
                found(row)?;
            }
            Ok(())
        })
    }

    /// The row id and the readings of every entry of the index `by_since`: the rows that should exist.
    pub fn expected<E>(&self, mut found: impl FnMut(i64, u32) -> Result<(), E>) -> Result<(), E> {
        self.cells(|of, kind, cell| {
            let cell = match kind {
                _ if of == Use::Other => None,
                INDEX_LEAF => Some(cell),
                INDEX_INTERIOR => cell.get(4..),
                _ => None,
            };
            match cell.and_then(entry) {
                Some((id, readings)) => found(id, readings),
                None => Ok(()),
            }
        })
    }

    /// Calls back with the use and kind of page, and the bytes from a cell's start to its page's end, for every cell.
    fn cells<E>(&self, mut found: impl FnMut(Use, u8, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut map = (0, None);
        // Page 1 holds the schema only.
        for number in 2..=self.count {
            let map_page = (number - 2) / (MAP_ENTRIES + 1) * (MAP_ENTRIES + 1) + 2;
            let map_page = if map_page == LOCK_PAGE { map_page + 1 } else { map_page };
            if map_page == number || number == LOCK_PAGE {
                continue;
            }
            if map.0 != map_page {
                map = (map_page, self.page(map_page));
            }
            let entry = (number - map_page - 1) as usize * 5;
            let used = match map.1.as_ref().and_then(|map| map.get(entry)) {
                Some(1 | 5) => Use::Tree,
                Some(2..=4) => Use::Other,
                _ => Use::Unknown,
            };
            let Some(page) = self.page(number) else { continue };
            let kind = page[0];
            let pointers = match kind {
                INDEX_INTERIOR => 12,
                INDEX_LEAF | TABLE_LEAF => 8,
                _ => continue,
            };
            let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
            for pointer in page[pointers..].chunks_exact(2).take(cells) {
                let start = usize::from(u16::from_be_bytes([pointer[0], pointer[1]]));
                if let Some(cell) = page.get(start..) {
                    found(used, kind, cell)?;
                }
            }
        }
        Ok(())
    }

    fn row(&self, cell: &[u8]) -> Option<Row> {
        let (length, cell) = varint(cell)?;
        let (id, cell) = varint(cell)?;
        let payload = self.payload(usize::try_from(length).ok()?, cell)?;
        let values = values(&payload)?;
        match values[..] {
            [
                Value::Null,
                Value::Bytes(lane),
                Value::Bytes(first),
                Value::Bytes(last),
                Value::Integer(generation),
                Value::Integer(producer),
                Value::Integer(number),
                Value::Integer(readings),
                Value::Integer(since),
                Value::Integer(crc),
                Value::Bytes(data),
                Value::Integer(raw_bytes),
            ] => Row::checked(Columns {
                id: id.cast_signed(),
                lane: std::str::from_utf8(lane).ok()?,
                first,
                last,
                generation,
                producer,
                number,
                readings,
                since,
                crc,
                data: data.to_vec(),
                raw_bytes,
            }),
            _ => None,
        }
    }

    /// The payload of a table's cell: the part in the page, then its overflow pages.
    fn payload(&self, length: usize, cell: &[u8]) -> Option<Vec<u8>> {
        const MOST_LOCAL: usize = PAGE - 35;
        const LEAST_LOCAL: usize = (PAGE - 12) * 32 / 255 - 23;
        if length <= MOST_LOCAL {
            return cell.get(..length).map(<[u8]>::to_vec);
        }
        if length > self.count as usize * PAGE {
            return None;
        }
        let local = LEAST_LOCAL + (length - LEAST_LOCAL) % (PAGE - 4);
        let local = if local <= MOST_LOCAL { local } else { LEAST_LOCAL };
        let mut payload = Vec::with_capacity(length);
        payload.extend_from_slice(cell.get(..local)?);
        let mut next = big_endian_u32(cell.get(local..)?)?;
        while payload.len() < length {
            if next < 2 || next > self.count {
                return None;
            }
            let page = self.page(next)?;
            let rest = (length - payload.len()).min(PAGE - 4);
            payload.extend_from_slice(&page[4..4 + rest]);
            next = big_endian_u32(&page)?;
        }
        Some(payload)
    }

    /// A page as last committed, with zeros for what the file no longer holds. `None` if the disk cannot read it.
    fn page(&self, number: u32) -> Option<Vec<u8>> {
        let (file, start) = match (self.logged.get(&number), &self.wal) {
            (Some(&start), Some(wal)) => (wal, start),
            _ => (&self.file, u64::from(number - 1) * u64::from(PAGE_BYTES)),
        };
        let mut page = vec![0; PAGE];
        let mut filled = 0;
        while filled < PAGE {
            match file.read_at(&mut page[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(page)
    }
}

/// Offset of each page's newest version committed by the log.
fn committed(wal: &File) -> io::Result<HashMap<u32, u64>> {
    let mut logged = HashMap::new();
    let mut header = [0; WAL_HEADER_BYTES as usize];
    if wal.metadata()?.len() < WAL_HEADER_BYTES {
        return Ok(logged);
    }
    wal.read_exact_at(&mut header, 0)?;
    let salts = &header[16..24];
    let mut open = Vec::new();
    let mut frame = [0; FRAME_HEADER_BYTES as usize];
    let mut start = WAL_HEADER_BYTES;
    // A frame of an earlier use of the log has other salts. A torn one is noticed by the checksums of its rows.
    while wal.read_exact_at(&mut frame, start).is_ok() && frame[8..16] == *salts {
        let page = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        open.push((page, start + FRAME_HEADER_BYTES));
        let commits = frame[4..8] != [0; 4];
        if commits {
            logged.extend(open.drain(..));
        }
        start += FRAME_HEADER_BYTES + u64::from(PAGE_BYTES);
    }
    Ok(logged)
}

#[derive(Debug)]
enum Value<'a> {
    Null,
    Integer(i64),
    Bytes(&'a [u8]),
}

/// The row id and the readings of an entry of the index `by_since`.
fn entry(cell: &[u8]) -> Option<(i64, u32)> {
    let (length, payload) = varint(cell)?;
    let payload = payload.get(..usize::try_from(length).ok()?)?;
    match values(payload)?[..] {
        [Value::Integer(_), Value::Integer(readings), Value::Integer(id)] if id > 0 => {
            Some((id, u32::try_from(readings).ok()?))
        }
        _ => None,
    }
}

/// The columns of a record; `None` if the payload is not one.
fn values(payload: &[u8]) -> Option<Vec<Value<'_>>> {
    let (header_bytes, _) = varint(payload)?;
    let (header, mut body) = payload.split_at_checked(usize::try_from(header_bytes).ok()?)?;
    let (_, mut header) = varint(header)?;
    let mut values = Vec::with_capacity(12);
    while !header.is_empty() {
        let (kind, rest) = varint(header)?;
        header = rest;
        let bytes = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 => 8,
            12.. => (kind - 12) / 2,
            _ => return None,
        };
        let (value, rest) = body.split_at_checked(usize::try_from(bytes).ok()?)?;
        body = rest;
        values.push(match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => {
                let sign = if value[0] >= 0x80 { -1 } else { 0 };
                Value::Integer(value.iter().fold(sign, |sum, &byte| sum << 8 | i64::from(byte)))
            }
            _ => Value::Bytes(value),
        });
    }
    Some(values)
}

/// A variable-length integer and the bytes after it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((value << 8 | u64::from(byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn big_endian_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
