//! The workload under strace: every operation of a spool, announced before the call and reported after its answer.

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use delivery::record::Record;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use values::byte_size::ByteSize;

use super::super::command::Command;
use super::super::tests::{PLENTY, all, lane, record};
use super::super::{Spool, WhenFull};

pub(super) const DIR: &str = "TEMP_INGEST_TEST_CRASH_DIR";
pub(super) const SAID: &str = "TEMP_INGEST_TEST_CRASH_SAID";
pub(super) const SESSION: &str = "TEMP_INGEST_TEST_CRASH_SESSION";

pub(super) const LANES: [&str; 3] = ["16/00", "16/07", "house-kitchen-sensor"];
/// The numbers of a session's records start at this multiple of its index, which keeps all records in order.
pub(super) const NUMBERS: u64 = 10_000;
const LITTLE: ByteSize = ByteSize::from_bytes(70_000);
const STEPS: u32 = 16;

/// One process that uses the spool.
pub(super) struct Session {
    max_bytes: ByteSize,
    when_full: WhenFull,
    end: End,
    /// The file shrinks if the session empties the spool from time to time.
    drains: bool,
    /// The damage done to the database before the session.
    pub after_damage: Option<Damage>,
}

/// Where the database is overwritten, in hundredths of the file, and with how many bytes.
pub(super) type Damage = (u64, usize);

#[derive(PartialEq)]
enum End {
    Close,
    Drop,
    /// As after a kill: nothing is cleaned up.
    Exit,
}

const fn session(max_bytes: ByteSize, when_full: WhenFull, end: End) -> Session {
    Session {
        max_bytes,
        when_full,
        end,
        drains: false,
        after_damage: None,
    }
}

pub(super) const SESSIONS: [Session; 7] = [
    session(PLENTY, WhenFull::Block, End::Exit),
    session(LITTLE, WhenFull::Block, End::Close),
    session(LITTLE, WhenFull::DropOldest, End::Exit),
    Session {
        drains: true,
        ..session(PLENTY, WhenFull::Block, End::Drop)
    },
    session(PLENTY, WhenFull::Block, End::Close),
    // The header, which holds no record.
    Session {
        after_damage: Some((0, 60)),
        ..session(PLENTY, WhenFull::Block, End::Exit)
    },
    // Records, which the log of the previous session may hold too.
    Session {
        after_damage: Some((50, 40_000)),
        ..session(PLENTY, WhenFull::Block, End::Exit)
    },
];

/// Runs the session that the environment names; does nothing without one.
pub(super) async fn run_as_asked() {
    let (Ok(dir), Ok(said), Ok(index)) = (env::var(DIR), env::var(SAID), env::var(SESSION)) else {
        return;
    };
    let index: usize = index.parse().unwrap();
    let session = &SESSIONS[index];
    let mut user = User::open(session, index as u64, dir.as_ref(), said.as_ref()).await;
    for step in 0..STEPS {
        match user.rng.random_range(0..10) {
            _ if session.drains && step % 8 == 7 => while user.remove_some(true).await {},
            0..=5 => user.append().await,
            _ => drop(user.remove_some(false).await),
        }
    }
    match session.end {
        End::Exit => std::process::exit(0),
        End::Drop => drop(user.spool),
        End::Close => {
            user.spool.close().await.unwrap();
            user.said.write_all(b"closed\n").unwrap();
        }
    }
}

struct User {
    spool: Spool,
    said: File,
    rng: ChaCha8Rng,
    producer: u64,
    number: u64,
}

impl User {
    async fn open(session: &Session, index: u64, dir: &Path, said: &Path) -> Self {
        let said = File::create(said).unwrap();
        let (spool, _) = Spool::open(dir, session.max_bytes, session.when_full).unwrap();
        // So that the log is copied back often, and a small file counts as large.
        spool.send(Command::KeepSmall).unwrap();
        let mut user = Self {
            spool,
            said,
            rng: ChaCha8Rng::seed_from_u64(index),
            // Not in the order of the starts, which is the order the spool uses.
            producer: 100 - index,
            number: index * NUMBERS,
        };
        let mut there = Vec::new();
        if session.after_damage.is_some() {
            for name in LANES {
                let records = all(&user.spool, name).await;
                there.extend(records.iter().map(|(_, record)| record.identity.number));
            }
        }
        user.say("opened", there);
        user
    }

    fn say(&mut self, what: &str, numbers: impl IntoIterator<Item = u64>) {
        let words: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
        // In one call, so that strace shows one line.
        self.said
            .write_all(format!("{what} {}\n", words.join(" ")).as_bytes())
            .unwrap();
    }

    fn record(&mut self) -> Record {
        self.number += 1;
        let lane = LANES[self.rng.random_range(0..LANES.len())];
        let size = if self.rng.random_bool(0.7) {
            self.rng.random_range(0..200)
        } else {
            self.rng.random_range(7_000..18_000)
        };
        record(lane, self.producer, self.number, size)
    }

    /// Several concurrent appends, which the spool may put into one transaction.
    async fn append(&mut self) {
        let mut appends = Vec::new();
        for _ in 0..self.rng.random_range(1..=3) {
            let records: Vec<_> = (0..self.rng.random_range(1..=4)).map(|_| self.record()).collect();
            appends.push(records);
        }
        for record in appends.iter().flatten() {
            let (number, bytes) = (record.identity.number, record.data.len());
            let line = format!(
                "record {number} {} {} {bytes}\n",
                record.lane.name, record.identity.producer.0
            );
            self.said.write_all(line.as_bytes()).unwrap();
        }
        let numbers: Vec<_> = appends.iter().flatten().map(|record| record.identity.number).collect();
        self.say("append", numbers);
        let mut appends = appends.into_iter().map(|records| self.spool.append(records));
        let (one, two, three) = (appends.next(), appends.next(), appends.next());
        drop(appends);
        let answers = tokio::join!(maybe(one), maybe(two), maybe(three));
        let (mut stored, mut dropped) = (Vec::new(), 0);
        for appended in [answers.0, answers.1, answers.2].into_iter().flatten() {
            stored.extend(appended.stored.iter().map(|record| record.identity.number));
            dropped += appended.dropped.records;
        }
        self.say("stored", stored);
        self.say("dropped", [dropped]);
    }

    /// Removes records of a lane: some of the next ones, or `all` records of every lane. `false` if there are none.
    async fn remove_some(&mut self, all: bool) -> bool {
        let start = self.rng.random_range(0..LANES.len());
        let mut taken = Vec::new();
        for index in 0..LANES.len() {
            let lane = lane(LANES[(start + index) % LANES.len()]);
            let bytes = self.rng.random_range(1..40_000);
            let next = self.spool.next(&lane, None, bytes).await.unwrap().records;
            self.say("held", next.iter().map(|(_, record)| record.identity.number));
            let part = if all {
                next.len()
            } else {
                self.rng.random_range(0..=next.len())
            };
            taken.extend(next.into_iter().take(part));
            if !all {
                break;
            }
        }
        self.say("remove", taken.iter().map(|(_, record)| record.identity.number));
        let positions: Vec<_> = taken.iter().map(|(position, _)| *position).collect();
        self.spool.remove(positions).await.unwrap();
        self.say("removed", []);
        !taken.is_empty()
    }
}

async fn maybe<T>(future: Option<impl Future<Output = T>>) -> Option<T> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}
