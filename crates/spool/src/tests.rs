//! The spool's guarantees, one by one, and the helpers that the other tests share.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use delivery::spool::Refused;
use simulate::{Fleet, Profile, Temperature};
use tempfile::TempDir;
use wire::aggregate::Aggregate;
use wire::{Form, Identity, ProducerId, json};

use super::*;

pub(super) const PLENTY: ByteSize = ByteSize::from_mebibytes(1024);

pub(super) fn lane(name: &str) -> Arc<LaneKey> {
    let start = name
        .bytes()
        .fold(7, |sum: u128, byte| sum.wrapping_mul(131) + u128::from(byte))
        >> 1;
    Arc::new(LaneKey {
        name: name.into(),
        slice: start..=start + 1000,
    })
}

/// A record whose bytes follow from its key, so that wrong bytes are noticed. Those of a house repeat and compress;
/// others do not.
pub(super) fn record(name: &str, producer: u64, number: u64, size: usize) -> Record {
    let seed = (producer ^ number << 32 ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Record {
        lane: lane(name),
        identity: Identity {
            producer: ProducerId(producer),
            number,
        },
        readings: (number % 300 + 1) as u32,
        since: Timestamp::from_micros(1_700_000_000_000_000 + number as i64).unwrap(),
        data: (1..=size as u64)
            .map(|index| {
                let index = if name.starts_with("house") {
                    index % 50 + index / 3_000
                } else {
                    index
                };
                let mixed = (seed ^ index).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                ((mixed ^ mixed >> 31).wrapping_mul(0x94D0_49BB_1331_11EB) >> 56) as u8
            })
            .collect(),
        receipts: Vec::new(),
    }
}

/// Full records of readings from this many simulated sensors. One of 16 lanes gets a sixteenth of a thousand.
pub(super) fn aggregates(name: &str, sensors: u32, records: u64) -> Vec<Record> {
    let plan = simulate::Plan {
        profile: Profile::Temperature(Temperature::HOUSE),
        sensors,
        interval_micros: 1_000_000,
        seed: 7,
        prefix: "house-".to_owned(),
        group: Some("house".to_owned()),
        faults_per_day: 24.0,
        form: Form::General,
        datatype: "temperature".to_owned(),
        unit: Some("°C".to_owned()),
        bounds: None,
        decimals: 2,
    };
    let start = Timestamp::from_micros(1_704_067_200_000_000).unwrap();
    let (mut fleet, mut labels) = (Fleet::new(&plan, start), Vec::new());
    let readings = std::iter::from_fn(|| fleet.step(&mut labels)).take(records as usize * 200);
    let lines: Vec<Vec<u8>> = readings
        .map(|reading| {
            let mut line = Vec::new();
            json::encode(&reading, None, &mut line);
            line
        })
        .collect();
    let mut lines = lines.iter().map(Vec::as_slice).peekable();
    let mut pack = |number| {
        let mut record = record(name, 1, number, 0);
        let mut aggregate = Aggregate::new(name, *record.lane.slice.start(), 25_595, record.identity);
        record.readings = 0;
        while let Some(line) = lines.next_if(|line| aggregate.fits(line.len())) {
            aggregate.push(line).unwrap();
            record.readings += 1;
        }
        record.data = aggregate.seal();
        record
    };
    (1..=records).map(&mut pack).collect()
}

pub(super) fn open(dir: &Path) -> (Spool, Recovered) {
    Spool::open(dir, PLENTY, WhenFull::Block).unwrap()
}

pub(super) async fn store(spool: &Spool, records: Vec<Record>) {
    let count = records.len();
    let appended = spool.append(records).await;
    assert!(appended.refused.is_none(), "{:?}", appended.refused.unwrap().error);
    assert_eq!(appended.stored.len(), count);
}

pub(super) fn why(refused: &Refused) -> &SpoolError {
    refused.error.downcast_ref().unwrap()
}

/// Everything in a lane, in order, checked against what was appended.
pub(super) async fn all(spool: &Spool, name: &str) -> Vec<(Position, Record)> {
    let found = unchecked(spool, name).await;
    for (_, got) in &found {
        let Identity { producer, number } = got.identity;
        let put = record(name, producer.0, number, got.data.len());
        assert_eq!(
            (&got.lane, got.readings, got.since),
            (&put.lane, put.readings, put.since)
        );
        assert_eq!(got.data, put.data);
    }
    found
}

pub(super) async fn unchecked(spool: &Spool, name: &str) -> Vec<(Position, Record)> {
    let lane = lane(name);
    let mut found: Vec<(Position, Record)> = Vec::new();
    loop {
        let after = found.last().map(|(position, _)| *position);
        let next = spool.next(&lane, after, 100_000).await.unwrap();
        if next.records.is_empty() {
            return found;
        }
        found.extend(next.records);
    }
}

pub(super) fn keys(records: &[(Position, Record)]) -> Vec<(u64, u64)> {
    records
        .iter()
        .map(|(_, record)| (record.identity.producer.0, record.identity.number))
        .collect()
}

#[tokio::test]
async fn records_come_out_by_generation_and_number() {
    let dir = TempDir::new().unwrap();
    let (spool, recovered) = open(dir.path());
    assert!(recovered.lanes.is_empty());
    store(&spool, vec![record("16/03", 9, 7, 300), record("16/03", 9, 8, 30_000)]).await;
    // Still in memory at shutdown, with numbers below those that went to the spool.
    store(&spool, vec![record("16/03", 9, 5, 100), record("16/04", 9, 1, 0)]).await;
    spool.close().await.unwrap();

    let (spool, recovered) = open(dir.path());
    let lanes: Vec<_> = recovered
        .lanes
        .iter()
        .map(|l| (&*l.lane.name, l.records, l.readings))
        .collect();
    assert_eq!(lanes, [("16/03", 3, 6 + 8 + 9), ("16/04", 1, 2)]);
    assert_eq!(recovered.lanes[0].lane, lane("16/03"));
    assert_eq!((spool.records(), spool.readings()), (4, 25));
    assert_eq!(spool.oldest_since(), Some(record("", 9, 1, 0).since));
    // A later start has a lower producer id here: the order of the starts counts.
    store(&spool, vec![record("16/03", 2, 1, 50)]).await;
    let found = all(&spool, "16/03").await;
    assert_eq!(keys(&found), [(9, 5), (9, 7), (9, 8), (2, 1)]);

    spool
        .remove(found.iter().map(|(position, _)| *position).take(2).collect())
        .await
        .unwrap();
    assert_eq!(keys(&all(&spool, "16/03").await), [(9, 8), (2, 1)]);
    drop(spool);
    let (spool, _) = open(dir.path());
    assert_eq!(keys(&all(&spool, "16/03").await), [(9, 8), (2, 1)]);
    assert_eq!(all(&spool, "16/05").await.len(), 0);
}

#[tokio::test]
async fn next_stops_at_its_bytes_but_gives_one() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, (1..=5).map(|number| record("a", 1, number, 1000)).collect()).await;
    let lane = lane("a");
    let first = spool.next(&lane, None, 2500).await.unwrap().records;
    assert_eq!(keys(&first), [(1, 1), (1, 2)]);
    assert!(Arc::ptr_eq(&first[0].1.lane, &lane));
    let second = spool.next(&lane, Some(first[1].0), 1).await.unwrap().records;
    assert_eq!(keys(&second), [(1, 3)]);
}

#[tokio::test]
async fn a_record_is_stored_once() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 10)]).await;
    store(&spool, vec![record("a", 1, 1, 10), record("a", 1, 2, 10)]).await;
    assert_eq!(spool.records(), 2);
    assert_eq!(all(&spool, "a").await.len(), 2);
}

#[tokio::test]
async fn a_directory_belongs_to_one_spool() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    let error = Spool::open(dir.path(), PLENTY, WhenFull::Block).unwrap_err();
    assert!(matches!(error, SpoolError::InUse { .. }));
    assert!(error.to_string().contains("spool.dir"), "{error}");
    spool.close().await.unwrap();
    drop(open(dir.path()));
}

#[tokio::test]
async fn after_its_end_every_call_says_so() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    spool.close().await.unwrap();
    let refused = spool.append(vec![record("a", 1, 1, 10)]).await.refused.unwrap();
    assert!(why(&refused).is_fatal());
    assert_eq!(refused.records.len(), 1);
    assert!(spool.next(&lane("a"), None, 1).await.unwrap_err().is_fatal());
    assert!(spool.remove(Vec::new()).await.unwrap_err().is_fatal());
    assert!(spool.close().await.unwrap_err().is_fatal());
}

#[tokio::test]
async fn a_full_spool_that_blocks_stores_the_first_and_gives_back_the_rest() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = Spool::open(dir.path(), ByteSize::from_bytes(4000), WhenFull::Block).unwrap();
    let appended = spool
        .append((1..=5).map(|number| record("a", 1, number, 1000)).collect())
        .await;
    assert_eq!(appended.stored.len(), 3);
    let refused = appended.refused.unwrap();
    assert!(matches!(why(&refused), SpoolError::Full { .. }));
    assert!(
        refused.error.to_string().contains("spool.max_bytes"),
        "{}",
        refused.error
    );
    let numbers: Vec<_> = refused.records.iter().map(|record| record.identity.number).collect();
    assert_eq!(numbers, [4, 5]);
    assert_eq!(appended.dropped, Lost::default());
    // Nothing after a rejected record is stored, even if it would fit.
    let appended = spool.append(vec![record("a", 1, 6, 1000), record("a", 1, 7, 0)]).await;
    assert_eq!(appended.stored.len(), 0);
    assert!(spool.bytes() <= 4000);

    let found = all(&spool, "a").await;
    spool.remove(vec![found[0].0]).await.unwrap();
    store(&spool, refused.records.into_iter().take(1).collect()).await;
    assert_eq!(keys(&all(&spool, "a").await), [(1, 2), (1, 3), (1, 4)]);
}

#[tokio::test]
async fn a_full_spool_that_drops_gives_up_the_oldest_that_nobody_holds() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = Spool::open(dir.path(), ByteSize::from_bytes(4000), WhenFull::DropOldest).unwrap();
    store(&spool, (1..=3).map(|number| record("a", 1, number, 1000)).collect()).await;
    let held = spool.next(&lane("a"), None, 1).await.unwrap().records;
    assert_eq!(keys(&held), [(1, 1)]);
    let appended = spool.append(vec![record("a", 1, 4, 1000)]).await;
    assert!(appended.refused.is_none());
    assert_eq!(
        appended.dropped,
        Lost {
            records: 1,
            readings: 3
        }
    );
    assert_eq!(keys(&all(&spool, "a").await), [(1, 1), (1, 3), (1, 4)]);
    // Now every record is held, so none can be dropped.
    let appended = spool.append(vec![record("a", 1, 5, 1000)]).await;
    assert!(matches!(why(&appended.refused.unwrap()), SpoolError::Full { .. }));
    assert_eq!(appended.dropped, Lost::default());
    // A record that could never fit drops nothing.
    spool
        .remove(all(&spool, "a").await.iter().map(|(position, _)| *position).collect())
        .await
        .unwrap();
    store(&spool, vec![record("a", 1, 6, 1000)]).await;
    let appended = spool.append(vec![record("a", 1, 7, 4000)]).await;
    assert_eq!((appended.stored.len(), appended.dropped), (0, Lost::default()));
}

#[tokio::test]
async fn a_full_disk_stores_what_it_can_and_takes_more_after_a_removal() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 25_000)]).await;
    spool.send(Command::LimitPages(60)).unwrap();
    let appended = spool
        .append((2..=40).map(|number| record("a", 1, number, 25_000)).collect())
        .await;
    let refused = appended.refused.unwrap();
    assert!(
        matches!(why(&refused), SpoolError::DiskFull { .. }),
        "{:?}",
        refused.error
    );
    assert!(refused.error.to_string().contains("free space"), "{}", refused.error);
    let stored = appended.stored.len();
    assert!(stored >= 10, "{stored} stored");
    assert_eq!(stored + refused.records.len(), 39);
    let found = all(&spool, "a").await;
    assert_eq!(found.len(), stored + 1);
    assert_eq!(spool.records(), stored as u64 + 1);

    spool
        .remove(found[..5].iter().map(|(position, _)| *position).collect())
        .await
        .unwrap();
    let appended = spool.append(refused.records).await;
    assert!(appended.stored.len() >= 4, "{} stored", appended.stored.len());
    let total = spool.records();
    drop(spool);
    let (spool, recovered) = open(dir.path());
    assert_eq!(spool.records(), total);
    assert!(recovered.set_aside.is_none());
}

/// Removing a record needs room too; without a reserve a full disk could never be emptied.
#[tokio::test]
async fn a_disk_that_has_little_left_is_left_alone_but_for_removals() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, (1..=9).map(|number| record("a", 1, number, 25_000)).collect()).await;
    spool.send(Command::DiskSeemsFull(true)).unwrap();
    let refused = spool.append(vec![record("a", 1, 10, 10)]).await.refused.unwrap();
    assert!(
        matches!(why(&refused), SpoolError::DiskFull { .. }),
        "{:?}",
        refused.error
    );
    let held = all(&spool, "a").await;
    spool
        .remove(held.iter().map(|(position, _)| *position).collect())
        .await
        .unwrap();
    assert_eq!(spool.records(), 0);
    spool.send(Command::DiskSeemsFull(false)).unwrap();
    store(&spool, refused.records).await;
    assert_eq!(keys(&all(&spool, "a").await), [(1, 10)]);
}

/// Removed records left room in the database, and the log already has its largest size.
#[tokio::test]
async fn a_full_disk_takes_what_fits_in_the_room_of_removed_records() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, (1..=120).map(|number| record("a", 1, number, 25_000)).collect()).await;
    let held = all(&spool, "a").await;
    spool
        .remove(held[..100].iter().map(|(position, _)| *position).collect())
        .await
        .unwrap();
    spool.send(Command::DiskSeemsFull(true)).unwrap();
    store(
        &spool,
        (121..=160).map(|number| record("a", 1, number, 25_000)).collect(),
    )
    .await;
    let more = (161..=240).map(|number| record("a", 1, number, 25_000)).collect();
    assert!(spool.append(more).await.refused.is_some());
    let kept = keys(&all(&spool, "a").await);
    assert!(kept.starts_with(&(101..=160).map(|number| (1, number)).collect::<Vec<_>>()));
}

#[tokio::test]
async fn a_full_disk_drops_the_oldest_where_that_is_the_policy() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = Spool::open(dir.path(), PLENTY, WhenFull::DropOldest).unwrap();
    store(&spool, (1..=10).map(|number| record("a", 1, number, 25_000)).collect()).await;
    spool.send(Command::LimitPages(60)).unwrap();
    let mut dropped = 0;
    for number in 11..=40 {
        let appended = spool.append(vec![record("a", 1, number, 25_000)]).await;
        assert!(appended.refused.is_none(), "{:?}", appended.refused.unwrap().error);
        dropped += appended.dropped.records;
    }
    assert!(dropped > 20, "{dropped} dropped");
    let found = keys(&all(&spool, "a").await);
    let kept: Vec<_> = (dropped + 1..=40).map(|number| (1, number)).collect();
    assert_eq!(found, kept);
}

#[tokio::test]
async fn an_emptied_spool_gives_its_room_back() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    let database = dir.path().join("spool.db");
    for round in 0..8 {
        store(
            &spool,
            (1..=100).map(|number| record("a", round, number, 25_000)).collect(),
        )
        .await;
    }
    let found = all(&spool, "a").await;
    spool
        .remove(found.iter().map(|(position, _)| *position).collect())
        .await
        .unwrap();
    assert!(fs::metadata(&database).unwrap().len() < 1 << 20);
    assert_eq!((spool.bytes(), spool.readings(), spool.oldest_since()), (0, 0, None));
    store(&spool, vec![record("a", 9, 1, 25_000)]).await;
    assert_eq!(all(&spool, "a").await.len(), 1);
}

#[tokio::test]
async fn rooms_of_removed_records_are_used_again() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, (1..=40).map(|number| record("a", 1, number, 25_000)).collect()).await;
    let mut from = None;
    for number in 41..=400 {
        store(&spool, vec![record("a", 1, number, 25_000)]).await;
        let next = spool.next(&lane("a"), from, 1).await.unwrap().records;
        from = Some(next[0].0);
        spool.remove(vec![next[0].0]).await.unwrap();
    }
    let files = fs::read_dir(dir.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 14 << 20, "{bytes} bytes for 1 MB of records and the log");
    assert_eq!(spool.records(), 40);
}

/// A limit in bytes holds on disk whatever the size of the records, and they come back bit for bit.
#[tokio::test]
async fn a_record_counts_what_it_takes_on_disk() {
    let plain = |size| {
        (1..=1_000_000 / (size as u64 + 100))
            .map(|number| record("16/03", u64::MAX / 3, number, size))
            .collect()
    };
    let packed = aggregates("16/03", 62, 400);
    for records in [
        packed,
        plain(100),
        plain(1_600),
        plain(5_000),
        plain(9_000),
        plain(25_595),
    ] {
        let dir = TempDir::new().unwrap();
        let (spool, _) = open(dir.path());
        store(&spool, records.clone()).await;
        let counted = spool.bytes();
        spool.close().await.unwrap();
        let on_disk = fs::metadata(dir.path().join("spool.db")).unwrap().len();
        let size = records[0].data.len();
        // Apart from rows there are at least five pages.
        let difference = on_disk.saturating_sub(5 * 8192).abs_diff(counted);
        assert!(
            difference < counted / 20,
            "{on_disk} on disk, {counted} counted, {size} a record"
        );
        let (spool, _) = open(dir.path());
        assert_eq!(spool.bytes(), counted);
        let next = spool.next(&records[0].lane, None, usize::MAX).await.unwrap();
        let put: Vec<_> = records.iter().map(|record| (record.identity, &record.data)).collect();
        let got: Vec<_> = next
            .records
            .iter()
            .map(|(_, record)| (record.identity, &record.data))
            .collect();
        assert!(got == put, "{size} a record");
        let positions = next.records.iter().map(|(position, _)| *position).collect();
        spool.remove(positions).await.unwrap();
        assert_eq!((spool.bytes(), spool.records()), (0, 0));
    }
}

/// Prints the speed; the time is not asserted.
#[tokio::test]
async fn appends_that_queue_share_commits() {
    const LANES: u64 = 16;
    const RECORDS: u64 = 60;
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    let spool = Arc::new(spool);
    let records: Vec<Vec<_>> = (0..LANES)
        .map(|lane| aggregates(&format!("16/{lane:02}"), 62, RECORDS))
        .collect();
    let readings: u32 = records.iter().flatten().map(|record| record.readings).sum();
    let began = std::time::Instant::now();
    let lanes: Vec<_> = records
        .into_iter()
        .map(|records| {
            let spool = Arc::clone(&spool);
            tokio::spawn(async move {
                for record in records {
                    store(&spool, vec![record]).await;
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(spool.records(), LANES * RECORDS);
    let rate = f64::from(readings) / seconds;
    writeln!(io::stderr(), "{rate:.0} readings/s in records of 25 kB").unwrap();
}
