//! The thread that owns the database: groups commands into transactions, and handles a full or damaged database.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use delivery::record::LaneKey;
use delivery::spool::{Appended, Lost, Next, Position, Recovered};
use tokio::sync::oneshot;
use tracing::{debug, warn};
use values::byte_size::ByteSize;

use super::command::{Command, Group, Reply};
use super::disk::{self, Disk};
use super::error::Fault;
use super::lock::DirectoryLock;
use super::packed::{Packed, Packer};
use super::salvage::{self, Opened};
use super::store::{Live, Numbering, Store, Weight, damaged, no_room, wal_of};
use super::{Gauges, SpoolError, WhenFull};

/// A transaction accepts no further command once it holds this many bytes, so that no caller waits long for its commit.
const GROUP_BYTES: u64 = 8 << 20;
/// Consecutive commits of removals without a sync.
const UNSYNCED_COMMITS: u32 = 63;
/// Disk space that an empty spool keeps.
const KEPT_FILE_BYTES: u64 = 16 << 20;

pub(super) struct Worker {
    dir: PathBuf,
    path: PathBuf,
    max_bytes: ByteSize,
    when_full: WhenFull,
    /// `None` while a damaged database waits to be salvaged.
    store: Option<Store>,
    numbering: Numbering,
    /// What the database holds.
    live: Live,
    /// Rows held by callers of `next`, which are never dropped to make room.
    taken: HashMap<i64, Weight>,
    taken_bytes: u64,
    /// Rows to delete in the next transaction.
    removals: BTreeSet<i64>,
    /// Records found damaged and not yet reported to a caller.
    corrupt: Lost,
    unsynced: u32,
    packer: Packer,
    /// An empty database file larger than this is shrunk.
    kept_file_bytes: u64,
    #[cfg(test)]
    disk_seems_full: bool,
    gauges: Arc<Gauges>,
    _lock: DirectoryLock,
}

/// What a transaction did with a record.
#[derive(Default)]
struct Outcome {
    /// Written; otherwise it does not fit, or an earlier record of the same append did not.
    stored: bool,
    /// Dropped to make room for it.
    dropped: Lost,
}

impl Worker {
    pub fn open(
        dir: &Path,
        max_bytes: ByteSize,
        when_full: WhenFull,
        gauges: Arc<Gauges>,
    ) -> Result<(Self, Recovered), SpoolError> {
        fs::create_dir_all(dir).map_err(|error| SpoolError::io("making the folder of", dir, error))?;
        let lock = DirectoryLock::acquire(dir)?;
        let Opened {
            store,
            census,
            corrupt,
            set_aside,
        } = salvage::open(dir)?;
        let worker = Self {
            dir: dir.to_owned(),
            path: salvage::database(dir),
            max_bytes,
            when_full,
            store: Some(store),
            numbering: census.numbering,
            live: census.live,
            taken: HashMap::new(),
            taken_bytes: 0,
            removals: BTreeSet::new(),
            corrupt: Lost::default(),
            unsynced: 0,
            packer: Packer::new(),
            kept_file_bytes: KEPT_FILE_BYTES,
            #[cfg(test)]
            disk_seems_full: false,
            gauges,
            _lock: lock,
        };
        worker.show();
        let recovered = Recovered {
            lanes: census.lanes,
            corrupt,
            set_aside,
        };
        Ok((worker, recovered))
    }

    /// Serves commands until it is closed or the last sender is dropped.
    pub fn run(mut self, queue: &Receiver<Command>) {
        while let Ok(command) = queue.recv() {
            let mut group = Group::default();
            self.add(&mut group, command);
            while group.bytes < GROUP_BYTES
                && group.close.is_none()
                && let Ok(command) = queue.try_recv()
            {
                self.add(&mut group, command);
            }
            if let Some(reply) = self.serve(group) {
                let closed = self.close();
                // Only now is the directory free for another process.
                drop(self);
                let _ = reply.send(closed);
                return;
            }
        }
        if let Err(error) = self.close() {
            warn!(%error, "closing the spool");
        }
    }

    fn add(&mut self, group: &mut Group, command: Command) {
        match command {
            Command::Append { records, reply } => {
                let index = group.appends.len();
                group.appends.push((Appended::default(), reply));
                group.bytes += records.iter().map(|record| record.bytes() as u64).sum::<u64>();
                let packed = records.into_iter().map(|record| (index, self.packer.pack(record)));
                group.records.extend(packed);
            }
            Command::Next(reader) => group.readers.push(reader),
            Command::Remove { positions, reply } => {
                self.removals.extend(positions.iter().map(|position| position.row));
                group.removers.push(reply);
            }
            Command::Close { reply } => group.close = Some(reply),
            #[cfg(test)]
            Command::DiskSeemsFull(full) => self.disk_seems_full = full,
            #[cfg(test)]
            Command::LimitPages(pages) => {
                if let Some(store) = &self.store {
                    store.limit_pages(pages).expect("a page limit is always accepted");
                }
            }
            #[cfg(test)]
            Command::KeepSmall => {
                self.kept_file_bytes = 1 << 17;
                if let Some(store) = &self.store {
                    store.limit_log(24).expect("a limit of the log is always accepted");
                }
            }
        }
    }

    /// Writes first and answers the writers, then reads: no caller gets a record that is not committed.
    fn serve(&mut self, mut group: Group) -> Option<Reply<()>> {
        let written = self.write(&mut group.records, &mut group.appends);
        self.shrink();
        self.show();
        // A caller that stopped waiting has dropped its records with its future.
        for (mut appended, reply) in group.appends {
            appended.corrupt = std::mem::take(&mut self.corrupt);
            let _ = reply.send(appended);
        }
        for reply in group.removers {
            let _ = reply.send(match &written {
                Ok(()) => Ok(std::mem::take(&mut self.corrupt)),
                Err(error) => Err(error.clone()),
            });
        }
        for reader in group.readers {
            let next = self.read(&reader.lane, reader.after, reader.max_bytes);
            let _ = reader.reply.send(next);
        }
        group.close
    }

    // ----- Writing -----

    /// Commits the removals and as many records as fit. The error is that of the removals.
    fn write(
        &mut self,
        records: &mut VecDeque<(usize, Packed)>,
        appends: &mut [(Appended, oneshot::Sender<Appended>)],
    ) -> Result<(), SpoolError> {
        let mut at_once = records.len();
        let mut refusing = None;
        let (mut disk, mut repaired) = (Disk::Roomy, false);
        while !(records.is_empty() && self.removals.is_empty()) {
            let count = at_once.min(records.len());
            let batch: Vec<_> = records.iter().take(count).collect();
            let error = match self.transact(&batch, &mut refusing, disk) {
                Ok(outcomes) => {
                    for (outcome, (index, packed)) in outcomes.into_iter().zip(records.drain(..count)) {
                        let appended = &mut appends[index].0;
                        appended.dropped.add(outcome.dropped);
                        if outcome.stored {
                            appended.stored.push(packed.record);
                        } else {
                            appended.refuse(packed.record, || self.full(disk));
                        }
                    }
                    at_once = at_once.max(1);
                    disk = Disk::Roomy;
                    continue;
                }
                Err(error) => error,
            };
            let error = match Fault::of(&error) {
                Fault::Damaged if !repaired => {
                    repaired = true;
                    match self.repair(&error.to_string()) {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Fault::DiskFull if self.press(&mut disk) => continue,
                // Half of them may fit, and removing some makes room.
                Fault::DiskFull if count > 0 => {
                    at_once = count / 2;
                    if at_once > 0 || !self.removals.is_empty() {
                        continue;
                    }
                    SpoolError::sqlite("writing", &self.path, error)
                }
                _ => SpoolError::sqlite("writing", &self.path, error),
            };
            for (index, packed) in records.drain(..) {
                appends[index].0.refuse(packed.record, || error.clone());
            }
            // Removals that fail on a full disk are retried with every later transaction.
            return match error {
                SpoolError::DiskFull { .. } => Ok(()),
                error => Err(error),
            };
        }
        Ok(())
    }

    /// Deletes the removals and writes records in one transaction: everything, or nothing and an error. Once a record
    /// does not fit, neither does the rest of its append, whose index is kept in `refusing`.
    fn transact(
        &mut self,
        records: &[&(usize, Packed)],
        refusing: &mut Option<usize>,
        disk: Disk,
    ) -> rusqlite::Result<Vec<Outcome>> {
        let store = self.store.as_ref().ok_or_else(|| damaged("it waits to be salvaged"))?;
        let synced = !records.is_empty() || self.unsynced >= UNSYNCED_COMMITS;
        let mut limit = self.max_bytes.as_bytes();
        if !records.is_empty() {
            let bytes: u64 = records.iter().map(|(_, packed)| packed.cost()).sum();
            // Three quarters, because pages are not completely filled.
            let in_place = store.reusable_bytes()? / 4 * 3;
            // Everything is written to the log first, and the log will be copied into the database later.
            if let Disk::InPlace { .. } = disk {
                limit = limit.min(self.live.bytes + in_place);
            }
            if self.free_bytes() < disk.needed_bytes(bytes, self.log_bytes(), in_place) {
                return Err(no_room());
            }
        }
        let transaction = store.begin(synced)?;
        let mut live = self.live;
        let mut refused = *refusing;
        for &id in &self.removals {
            if let Some(weight) = store.delete(id)? {
                live.subtract(weight);
            }
        }
        let mut outcomes = Vec::with_capacity(records.len());
        for (append, packed) in records {
            let mut outcome = Outcome::default();
            if refused != Some(*append) {
                // How many bytes may stay besides it; `None` if it could never fit.
                let room = limit.checked_sub(packed.cost());
                if let Some(room) = room
                    && live.bytes > room
                    && self.when_full == WhenFull::DropOldest
                    && self.taken_bytes <= room
                {
                    outcome.dropped = self.make_room(store, &mut live, room)?;
                }
                if room.is_some_and(|room| live.bytes <= room) {
                    if let Some(weight) = store.append(&mut self.numbering, packed)? {
                        live.add(weight);
                    }
                    outcome.stored = true;
                } else {
                    refused = Some(*append);
                }
            }
            outcomes.push(outcome);
        }
        transaction.commit()?;
        self.live = live;
        *refusing = refused;
        self.unsynced = if synced { 0 } else { self.unsynced + 1 };
        for id in std::mem::take(&mut self.removals) {
            if let Some(weight) = self.taken.remove(&id) {
                self.taken_bytes -= weight.bytes;
            }
        }
        Ok(outcomes)
    }

    fn full(&self, disk: Disk) -> SpoolError {
        if !matches!(disk, Disk::Roomy) {
            return SpoolError::DiskFull {
                path: self.path.clone(),
            };
        }
        SpoolError::Full {
            bytes: self.live.bytes,
            max_bytes: self.max_bytes,
        }
    }

    /// Drops the oldest rows that no caller holds until at most `room` bytes are left.
    fn make_room(&self, store: &Store, live: &mut Live, room: u64) -> rusqlite::Result<Lost> {
        let mut dropped = Lost::default();
        while live.bytes > room {
            let before = dropped.records;
            for id in store.oldest(self.taken.len() + 64)? {
                if live.bytes <= room {
                    break;
                }
                if !self.taken.contains_key(&id)
                    && let Some(weight) = store.delete(id)?
                {
                    live.subtract(weight);
                    dropped.records += 1;
                    dropped.readings += weight.readings;
                }
            }
            if dropped.records == before {
                break;
            }
        }
        Ok(dropped)
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(wal_of(&self.path)).map_or(0, |log| log.len())
    }

    fn free_bytes(&self) -> u64 {
        #[cfg(test)]
        if self.disk_seems_full {
            return 0;
        }
        disk::free_bytes(&self.dir)
    }

    /// Escalates the response to a full disk; `false` if nothing is left to try.
    fn press(&self, disk: &mut Disk) -> bool {
        *disk = match *disk {
            Disk::Roomy => {
                let restarted = self.store.as_ref().map(Store::checkpoint);
                if let Some(Err(error)) = &restarted {
                    debug!(%error, "the disk is full, and the spool's log cannot be restarted");
                }
                let log_room = if matches!(restarted, Some(Ok(true))) {
                    self.log_bytes()
                } else {
                    0
                };
                Disk::Full { log_room }
            }
            Disk::Full { log_room } if self.when_full == WhenFull::DropOldest => Disk::InPlace { log_room },
            Disk::Full { .. } | Disk::InPlace { .. } => return false,
        };
        true
    }

    fn shrink(&self) {
        if self.live.records > 0 {
            return;
        }
        if let Some(store) = &self.store
            && store.file_bytes().is_ok_and(|bytes| bytes > self.kept_file_bytes)
            && let Err(error) = store.shrink()
        {
            debug!(%error, "cannot shrink the empty spool; retrying later");
        }
    }

    // ----- Reading -----

    fn read(&mut self, lane: &Arc<LaneKey>, after: Option<Position>, max_bytes: usize) -> Result<Next, SpoolError> {
        let records = match self.select(lane, after, max_bytes) {
            Err(error) if Fault::of(&error) == Fault::Damaged => {
                self.repair(&error.to_string())?;
                self.select(lane, after, max_bytes)
            }
            selected => selected,
        }
        .map_err(|error| SpoolError::sqlite("reading", &self.path, error))?;
        for (position, packed) in &records {
            let weight = Weight {
                id: position.row,
                bytes: packed.cost(),
                readings: packed.record.readings.into(),
            };
            if self.taken.insert(position.row, weight).is_none() {
                self.taken_bytes += weight.bytes;
            }
        }
        Ok(Next {
            records: records
                .into_iter()
                .map(|(position, packed)| (position, packed.record))
                .collect(),
            corrupt: std::mem::take(&mut self.corrupt),
        })
    }

    fn select(
        &self,
        lane: &Arc<LaneKey>,
        after: Option<Position>,
        max_bytes: usize,
    ) -> rusqlite::Result<Vec<(Position, Packed)>> {
        let store = self.store.as_ref().ok_or_else(|| damaged("it waits to be salvaged"))?;
        let mut records: Vec<(Position, Packed)> = Vec::new();
        let mut bytes = 0;
        store.read(lane, after, |position, packed| {
            if self.removals.contains(&position.row) {
                return true;
            }
            bytes += packed.record.data.len();
            let fits = records.is_empty() || bytes <= max_bytes;
            if fits {
                records.push((position, packed));
            }
            fits && bytes < max_bytes
        })?;
        Ok(records)
    }

    // ----- Damage and shutdown -----

    /// Sets the damaged database aside and continues with the rows that can be read.
    fn repair(&mut self, why: &str) -> Result<(), SpoolError> {
        // Closed before it is read as a file; a failed salvage is retried with the next command.
        self.store = None;
        let opened = salvage::salvage(&self.dir, why)?;
        self.numbering.merge(opened.census.numbering);
        let before = std::mem::replace(&mut self.live, opened.census.live);
        let mut lost = Lost {
            records: before.records.saturating_sub(self.live.records),
            readings: before.readings.saturating_sub(self.live.readings),
        };
        for id in self.taken.keys().copied().collect::<Vec<_>>() {
            let there = opened.store.contains(id);
            if !there.map_err(|error| SpoolError::sqlite("reading", &self.path, error))?
                && let Some(weight) = self.taken.remove(&id)
            {
                // Not lost: its holder delivers it from memory.
                self.taken_bytes -= weight.bytes;
                lost.records = lost.records.saturating_sub(1);
                lost.readings = lost.readings.saturating_sub(weight.readings);
            }
        }
        self.corrupt.add(lost);
        self.store = Some(opened.store);
        self.show();
        Ok(())
    }

    fn close(&mut self) -> Result<(), SpoolError> {
        match self.store.take() {
            Some(store) => store
                .close()
                .map_err(|error| SpoolError::sqlite("closing", &self.path, error)),
            None => Ok(()),
        }
    }

    fn show(&self) {
        let oldest = self
            .store
            .as_ref()
            .and_then(|store| store.oldest_since().ok().flatten());
        self.gauges.show(&self.live, oldest);
    }
}
