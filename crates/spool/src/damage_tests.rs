//! Damaged files: every row comes back unchanged or is counted as lost; nothing panics, nothing is deleted.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::tests::{PLENTY, all, keys, lane, open, record, store};
use super::*;

const LANES: [&str; 3] = ["16/00", "16/07", "house-kitchen-sensor"];

fn database(dir: &Path) -> PathBuf {
    dir.join("spool.db")
}

/// Small and large records in three lanes, some of them removed again.
async fn fill(spool: &Spool, records: u64) -> BTreeSet<(usize, u64)> {
    let mut put = BTreeSet::new();
    for number in 1..=records {
        let index = (number % 3) as usize;
        let size = if number % 2 == 0 { 24_000 } else { 150 } + number as usize;
        store(spool, vec![record(LANES[index], 5, number, size)]).await;
        put.insert((index, number));
    }
    for (index, name) in LANES.iter().enumerate() {
        let next = spool.next(&lane(name), None, 60_000).await.unwrap();
        spool
            .remove(next.records.iter().map(|(position, _)| *position).collect())
            .await
            .unwrap();
        for (_, number) in keys(&next.records) {
            put.remove(&(index, number));
        }
    }
    put
}

async fn found(spool: &Spool) -> BTreeSet<(usize, u64)> {
    let mut found = BTreeSet::new();
    for (index, name) in LANES.iter().enumerate() {
        let all = keys(&all(spool, name).await);
        assert!(all.is_sorted());
        found.extend(all.into_iter().map(|(_, number)| (index, number)));
    }
    found
}

fn damage(path: &Path, rng: &mut ChaCha8Rng, runs: usize, longest: usize) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    for _ in 0..runs {
        let mut bytes = vec![0; rng.random_range(1..=longest)];
        rng.fill(&mut bytes[..]);
        let start = rng.random_range(0..length.saturating_sub(bytes.len() as u64).max(1));
        file.write_all_at(&bytes, start).unwrap();
    }
}

#[tokio::test]
async fn random_damage_loses_only_what_it_hits_and_counts_it() {
    let original = TempDir::new().unwrap();
    let (spool, _) = open(original.path());
    let put = fill(&spool, 60).await;
    spool.close().await.unwrap();
    let mut salvages = 0;
    for seed in 0..120 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let dir = TempDir::new().unwrap();
        fs::copy(database(original.path()), database(dir.path())).unwrap();
        let (runs, longest) = if seed % 2 == 0 { (1, 100) } else { (3, 20_000) };
        damage(&database(dir.path()), &mut rng, runs, longest);
        let (spool, recovered) =
            Spool::open(dir.path(), PLENTY, WhenFull::Block).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Damage to the version alone reads as another version: the file is set aside untouched, nothing is lost.
        let aside = recovered.set_aside.as_ref().map(|aside| aside.to_string_lossy());
        if aside.is_some_and(|aside| aside.contains("spool.db.version-")) {
            continue;
        }
        let before = (spool.records(), spool.readings());
        let first = recovered
            .lanes
            .iter()
            .fold((0, 0), |sum, lane| (sum.0 + lane.records, sum.1 + lane.readings));
        assert_eq!(first, before, "seed {seed}");
        // Damage inside a record is noticed when it is read, and reported with one of the reads.
        let mut corrupt = Lost::default();
        for name in LANES {
            corrupt.add(spool.next(&lane(name), None, usize::MAX).await.unwrap().corrupt);
        }
        let found = found(&spool).await;
        assert!(found.is_subset(&put), "seed {seed}: rows that were removed came back");
        assert_eq!(before.0, spool.records() + corrupt.records, "seed {seed}");
        assert_eq!(before.1, spool.readings() + corrupt.readings, "seed {seed}");
        assert_eq!(spool.records(), found.len() as u64, "seed {seed}");
        let lost = (put.len() - found.len()) as u64;
        let counted = recovered.corrupt.records + corrupt.records;
        assert!(counted <= lost, "seed {seed}: {counted} counted, {lost} lost");
        if runs == 1 {
            assert_eq!(counted, lost, "seed {seed}");
            // A hundred bytes touch at most two pages, and a leaf holds about thirty small rows.
            assert!(lost <= 32, "seed {seed}: {lost} lost");
        }
        let aside = fs::read_dir(dir.path()).unwrap().filter(|file| {
            let name = file.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("spool.db.corrupt-")
        });
        let aside = aside.count();
        assert!(aside > 0 || lost == 0, "seed {seed}");
        salvages += usize::from(aside > 0);
        // It still works.
        store(&spool, vec![record(LANES[0], 6, 1, 25_000)]).await;
        spool.close().await.unwrap();
        let (spool, recovered) = open(dir.path());
        assert!(recovered.set_aside.is_none(), "seed {seed}");
        assert_eq!(spool.records(), found.len() as u64 + 1);
    }
    assert!(salvages > 60, "{salvages} salvages");
}

#[tokio::test]
async fn rows_survive_a_lost_header_and_what_the_log_holds() {
    for seed in 0..8 {
        let original = TempDir::new().unwrap();
        let (spool, _) = open(original.path());
        let put = fill(&spool, 45).await;
        // As after a power cut: the log is not yet copied back.
        let dir = TempDir::new().unwrap();
        for name in ["spool.db", "spool.db-wal"] {
            fs::copy(original.path().join(name), dir.path().join(name)).unwrap();
        }
        assert!(fs::metadata(dir.path().join("spool.db-wal")).unwrap().len() > 100_000);
        if seed == 0 {
            fs::write(database(dir.path()), b"").unwrap();
        } else if seed == 1 {
            fs::write(database(dir.path()), vec![0xA5; 40_000]).unwrap();
        } else {
            let file = OpenOptions::new().write(true).open(database(dir.path())).unwrap();
            file.write_all_at(&[seed; 100], u64::from(seed) * 10).unwrap();
        }
        let (spool, recovered) = open(dir.path());
        assert_eq!(found(&spool).await, put, "seed {seed}");
        assert_eq!(recovered.corrupt, Lost::default(), "seed {seed}");
    }
}

#[tokio::test]
async fn rows_survive_the_first_pages() {
    let original = TempDir::new().unwrap();
    let (spool, _) = open(original.path());
    let put = fill(&spool, 60).await;
    spool.close().await.unwrap();
    // The header, the pointer map and the table's root; then the roots of both indexes too.
    for pages in [3, 5] {
        let dir = TempDir::new().unwrap();
        let mut bytes = fs::read(database(original.path())).unwrap();
        bytes[..pages * 8192].fill(0);
        fs::write(database(dir.path()), bytes).unwrap();
        let (spool, recovered) = open(dir.path());
        let found = found(&spool).await;
        assert!(found.is_superset(&put));
        assert_eq!(recovered.corrupt, Lost::default());
        if pages == 3 {
            assert_eq!(found, put, "the index tells what was removed");
        }
    }
}

#[tokio::test]
async fn an_index_that_hides_rows_is_found_out() {
    let original = TempDir::new().unwrap();
    let (spool, _) = open(original.path());
    let put = fill(&spool, 60).await;
    spool.close().await.unwrap();
    let root = |index: &str| -> usize {
        let db = rusqlite::Connection::open(database(original.path())).unwrap();
        let select = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        db.query_row(select, [index], |row| row.get(0)).unwrap()
    };
    let by_lane = (root("by_lane") - 1) * 8192..root("by_lane") * 8192;
    let by_since = (root("by_since") - 1) * 8192..root("by_since") * 8192;
    let whole = fs::read(database(original.path())).unwrap();
    for case in 0..3 {
        let mut bytes = whole.clone();
        match case {
            0 => {
                let page = &mut bytes[by_lane.clone()];
                let name = page.windows(5).position(|window| window == b"16/07").unwrap();
                page[name + 4] = b'8';
            }
            // The same keys in another order: swaps the pointers to two cells.
            1 => bytes[by_lane.clone()][8..14].rotate_left(2),
            // The time in an entry: eight bytes, after the cell's length and four bytes of types.
            _ => {
                let page = &mut bytes[by_since.clone()];
                let cell = usize::from(u16::from_be_bytes([page[8], page[9]]));
                page[cell + 1 + 4 + 7] ^= 1;
            }
        }
        assert_ne!(bytes, whole);
        let dir = TempDir::new().unwrap();
        fs::write(database(dir.path()), bytes).unwrap();
        let (spool, recovered) = open(dir.path());
        assert!(recovered.set_aside.is_some(), "case {case}");
        assert_eq!(found(&spool).await, put, "case {case}");
        assert_eq!(recovered.corrupt, Lost::default(), "case {case}");
    }
}

#[tokio::test]
async fn a_truncated_file_gives_what_is_left_of_it() {
    let original = TempDir::new().unwrap();
    let (spool, _) = open(original.path());
    let put = fill(&spool, 60).await;
    spool.close().await.unwrap();
    let whole = fs::read(database(original.path())).unwrap();
    let mut kept = BTreeSet::new();
    for part in 0..16 {
        let dir = TempDir::new().unwrap();
        fs::write(database(dir.path()), &whole[..whole.len() * part / 16 + part]).unwrap();
        let (spool, recovered) = open(dir.path());
        assert!(recovered.set_aside.is_some_and(|aside| aside.exists()), "part {part}");
        let found = found(&spool).await;
        assert!(found.is_subset(&put));
        assert!(recovered.corrupt.records <= (put.len() - found.len()) as u64);
        kept.insert(found.len());
    }
    assert!(kept.len() > 8, "the longer the file, the more is found: {kept:?}");
}

#[tokio::test]
async fn garbage_and_foreign_files_are_set_aside() {
    let foreign = TempDir::new().unwrap();
    let other = rusqlite::Connection::open(database(foreign.path())).unwrap();
    other
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(other);
    let foreign = fs::read(database(foreign.path())).unwrap();
    for content in [&b""[..], b"x", &[0; 8192], &[0xFF; 100_000], &foreign] {
        let dir = TempDir::new().unwrap();
        fs::write(database(dir.path()), content).unwrap();
        let (spool, recovered) = open(dir.path());
        assert_eq!(fs::read(recovered.set_aside.unwrap()).unwrap(), content);
        assert_eq!(recovered.corrupt, Lost::default());
        store(&spool, vec![record("a", 1, 1, 10)]).await;
    }
}

#[tokio::test]
async fn damage_while_running_is_counted_but_not_for_what_the_caller_holds() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, (1..=9).map(|number| record("a", 1, number, 30_000)).collect()).await;
    spool.close().await.unwrap();
    let (spool, _) = open(dir.path());
    let held = spool.next(&lane("a"), None, 1).await.unwrap().records;
    // The first and the fourth record, wherever they are.
    let whole = fs::read(database(dir.path())).unwrap();
    let file = OpenOptions::new().write(true).open(database(dir.path())).unwrap();
    for number in [1, 4] {
        let part = &record("a", 1, number, 30_000).data[15_000..15_500];
        let start = whole.windows(part.len()).position(|window| window == part).unwrap();
        file.write_all_at(b"damaged", start as u64).unwrap();
    }
    let after = held[0].0;
    let next = spool.next(&lane("a"), Some(after), usize::MAX).await.unwrap();
    assert_eq!(keys(&next.records), [2, 3, 5, 6, 7, 8, 9].map(|number| (1, number)));
    assert_eq!(
        next.corrupt,
        Lost {
            records: 1,
            readings: 5
        }
    );
    assert_eq!(spool.records(), 7);
    spool.remove(vec![after]).await.unwrap();
    assert_eq!(spool.records(), 7);
    store(&spool, vec![record("a", 1, 10, 10)]).await;
    assert_eq!(all(&spool, "a").await.len(), 8);
}

#[tokio::test]
async fn an_interrupted_salvage_is_ended_or_begun_again() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 10)]).await;
    spool.close().await.unwrap();
    let salvaged = dir.path().join("spool.db.salvaged");
    // Stopped before the damaged file was moved: it is still in place.
    fs::write(&salvaged, b"left over").unwrap();
    fs::write(dir.path().join("spool.db.building"), b"left over").unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(spool.records(), 1);
    assert!(!salvaged.exists());
    spool.close().await.unwrap();
    // Stopped after it was moved, but its log was not.
    fs::rename(database(dir.path()), &salvaged).unwrap();
    fs::write(dir.path().join("spool.db-wal"), b"of the damaged one").unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(all(&spool, "a").await.len(), 1);
}
