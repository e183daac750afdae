//! Cuts the power at every write, sync, truncation, renaming and removal that the spool makes.
//!
//! A workload runs under strace; its progress reports appear in the trace between its system calls. For each of these
//! points the disk is rebuilt as a power cut may leave it, and a spool opened on it must keep everything guaranteed by
//! then.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod history;
mod power_cut;
mod trace;
mod workload;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use self::history::History;
use self::power_cut::Disk;
use self::trace::Event;
use self::workload::{LANES, SESSIONS};
use super::Lost;
use super::tests::{lane, open, record, store};

/// How many disks are built for every point; `make chaos` uses a hundred. By default, one disk for every third point.
const SEEDS: &str = "TEMP_INGEST_CRASH_SEEDS";

#[tokio::test]
async fn child() {
    workload::run_as_asked().await;
}

#[test]
fn a_power_cut_at_any_point_breaks_no_promise() {
    let seeds = env::var(SEEDS).ok().map(|seeds| seeds.parse().unwrap());
    let (seeds, every) = seeds.map_or((1, 3), |seeds| (seeds, 1));
    let events = traced_workload();
    let history = History::of(&events);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (events, history) = (&events, &history);
            scope.spawn(move || cut_at_each(events, history, seeds, (thread * every, threads * every)));
        }
    });
    let kinds = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let (writes, syncs) = (
        kinds(|event| matches!(event, Event::Write { .. })),
        kinds(|event| matches!(event, Event::Sync(_) | Event::SyncDir)),
    );
    let others = kinds(|event| !matches!(event, Event::Said(_))) - writes - syncs;
    writeln!(
        io::stderr(),
        "the power failed at {writes} writes, {syncs} syncs and {others} truncations, creations, renamings and \
         removals, {seeds} times at one in {every} of them; {} records were promised",
        history.promised()
    )
    .unwrap();
    // The workload really did what makes this test meaningful.
    assert!(writes > 500 && syncs > 50 && others > 20 && history.promised() > 150);
    for (what, times) in history.counts() {
        assert!(times > 0, "nothing was ever {what}");
    }
}

/// One spool through all sessions, each a process under strace, two of them after damage.
fn traced_workload() -> Vec<Event> {
    let dir = TempDir::new().unwrap();
    let spool = dir.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let mut events = Vec::new();
    for (index, session) in SESSIONS.iter().enumerate() {
        if let Some((hundredths, length)) = session.after_damage {
            let file = File::options().write(true).open(spool.join("spool.db")).unwrap();
            let at = file.metadata().unwrap().len() / 100 * hundredths;
            let bytes = vec![0xA5; length];
            file.write_all_at(&bytes, at).unwrap();
            events.push(Event::Said("damage".to_owned()));
            events.push(Event::Write {
                name: "spool.db".to_owned(),
                at,
                bytes,
            });
            events.push(Event::Sync("spool.db".to_owned()));
        }
        events.extend(trace::of_session(index, &spool, dir.path()));
    }
    events
}

/// Builds disks for every point of this thread (the first one, and the step to the next), and opens a spool on each.
fn cut_at_each(events: &[Event], history: &History, seeds: u64, (first, every): (usize, usize)) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut disk = Disk::default();
    for (point, event) in events.iter().enumerate() {
        disk.apply(event);
        if point % every != first || matches!(event, Event::Said(_)) {
            continue;
        }
        for seed in 0..seeds {
            // In memory if possible: a sync costs nothing there.
            let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(((point as u64) << 32) + seed);
            disk.cut(&mut rng, dir.path());
            let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(keeps_promises(dir.path(), history, point + 1, &mut rng));
            }));
            assert!(kept.is_ok(), "after event {point}, {event}, seed {seed}");
        }
    }
}

/// Opens what the power cut left: everything guaranteed is there, in order, byte for byte, and nothing else.
async fn keeps_promises(dir: &Path, history: &History, point: usize, rng: &mut ChaCha8Rng) {
    let (spool, recovered) = open(dir);
    let (may_be_damaged, was_salvaged) = history.damage(point);
    assert!(
        may_be_damaged || recovered.set_aside.is_none(),
        "a power cut is no damage"
    );
    let aside = fs::read_dir(dir).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("spool.db.corrupt-")
    });
    assert!(!was_salvaged || aside.count() > 0, "the damaged file is kept");
    let mut found = 0;
    for name in LANES {
        let next = spool.next(&lane(name), None, usize::MAX).await.unwrap();
        assert!(may_be_damaged || next.corrupt == Lost::default(), "{:?}", next.corrupt);
        let numbers: Vec<_> = next.records.iter().map(|(_, record)| record.identity.number).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{name}: {numbers:?}");
        for (_, record) in &next.records {
            history.expect(record, point);
        }
        for number in history.required(name, point) {
            assert!(numbers.contains(&number), "{number} is lost from {name}: {numbers:?}");
        }
        found += numbers.len() as u64;
    }
    assert_eq!(spool.records(), found);
    let counted: u64 = recovered.lanes.iter().map(|lane| lane.records).sum();
    // Damage within a record is noticed when it is read.
    assert!(
        may_be_damaged || counted == found,
        "it said {counted} at the opening, and {found} are in it"
    );
    // It still works.
    let lane = lane(LANES[rng.random_range(0..LANES.len())]);
    store(&spool, vec![record(&lane.name, 999, 999_999, 300)]).await;
    let next = spool.next(&lane, None, usize::MAX).await.unwrap();
    assert_eq!(next.records.last().unwrap().1.identity.number, 999_999);
}
