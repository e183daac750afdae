//! Replays a file of readings at a pace. After a restart it continues with the first reading that was not safe.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use delivery::batch::{Batch, Receipt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::info;
use values::number::Speed;
use wire::{Reading, Timestamp};

use super::lines::Position;
use super::position::{Outstanding, PositionFile, keep};
use super::progress::Progress;
use super::readings::{Chunk, Readings};
use super::settings::Times;
use super::table::Described;
use super::{Ended, Malformed, Output, SourceError, example, to_channel};
use crate::clock;

/// The chunks read ahead of the pace.
const AHEAD: usize = 2;

/// A validated replay.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub path: PathBuf,
    pub speed: Speed,
    pub times: Times,
    pub described: Described,
}

/// Runs until all readings of the file are safe, or until `output` asks it to stop and the last receipt is settled.
pub(super) async fn run(
    name: String,
    config: Config,
    output: Output,
    state_dir: PathBuf,
    malformed: Arc<Malformed>,
) -> Result<Ended, SourceError> {
    let path = config.path.display().to_string();
    let file = PositionFile::new(&state_dir, &name, &path);
    let outstanding = Arc::new(Mutex::new(Outstanding::default()));
    let (settled, settlements) = mpsc::unbounded_channel();
    let store = tokio::spawn(keep(file.clone(), Arc::clone(&outstanding), settlements));
    let player = Player {
        progress: Progress::new(&name, size(&config.path)),
        pace: Pace::new(config.speed, config.times),
        output: output.clone(),
        outstanding: Arc::clone(&outstanding),
        settled,
    };
    let (chunks, read) = mpsc::channel(AHEAD);
    let reader = thread::Builder::new().name(format!("replay {name}"));
    reader
        .spawn(move || {
            if let Err(error) = feed(&config, &file, malformed, &chunks) {
                // The receiver is gone once the source was stopped.
                let _ = chunks.blocking_send(Err(error));
            }
        })
        .map_err(|source| SourceError::File {
            doing: "starting a thread to read",
            file: path.clone(),
            source,
        })?;

    let mut stop = output;
    let played = tokio::select! {
        biased;
        () = stop.stopped() => Ok(Ended::Stopped),
        played = player.play(read) => played,
    };
    // Without the outputs the pipeline drains; the receipts it settles meanwhile move the position.
    drop(stop);
    store.await.expect("the store does not panic and nobody aborts it");
    let safe = outstanding.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    match played? {
        Ended::Spent if safe => {
            info!(source = name, file = path, "replay finished");
            Ok(Ended::Spent)
        }
        _ => Ok(Ended::Stopped),
    }
}

/// Reads the file from where an earlier run stopped, unless the file has changed before that position.
fn feed(
    config: &Config,
    kept: &PositionFile,
    malformed: Arc<Malformed>,
    chunks: &mpsc::Sender<Result<Chunk, SourceError>>,
) -> Result<(), SourceError> {
    let path: Arc<str> = config.path.display().to_string().into();
    let open = || {
        let reader = open(&config.path).map_err(|source| SourceError::File {
            doing: "opening",
            file: path.to_string(),
            source,
        })?;
        Ok(Readings::new(
            reader,
            Arc::clone(&path),
            config.described.clone(),
            Arc::clone(&malformed),
        ))
    };
    let mut readings = open()?;
    if let Some(position) = kept.load()? {
        if readings.skip_to(position)? {
            let remedy = format!("remove {} to replay it from its start", kept.path().display());
            info!(
                file = &*path,
                after_line = position.line,
                remedy,
                "continuing the replay where it stopped"
            );
        } else {
            info!(
                file = &*path,
                "the file has changed since it was replayed; replaying from the start"
            );
            readings = open()?;
        }
    }
    readings.feed(chunks);
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    match example_bytes(path) {
        Some(bytes) => Ok(Box::new(bytes)),
        None => Ok(Box::new(File::open(path)?)),
    }
}

fn size(path: &Path) -> u64 {
    match example_bytes(path) {
        Some(bytes) => bytes.len() as u64,
        None => path.metadata().map_or(0, |metadata| metadata.len()),
    }
}

fn example_bytes(path: &Path) -> Option<&'static [u8]> {
    example::bytes(example::name(path.to_str()?)?)
}

/// Hands readings over when they are due.
struct Player {
    pace: Pace,
    output: Output,
    outstanding: Arc<Mutex<Outstanding>>,
    settled: mpsc::UnboundedSender<u64>,
    progress: Progress,
}

impl Player {
    async fn play(mut self, mut chunks: mpsc::Receiver<Result<Chunk, SourceError>>) -> Result<Ended, SourceError> {
        while let Some(chunk) = chunks.recv().await {
            let Chunk { readings, end } = chunk?;
            let last = readings.last().map(|(_, end)| *end);
            let mut readings = readings.into_iter().peekable();
            while let Some((first, mut end)) = readings.next() {
                let now = self.pace.wait(first.time()).await;
                let mut batch = vec![self.pace.timed(first)];
                while let Some((reading, place)) = readings.next_if(|(reading, _)| self.pace.due(reading.time()) <= now)
                {
                    batch.push(self.pace.timed(reading));
                    end = place;
                }
                if self.hand_over(batch, end).await.is_err() {
                    return Ok(Ended::Stopped);
                }
            }
            if last != Some(end) {
                // Only malformed lines: there is nothing to wait for.
                let number = self.number(end);
                let _ = self.settled.send(number);
            }
        }
        Ok(Ended::Spent)
    }

    async fn hand_over(&mut self, readings: Vec<Reading>, end: Position) -> Result<(), super::Closed> {
        self.output.wait_for_capacity().await?;
        let count = readings.len();
        let number = self.number(end);
        let receipt = Receipt::new(count as u32, number, to_channel(self.settled.clone()));
        self.output
            .send(Batch {
                readings,
                receipt: Some(receipt),
            })
            .await?;
        self.progress.advance(count, end.bytes);
        Ok(())
    }

    fn number(&self, end: Position) -> u64 {
        self.outstanding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hand_over(end)
    }
}

/// When readings are due, and which time they get.
#[derive(Debug)]
enum Pace {
    Max,
    Factor {
        factor: f64,
        times: Times,
        /// The first reading's event time, the instant it was handed over, and the wall time then.
        first: Option<(Timestamp, Instant, Timestamp)>,
    },
}

impl Pace {
    fn new(speed: Speed, times: Times) -> Self {
        match speed {
            Speed::Max => Self::Max,
            Speed::Factor(factor) => Self::Factor {
                factor,
                times,
                first: None,
            },
        }
    }

    /// Waits until a reading of this event time is due; returns the time since the first.
    async fn wait(&mut self, time: Timestamp) -> Duration {
        let began = match self {
            Self::Max => return Duration::MAX,
            Self::Factor { first, .. } => first.get_or_insert_with(|| (time, Instant::now(), clock::now())).1,
        };
        // Beyond the clock's range nothing is ever due.
        match began.checked_add(self.due(time)) {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
        began.elapsed()
    }

    /// Returns how long after the first reading this event time is due; zero if time goes back.
    fn due(&self, time: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.scaled(time)).unwrap_or_default())
    }

    fn scaled(&self, time: Timestamp) -> i64 {
        match self {
            Self::Factor {
                factor,
                first: Some((first, ..)),
                ..
            } => ((time.as_micros() - first.as_micros()) as f64 / factor) as i64,
            _ => 0,
        }
    }

    fn timed(&self, reading: Reading) -> Reading {
        match self {
            Self::Factor {
                times: Times::Shift,
                first: Some((_, _, wall)),
                ..
            } => {
                let time = wall.saturating_add_micros(self.scaled(reading.time()));
                Reading::new(Arc::clone(reading.sensor()), time, reading.value().clone())
                    .expect("its value was a reading's before")
            }
            _ => reading,
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
