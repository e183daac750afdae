//! The position of a replay, kept in a small file: all readings before it are safe, and a restart continues there.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::SourceError;
use super::lines::Position;

/// The interval of saving. After a kill, readings since the last saved position are sent again. If they keep their
/// times, the detectors take them for repeated; if times are shifted, for new.
const KEEP_EVERY: Duration = Duration::from_secs(1);
const VERSION: u32 = 1;

/// The batches handed over, in order, until they and all before them are safe.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    first: u64,
    batches: VecDeque<(Position, bool)>,
}

impl Outstanding {
    /// Returns the number of the next batch, which ends at `end`: its receipt's position.
    pub fn hand_over(&mut self, end: Position) -> u64 {
        self.batches.push_back((end, false));
        self.first + self.batches.len() as u64 - 1
    }

    /// Marks a batch as safe. Returns the position before which everything is safe, if it moved.
    pub fn settle(&mut self, number: u64) -> Option<Position> {
        let index = number.checked_sub(self.first)?;
        self.batches.get_mut(usize::try_from(index).ok()?)?.1 = true;
        let mut safe = None;
        while let Some((end, true)) = self.batches.front() {
            safe = Some(*end);
            self.first += 1;
            self.batches.pop_front();
        }
        safe
    }

    /// True if every batch is safe.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// The file that keeps a position.
#[derive(Clone, Debug)]
pub(super) struct PositionFile {
    file: PathBuf,
    replayed: String,
}

/// The field that every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    path: String,
    position: Position,
}

/// Returns the name of a source as part of a file name: names may have letters that file names may not.
pub(super) fn file_name(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    name.chars()
        .map(|letter| {
            if plain(letter) {
                letter.into()
            } else {
                format!("%{:x}", u32::from(letter))
            }
        })
        .collect()
}

impl PositionFile {
    /// The file of the source `name`, which replays the file `replayed`.
    pub fn new(dir: &Path, name: &str, replayed: &str) -> Self {
        Self {
            file: dir.join(format!("replay-{}.json", file_name(name))),
            replayed: replayed.into(),
        }
    }

    /// Returns its path, for messages.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Returns the position saved for the same replayed path, if any.
    pub fn load(&self) -> Result<Option<Position>, SourceError> {
        let failed = |source| SourceError::File {
            doing: "reading the replay position in",
            file: self.file.display().to_string(),
            source,
        };
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match serde_json::from_slice(&text) {
            Ok(Versioned { version }) if version > VERSION => {
                return Err(SourceError::Version {
                    file: self.file.display().to_string(),
                    version,
                });
            }
            _ => {}
        }
        match serde_json::from_slice::<Kept>(&text) {
            Ok(kept) => Ok((kept.path == self.replayed).then_some(kept.position)),
            Err(error) => {
                warn!(file = %self.file.display(), %error, "the saved position is damaged; replaying from the start");
                Ok(None)
            }
        }
    }

    /// Replaces the saved position: after a crash the file holds the old or the new one.
    fn store(&self, position: Position) -> io::Result<()> {
        let kept = Kept {
            version: VERSION,
            path: self.replayed.clone(),
            position,
        };
        let dir = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let new = self.file.with_extension("json.new");
        let mut file = File::create(&new)?;
        serde_json::to_writer(&mut file, &kept)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        File::open(dir)?.sync_all()
    }
}

/// Saves the position to `file` as batches become safe, until no more can.
pub(super) async fn keep(
    file: PositionFile,
    outstanding: Arc<Mutex<Outstanding>>,
    mut settled: mpsc::UnboundedReceiver<u64>,
) {
    let mut unkept = None;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            number = settled.recv() => match number {
                Some(number) => {
                    let safe = outstanding.lock().unwrap_or_else(PoisonError::into_inner).settle(number);
                    unkept = safe.or(unkept);
                }
                None => break,
            },
            () = sleep_until(next), if unkept.is_some() => {
                store(&file, unkept.take()).await;
                next = Instant::now() + KEEP_EVERY;
            }
        }
    }
    store(&file, unkept).await;
}

async fn store(file: &PositionFile, position: Option<Position>) {
    let Some(position) = position else { return };
    let to = file.clone();
    let stored = tokio::task::spawn_blocking(move || to.store(position)).await;
    // No reading is lost: after a restart those since the last saved position are sent again.
    if let Ok(Err(error)) = stored {
        warn!(file = %file.file.display(), %error, "cannot save the position of the replay");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn at(bytes: u64) -> Position {
        Position {
            bytes,
            line: bytes / 10,
            crc: bytes as u32,
        }
    }

    proptest! {
        #[test]
        fn a_place_is_safe_once_all_before_it_are(order in Just((0..20).collect::<Vec<u64>>()).prop_shuffle()) {
            let mut outstanding = Outstanding::default();
            for number in 0..20 {
                prop_assert_eq!(outstanding.hand_over(at(number + 1)), number);
            }
            let mut settled = Vec::new();
            let mut safe = 0;
            for number in order {
                settled.push(number);
                safe = outstanding.settle(number).map_or(safe, |position| position.bytes);
                let expected = (0..20).find(|number| !settled.contains(number)).unwrap_or(20);
                prop_assert_eq!(safe, expected);
            }
            prop_assert!(outstanding.is_empty());
        }
    }

    #[test]
    fn a_position_is_found_again_for_the_same_path_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = PositionFile::new(&dir.path().join("new"), "history", "a.csv");
        assert_eq!(file.load().unwrap(), None);
        file.store(at(100)).unwrap();
        file.store(at(200)).unwrap();
        assert_eq!(file.load().unwrap(), Some(at(200)));
        let other = PositionFile::new(&dir.path().join("new"), "history", "b.csv");
        assert_eq!(other.load().unwrap(), None);
    }

    #[test]
    fn a_newer_version_is_refused_and_a_damaged_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = PositionFile::new(dir.path(), "../a b", "a.csv");
        assert_eq!(file.path().parent(), Some(dir.path()));
        fs::write(file.path(), b"{\"version\":1,\"pa").unwrap();
        assert_eq!(file.load().unwrap(), None);
        let newer = r#"{"version":2,"place":"of another kind"}"#;
        fs::write(file.path(), newer).unwrap();
        let error = file.load().unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_safe_place_is_kept_when_all_receipts_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = PositionFile::new(dir.path(), "history", "a.csv");
        let outstanding = Arc::new(Mutex::new(Outstanding::default()));
        let (settled, settlements) = mpsc::unbounded_channel();
        let store = tokio::spawn(keep(file.clone(), Arc::clone(&outstanding), settlements));
        for number in 0..4 {
            outstanding.lock().unwrap().hand_over(at(10 * (number + 1)));
        }
        for number in [1, 0, 3] {
            settled.send(number).unwrap();
        }
        drop(settled);
        store.await.unwrap();
        assert_eq!(file.load().unwrap(), Some(at(20)));
        assert!(!outstanding.lock().unwrap().is_empty());
    }
}
