//! Reads a database page by page and compares it with SQLite's view, and damages it byte by byte.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use delivery::record::Record;
use tempfile::TempDir;

use super::super::tests::{all, keys, lane, open, record, store};
use super::*;
use crate::Spool;

/// Sizes around each layout of a row: whole in its leaf, and with the least and the most of it there before overflow
/// pages.
const SIZES: [std::ops::Range<usize>; 6] = [
    1..130,
    7_990..8_160,
    9_000..9_180,
    16_180..16_350,
    17_200..17_370,
    24_370..24_540,
];

/// What is read from the pages of this use: the records by id.
fn rows(pages: &Pages, used: Use) -> BTreeMap<i64, Record> {
    let mut rows = BTreeMap::new();
    let mut add = |row: Row| {
        let before = rows.insert(row.id, row.packed.record);
        // A free page may hold an old copy of a row that moved.
        if before.is_some() && used == Use::Tree {
            Err("twice")
        } else {
            Ok(())
        }
    };
    pages.rows(used, &mut add).unwrap();
    rows
}

fn expected(pages: &Pages) -> BTreeMap<i64, u32> {
    let mut all = BTreeMap::new();
    let mut add = |id, readings| {
        all.insert(id, readings);
        Ok::<_, ()>(())
    };
    pages.expected(&mut add).unwrap();
    all
}

/// The numbers of these records, each checked to be unchanged.
fn numbers(rows: &BTreeMap<i64, Record>) -> BTreeSet<u64> {
    let check = |row: &Record| {
        let put = record(&row.lane.name, 1, row.identity.number, row.data.len());
        assert_eq!(
            (&row.data, &row.lane, row.identity),
            (&put.data, &put.lane, put.identity)
        );
        assert_eq!((row.readings, row.since), (put.readings, put.since));
        row.identity.number
    };
    rows.values().map(check).collect()
}

async fn remove(spool: &Spool, which: impl Fn(u64) -> bool) {
    let held = all(spool, "a").await;
    let gone = held.iter().filter(|(_, record)| which(record.identity.number));
    spool
        .remove(gone.map(|(position, _)| *position).collect())
        .await
        .unwrap();
}

/// More pages than one pointer map page covers, in the file and in the log; the last of them with rows.
#[tokio::test]
async fn rows_of_every_size_are_read_as_they_were_put() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    let sizes = [25_000; 300].into_iter().chain(SIZES.into_iter().flatten().step_by(2));
    let records: Vec<_> = sizes
        .zip(1..)
        .map(|(size, number)| record("a", 1, number, size))
        .collect();
    let put: BTreeSet<u64> = records.iter().map(|record| record.identity.number).collect();
    for batch in records.chunks(50) {
        store(&spool, batch.to_vec()).await;
    }
    let path = dir.path().join("spool.db");
    let check = |removed: &dyn Fn(u64) -> bool| {
        let pages = Pages::open(&path).unwrap();
        let there = rows(&pages, Use::Tree);
        assert_eq!(
            numbers(&there),
            put.iter().copied().filter(|number| !removed(*number)).collect()
        );
        assert_eq!(
            expected(&pages),
            there.iter().map(|(id, record)| (*id, record.readings)).collect()
        );
        assert!(rows(&pages, Use::Unknown).is_empty());
        assert!(numbers(&rows(&pages, Use::Other)).is_subset(&put));
        pages.count
    };
    assert!(check(&|_| false) > MAP_ENTRIES + 2);
    assert!(
        fs::metadata(wal_of(&path)).unwrap().len() > 1 << 20,
        "some of it is in the log only"
    );
    remove(&spool, |number| number % 3 == 0).await;
    check(&|number| number % 3 == 0);
    spool.close().await.unwrap();
    check(&|number| number % 3 == 0);
}

#[tokio::test]
async fn what_the_log_adds_is_part_of_it() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 200_000)]).await;
    let path = dir.path().join("spool.db");
    let pages = Pages::open(&path).unwrap();
    assert!(u64::from(pages.count) * u64::from(PAGE_BYTES) > fs::metadata(&path).unwrap().len());
    assert_eq!(numbers(&rows(&pages, Use::Tree)), [1].into());
    // Only the log has changed since.
    fs::remove_file(wal_of(&path)).unwrap();
    assert!(rows(&Pages::open(&path).unwrap(), Use::Tree).is_empty());
    assert_eq!(keys(&all(&spool, "a").await), [(1, 1)]);
    assert_eq!(lane("a").name, record("a", 1, 1, 1).lane.name);
}

fn written(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[test]
fn a_page_that_the_file_ends_in_is_zero_from_there_on() {
    let bytes: Vec<u8> = (0..PAGE + 100).map(|index| (index % 251 + 1) as u8).collect();
    let pages = Pages {
        file: written(&bytes),
        wal: None,
        logged: HashMap::new(),
        count: 3,
    };
    assert_eq!(pages.page(1).unwrap(), bytes[..PAGE]);
    let mut second = bytes[PAGE..].to_vec();
    second.resize(PAGE, 0);
    assert_eq!(pages.page(2).unwrap(), second);
    assert_eq!(pages.page(3).unwrap(), vec![0; PAGE]);
}

#[test]
fn the_log_counts_up_to_its_last_commit() {
    let frame = |page: u32, commits: u32, salt: u8| {
        let mut frame = vec![0; FRAME_HEADER_BYTES as usize + PAGE];
        frame[..4].copy_from_slice(&page.to_be_bytes());
        frame[4..8].copy_from_slice(&commits.to_be_bytes());
        frame[8..16].fill(salt);
        frame
    };
    let log = |frames: &[Vec<u8>]| {
        let mut log = vec![0; WAL_HEADER_BYTES as usize];
        log[16..24].fill(7);
        log.extend(frames.concat());
        committed(&written(&log)).unwrap()
    };
    let place = |index: u64| 32 + index * (24 + u64::from(PAGE_BYTES)) + 24;
    assert_eq!(log(&[]), HashMap::new());
    assert_eq!(log(&[frame(5, 0, 7)]), HashMap::new());
    let frames = [frame(5, 0, 7), frame(6, 9, 7), frame(5, 9, 7), frame(8, 0, 7)];
    assert_eq!(log(&frames), [(6, place(1)), (5, place(2))].into());
    let earlier_use = [frame(5, 9, 7), frame(6, 9, 8), frame(7, 9, 7)];
    assert_eq!(log(&earlier_use), [(5, place(0))].into());
    assert_eq!(committed(&written(&[0; 31])).unwrap(), HashMap::new());
}

#[test]
fn integers_of_every_length_are_read() {
    for (bytes, value, rest) in [
        (&[0x00, 9][..], 0, &[9][..]),
        (&[0x7F], 127, &[]),
        (&[0x81, 0x00, 9], 128, &[9]),
        (&[0xFF, 0x7F], 16_383, &[]),
        (&[0x81, 0x80, 0x00], 16_384, &[]),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x85, 9], 0x85, &[9]),
        (&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 1 << 57, &[]),
        (&[0xFF; 9], u64::MAX, &[]),
    ] {
        assert_eq!(varint(bytes), Some((value, rest)), "{bytes:x?}");
    }
    for cut in [&[][..], &[0x80], &[0xFF; 8]] {
        assert_eq!(varint(cut), None, "{cut:x?}");
    }
}

/// The columns as text, so that they can be compared.
fn told(payload: &[u8]) -> Option<Vec<String>> {
    Some(values(payload)?.iter().map(|value| format!("{value:?}")).collect())
}

#[test]
fn columns_of_every_kind_are_read() {
    for (header, body, value) in [
        (0, &[][..], "Null"),
        (1, &[0xFE], "Integer(-2)"),
        (1, &[0x7F], "Integer(127)"),
        (2, &[0x01, 0x02], "Integer(258)"),
        (3, &[0xFF, 0x00, 0x00], "Integer(-65536)"),
        (4, &[0x80, 0x00, 0x00, 0x00], "Integer(-2147483648)"),
        (5, &[0x00, 0x01, 0x00, 0x00, 0x00, 0x00], "Integer(4294967296)"),
        (6, &[0x80, 0, 0, 0, 0, 0, 0, 1], "Integer(-9223372036854775807)"),
        (8, &[], "Integer(0)"),
        (9, &[], "Integer(1)"),
        (12, &[], "Bytes([])"),
        (13, &[], "Bytes([])"),
        (16, &[1, 2], "Bytes([1, 2])"),
        (17, &[3, 4], "Bytes([3, 4])"),
    ] {
        // Followed by a column of one byte, which is found only if the length of the first is right.
        let payload = [&[3, header, 1][..], body, &[42]].concat();
        assert_eq!(told(&payload).unwrap(), [value, "Integer(42)"], "{header}");
        assert_eq!(told(&payload[..payload.len() - 1]), None, "{header}: cut short");
    }
    for none in [7, 10, 11] {
        assert_eq!(told(&[2, none, 0, 0, 0, 0, 0, 0, 0, 0]), None, "{none}");
    }
    assert_eq!(told(&[9, 1, 1]), None, "a header longer than the record");
}

#[test]
fn an_entry_of_the_index_is_a_time_readings_and_an_id() {
    let cell = |readings: u8, id: u8| vec![7, 4, 1, 1, 1, 9, readings, id];
    assert_eq!(entry(&cell(3, 5)), Some((5, 3)));
    assert_eq!(entry(&cell(0, 1)), Some((1, 0)));
    for none in [
        cell(3, 0),
        cell(3, 0xFF),
        cell(0xFF, 5),
        vec![6, 3, 1, 1, 9, 3],
        vec![9, 4, 1, 1, 1, 9, 3, 5],
    ] {
        assert_eq!(entry(&none), None, "{none:?}");
    }
}

#[test]
fn overflow_pages_that_lead_nowhere_end_a_row() {
    let count = 4;
    let pages = |next: [u32; 2]| {
        let mut bytes = vec![1; PAGE * count];
        for (page, next) in [2, 3].into_iter().zip(next) {
            bytes[(page - 1) * PAGE..][..4].copy_from_slice(&u32::to_be_bytes(next));
        }
        Pages {
            file: written(&bytes),
            wal: None,
            logged: HashMap::new(),
            count: count as u32,
        }
    };
    let local = 1_003;
    let length = local + 2 * (PAGE - 4);
    let cell = |first: u32| [&vec![1; local][..], &first.to_be_bytes()].concat();
    let read = |first, next| pages(next).payload(length, &cell(first)).map(|payload| payload.len());
    assert_eq!(read(2, [3, 0]), Some(length));
    for (first, next) in [(0, [3, 0]), (1, [3, 0]), (5, [3, 0]), (2, [5, 0]), (2, [0, 0])] {
        assert_eq!(read(first, next), None, "{first} {next:?}");
    }
    assert_eq!(read(2, [4, 0]), Some(length), "the last page is one of them");
    let not_filled = length - 900;
    assert_eq!(
        pages([3, 0]).payload(not_filled, &cell(2)).map(|payload| payload.len()),
        Some(not_filled),
        "the rest of the last page is not part of it"
    );
    assert_eq!(
        pages([3, 0]).payload(length + 3 * PAGE, &cell(2)),
        None,
        "longer than all pages"
    );
    assert_eq!(pages([3, 0]).payload(20, &[1; 19]), None);
}
