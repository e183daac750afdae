//! Records that the sink cannot accept now, kept on disk: sealed, with their identity, and sent first after a start.
//!
//! One SQLite database, `spool.db`, owned by its own thread; commands that queue while it works share its next
//! transaction. The spool knows records and lanes, but not sinks, sources, the ledger or why a record was spooled.

mod command;
mod disk;
mod error;
mod footprint;
mod lock;
mod packed;
mod pages;
mod row;
mod salvage;
mod settings;
mod store;
mod worker;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_tests;

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use delivery::record::{LaneKey, Record};
use delivery::spool::{Appended, Lost, Next, Position, Recovered};
use tokio::sync::oneshot;
use values::byte_size::ByteSize;
use wire::Timestamp;

use self::command::{Command, Reader};
pub use self::error::SpoolError;
pub use self::settings::{Settings, WhenFull};
use self::store::Live;
use self::worker::Worker;

/// Records on disk. All methods may be called concurrently. Dropped without [`Spool::close`], it finishes the queued
/// commands and loses nothing.
#[derive(Debug)]
pub struct Spool {
    /// `None` once dropped: the thread ends when its input closes.
    commands: Option<mpsc::Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    gauges: Arc<Gauges>,
}

impl Spool {
    /// Opens the spool in `dir`, created if missing, and returns what is in it. Reads every row's key and blocks
    /// meanwhile: about a second per gibibyte.
    pub fn open(dir: &Path, max_bytes: ByteSize, when_full: WhenFull) -> Result<(Self, Recovered), SpoolError> {
        let gauges = Arc::new(Gauges::default());
        let (worker, recovered) = Worker::open(dir, max_bytes, when_full, Arc::clone(&gauges))?;
        let (commands, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || worker.run(&queue))
            .map_err(|error| SpoolError::io("starting the thread of", dir, error))?;
        let spool = Self {
            commands: Some(commands),
            thread: Mutex::new(Some(thread)),
            gauges,
        };
        Ok((spool, recovered))
    }

    /// Writes records, and returns when they are synced. A record already in the spool is not written twice. If they do
    /// not all fit, the first ones are stored and the others returned.
    ///
    /// Once polled, the future must be awaited to its end, or the records go to the spool alone and their receipts are
    /// lost.
    pub async fn append(&self, records: Vec<Record>) -> Appended {
        let (reply, answer) = oneshot::channel();
        match self.send(Command::Append { records, reply }) {
            Ok(()) => answer
                .await
                .unwrap_or_else(|_| Appended::refused(Vec::new(), SpoolError::Ended)),
            Err(Command::Append { records, .. }) => Appended::refused(records, SpoolError::Ended),
            Err(_) => unreachable!("a channel gives back what was sent"),
        }
    }

    /// The next records of a lane after a position, in order, up to this many bytes of data but at least one record;
    /// none if the lane has no more. Returned records are not dropped to make room until they are removed.
    ///
    /// A record appended later may sort before `after`: if a lane's records can arrive out of order, begin with `None`
    /// again.
    pub async fn next(
        &self,
        lane: &Arc<LaneKey>,
        after: Option<Position>,
        max_bytes: usize,
    ) -> Result<Next, SpoolError> {
        let lane = Arc::clone(lane);
        self.ask(|reply| {
            Command::Next(Reader {
                lane,
                after,
                max_bytes,
                reply,
            })
        })
        .await
    }

    /// Removes delivered records that [`Spool::next`] returned. The removal is synced with the next append, every 64th
    /// removal and the close; if a power cut undoes it, the records come back with the same identity. A full disk does
    /// not make it fail: the removal then happens later. Returns the records found damaged on the way, which are no
    /// longer in the spool.
    pub async fn remove(&self, positions: Vec<Position>) -> Result<Lost, SpoolError> {
        self.ask(|reply| Command::Remove { positions, reply }).await
    }

    /// Syncs everything and ends the thread. Every later call fails.
    pub async fn close(&self) -> Result<(), SpoolError> {
        let closed = self.ask(|reply| Command::Close { reply }).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread has nothing left to do after its answer, so this does not wait.
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(SpoolError::Ended);
        }
        closed
    }

    /// Bytes of records in the spool, as counted against its limit.
    pub fn bytes(&self) -> u64 {
        self.gauges.bytes.load(Ordering::Relaxed)
    }

    /// Records in the spool.
    pub fn records(&self) -> u64 {
        self.gauges.records.load(Ordering::Relaxed)
    }

    /// Readings in the spool.
    pub fn readings(&self) -> u64 {
        self.gauges.readings.load(Ordering::Relaxed)
    }

    /// When the oldest reading in the spool arrived; `None` if it is empty.
    pub fn oldest_since(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.gauges.oldest_since.load(Ordering::Relaxed))
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Command,
    ) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).map_err(|_| SpoolError::Ended)?;
        answer.await.unwrap_or(Err(SpoolError::Ended))
    }

    fn send(&self, command: Command) -> Result<(), Command> {
        match &self.commands {
            Some(commands) => commands.send(command).map_err(|mpsc::SendError(command)| command),
            None => Err(command),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the thread has already been reported; nobody is left here to report it to.
            let _ = thread.join();
        }
    }
}

/// How full the spool is, for metrics.
#[derive(Debug)]
struct Gauges {
    bytes: AtomicU64,
    records: AtomicU64,
    readings: AtomicU64,
    /// Microseconds; `i64::MIN` if the spool is empty.
    oldest_since: AtomicI64,
}

impl Gauges {
    fn show(&self, live: &Live, oldest_since: Option<i64>) {
        self.bytes.store(live.bytes, Ordering::Relaxed);
        self.records.store(live.records, Ordering::Relaxed);
        self.readings.store(live.readings, Ordering::Relaxed);
        self.oldest_since
            .store(oldest_since.unwrap_or(i64::MIN), Ordering::Relaxed);
    }
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
            readings: AtomicU64::new(0),
            oldest_since: AtomicI64::new(i64::MIN),
        }
    }
}
