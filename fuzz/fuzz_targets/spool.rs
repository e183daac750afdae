//! A spool whose file was written over here and there, and perhaps cut short: nothing panics, what comes out is what went
//! in, in order, each record once, and the spool goes on.
#![no_main]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use values::byte_size::ByteSize;
use delivery::record::{LaneKey, Record};
use spool::{Spool, WhenFull};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use wire::{Identity, ProducerId, Timestamp};

const LANES: [&str; 2] = ["16/03", "kitchen"];
const RECORDS: u64 = 24;
const MIB: u32 = 64;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("it needs nothing"));
/// A whole spool: the database, and the log beside it as a power cut leaves both.
static WHOLE: LazyLock<[(&str, Vec<u8>); 2]> = LazyLock::new(|| {
    let dir = directory();
    let spool = open(dir.path());
    RUNTIME.block_on(async {
        for number in 1..=RECORDS {
            assert!(spool.append(vec![record(number)]).await.refused.is_none());
        }
        let next = spool.next(&lane(1), None, 1).await.expect("it is whole");
        spool.remove(vec![next.records[0].0]).await.expect("it is there");
    });
    ["spool.db", "spool.db-wal"].map(|name| (name, fs::read(dir.path().join(name)).expect("it was written")))
});

/// In memory: a file is written at each turn.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm").expect("there is memory left")
}

fn lane(index: usize) -> Arc<LaneKey> {
    let start = index as u128 * 5_000;
    Arc::new(LaneKey {
        name: LANES[index].into(),
        slice: start..=start + 999,
    })
}

/// The record of a number: its bytes follow from it.
fn record(number: u64) -> Record {
    let size = if number % 3 == 0 { 3_000 } else { 90 } + number;
    Record {
        lane: lane((number % 2) as usize),
        identity: Identity {
            producer: ProducerId(7),
            number,
        },
        readings: number as u32,
        since: Timestamp::from_micros(1_700_000_000_000_000 + number as i64).expect("a time of this century"),
        data: (0..size).map(|index| (index * index + number) as u8).collect(),
        receipts: Vec::new(),
    }
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir, ByteSize::from_mebibytes(MIB), WhenFull::Block).expect("a damaged spool is set aside").0
}

/// Writes `damage` over the files: two bytes of where, one of which file and how much, then the bytes; so many make a hole.
fn write_over(dir: &Path, mut damage: &[u8]) {
    let files = ["spool.db", "spool.db-wal"].map(|name| OpenOptions::new().write(true).open(dir.join(name)));
    let files = files.map(|file| file.expect("it was written"));
    while let [high, low, kind, rest @ ..] = damage {
        let index = usize::from(kind >> 7);
        let length = WHOLE[index].1.len() as u64;
        let place = (u64::from(*high) << 8 | u64::from(*low)) * 3 % length;
        let take = usize::from(kind & 0x3F).min(rest.len());
        match kind & 0x40 {
            0 => files[index].write_all_at(&rest[..take], place),
            _ => files[index].set_len(place),
        }
        .expect("there is memory left");
        damage = &rest[take..];
    }
}

fuzz_target!(|damage: &[u8]| {
    let dir = directory();
    for (name, bytes) in &*WHOLE {
        fs::write(dir.path().join(name), bytes).expect("there is memory left");
    }
    write_over(dir.path(), damage);
    let spool = open(dir.path());
    RUNTIME.block_on(async {
        let mut found = 0;
        for index in 0..LANES.len() {
            let next = spool.next(&lane(index), None, usize::MAX).await.expect("what is damaged is passed over");
            found += next.records.len() as u64;
            let mut before = 0;
            for (_, got) in &next.records {
                let number = got.identity.number;
                assert!(number > before && number <= RECORDS);
                before = number;
                let put = record(number);
                assert_eq!(got.data, put.data);
                assert_eq!((&got.lane, got.readings, got.since), (&put.lane, put.readings, put.since));
            }
        }
        assert_eq!(spool.records(), found);
        let more = Record {
            identity: Identity {
                producer: ProducerId(8),
                number: 1,
            },
            ..record(1)
        };
        assert!(spool.append(vec![more]).await.refused.is_none());
        spool.close().await.expect("nothing is in its way");
        assert_eq!(open(dir.path()).records(), found + 1);
    });
});
