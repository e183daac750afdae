//! Records that can never be delivered, kept in a file that any tool can read: one JSON object a line, one line a
//! record.
//!
//! Nothing is ever deleted: a replayed file is renamed, and lines that could not be replayed go back to the dead
//! letters. The file is opened again for each record, because a replay in another process may have renamed it.

mod given_up;
mod line;
mod redrive;
mod replay;

#[cfg(test)]
mod redrive_tests;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use delivery::ledger;
use delivery::record::Record;

pub use self::redrive::{Redrive, list_given_up};
pub use self::replay::Replay;

const FILE: &str = "dead-letter.jsonl";
/// The prefix of files whose readings are being sent again.
const REPLAYING: &str = "dead-letter.jsonl.replaying-";
const LOCK: &str = "dead-letter.lock";
const REPLAY_LOCK: &str = "dead-letter.replay.lock";

/// The dead letters of one state directory. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    dir: PathBuf,
    sink: Box<str>,
}

/// Why dead letters could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The disk or the file system returned an error.
    #[error("{doing} {}: check the disk's free space and the permissions of the folder", path.display())]
    Io {
        /// The operation, such as `writing`.
        doing: &'static str,
        /// The path of the file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line without readable readings. It stays in the file.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line number, counted from 1.
        line: u64,
        /// What is wrong with it, and how to correct it.
        problem: String,
    },
    /// A file of a batch given up by Lambda that holds no readings, or not all that it should.
    #[error("{}: {problem}", path.display())]
    GivenUp {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and how to correct it.
        problem: String,
    },
    /// Another process is replaying these dead letters.
    #[error("the dead letters in {} are being replayed by another process: wait until it has ended", dir.display())]
    Replaying {
        /// The directory.
        dir: PathBuf,
    },
    /// [`Replay::finish`] was called before all readings were taken out.
    #[error("the replay is not complete: its files stay as they are")]
    Unfinished,
}

impl DeadLetters {
    /// Opens the dead letters in `dir`, which is created if it does not exist. `sink` names the records' destination,
    /// such as `kinesis m03p02_raw_data_stream`.
    pub fn open(dir: &Path, sink: &str) -> Result<Self, DeadLetterError> {
        fs::create_dir_all(dir).map_err(|error| failed("making", dir, error))?;
        Ok(Self {
            dir: dir.to_owned(),
            sink: sink.into(),
        })
    }

    /// Appends a record; it is synced when this returns. After an error nothing of it is in the file. Blocks for the
    /// duration of a sync.
    pub fn append(&self, record: &Record, reason: ledger::DeadLetter, message: &str) -> Result<(), DeadLetterError> {
        let line = line::written(&self.sink, record, reason, message);
        self.append_lines(|put| put(&line))
    }

    /// Writes out all dead letters, those being replayed first: as a table, or as JSON lines unchanged. Returns the
    /// lines that are not dead letters.
    pub fn list(&self, out: &mut dyn Write, json: bool) -> Result<Vec<DeadLetterError>, DeadLetterError> {
        let mut malformed = Vec::new();
        let mut letters = 0;
        let told = |error| failed("listing to", Path::new("the output"), error);
        let mut files = self.replaying()?;
        files.push(self.file());
        for path in files {
            let mut lines = match Lines::open(&path) {
                Err(DeadLetterError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                lines => lines?,
            };
            while let Some(text) = lines.next()? {
                match line::Letter::parse(text) {
                    Err(problem) => malformed.push(lines.malformed(problem)),
                    Ok(_) if json => out.write_all(text).and_then(|()| out.write_all(b"\n")).map_err(told)?,
                    Ok(letter) => {
                        if letters == 0 {
                            line::write_head(out).map_err(told)?;
                        }
                        letter.write_row(out).map_err(told)?;
                    }
                }
                letters += 1;
            }
        }
        if letters == 0 && !json {
            writeln!(out, "no dead letters in {}", self.dir.display()).map_err(told)?;
        }
        Ok(malformed)
    }

    /// Begins to send everything again, under a new identity. Files of an earlier unfinished replay come first; dead
    /// letters written from now on wait for the next replay.
    pub fn replay(&self) -> Result<Replay, DeadLetterError> {
        Replay::begin(self.clone())
    }

    fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    fn replaying(&self) -> Result<Vec<PathBuf>, DeadLetterError> {
        let read = |error| failed("reading", &self.dir, error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            if entry.file_name().to_string_lossy().starts_with(REPLAYING) {
                files.push(entry.path());
            }
        }
        // The names end with the time.
        files.sort();
        Ok(files)
    }

    /// Locks the file name: nobody else can append to the file or rename it meanwhile.
    fn lock(&self) -> Result<File, DeadLetterError> {
        let path = self.dir.join(LOCK);
        let lock = open_lock(&path)?;
        lock.lock().map_err(|error| failed("locking", &path, error))?;
        Ok(lock)
    }

    /// Appends whole lines, all of them or none, and syncs.
    fn append_lines(
        &self,
        lines: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), DeadLetterError>) -> Result<(), DeadLetterError>,
    ) -> Result<(), DeadLetterError> {
        let path = self.file();
        let wrote = |error| failed("writing", &path, error);
        let _lock = self.lock()?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(wrote)?;
        let end = file.metadata().map_err(wrote)?.len();
        // Ends a line cut off by a power failure, so that the next one is whole.
        let cut_off = end > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::Start(end - 1)).map_err(wrote)?;
            file.read_exact(&mut last).map_err(wrote)?;
            last != *b"\n"
        };
        let mut put = |line: &[u8]| file.write_all(line).map_err(wrote);
        let written = if cut_off { put(b"\n") } else { Ok(()) }
            .and_then(|()| {
                lines(&mut |line| {
                    put(line)?;
                    put(b"\n")
                })
            })
            .and_then(|()| file.sync_data().map_err(wrote));
        if written.is_err() {
            // If this fails too, half a line remains, which is later reported as malformed.
            let _ = file.set_len(end);
            return written;
        }
        if end == 0 { sync(&self.dir) } else { Ok(()) }
    }
}

/// The lines of a file.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, DeadLetterError> {
        let file = File::open(path).map_err(|error| failed("opening", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(file),
            text: Vec::new(),
            number: 0,
        })
    }

    /// Returns the next line that is not blank, without its line end.
    fn next(&mut self) -> Result<Option<&[u8]>, DeadLetterError> {
        loop {
            self.text.clear();
            let read = self.file.read_until(b'\n', &mut self.text);
            if read.map_err(|error| failed("reading", &self.path, error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(self.text.trim_ascii()));
            }
        }
    }

    fn malformed(&self, problem: String) -> DeadLetterError {
        DeadLetterError::Malformed {
            path: self.path.clone(),
            line: self.number,
            problem,
        }
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> DeadLetterError {
    DeadLetterError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

fn open_lock(path: &Path) -> Result<File, DeadLetterError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| failed("opening", path, error))
}

fn rename(from: &Path, to: &Path) -> Result<(), DeadLetterError> {
    fs::rename(from, to).map_err(|error| failed("renaming", from, error))
}

fn sync(dir: &Path) -> Result<(), DeadLetterError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| failed("syncing", dir, error))
}
