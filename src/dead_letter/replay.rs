//! Reads dead letters, to send them again through the ordinary pipeline.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::vec;

use jiff::Timestamp;
use wire::Reading;
use wire::json::Decoder;

use super::line::Letter;
use super::{DeadLetterError, DeadLetters, Lines, REPLAY_LOCK, REPLAYING, failed, open_lock, rename, sync};

/// The readings of all dead letters, in the order they were written. A line without readable readings yields an error,
/// and reading continues with the next line. If it is dropped before [`Replay::finish`], the next replay starts over.
pub struct Replay {
    letters: DeadLetters,
    files: Vec<PathBuf>,
    ahead: VecDeque<PathBuf>,
    lines: Option<Lines>,
    readings: vec::IntoIter<Reading>,
    decoder: Decoder,
    failed: bool,
    _lock: File,
}

impl Replay {
    pub(super) fn begin(letters: DeadLetters) -> Result<Self, DeadLetterError> {
        let path = letters.dir.join(REPLAY_LOCK);
        let lock = open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DeadLetterError::Replaying { dir: letters.dir }),
            Err(TryLockError::Error(error)) => return Err(failed("locking", &path, error)),
        }
        {
            let _lock = letters.lock()?;
            let claimed = letters.dir.join(format!("{REPLAYING}{}", now()));
            match rename(&letters.file(), &claimed) {
                Err(DeadLetterError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            sync(&letters.dir)?;
        }
        let files = letters.replaying()?;
        Ok(Self {
            ahead: files.iter().cloned().collect(),
            letters,
            files,
            lines: None,
            readings: Vec::new().into_iter(),
            decoder: Decoder::of_kept(),
            failed: false,
            _lock: lock,
        })
    }

    /// Must be called once every reading is settled. Moves the unreadable lines back to the dead letters and renames
    /// the files to `dead-letter.jsonl.replayed-` and the time. Returns their new names.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, DeadLetterError> {
        if self.failed || self.lines.is_some() || !self.ahead.is_empty() || self.readings.len() > 0 {
            return Err(DeadLetterError::Unfinished);
        }
        let mut replayed = Vec::new();
        for path in std::mem::take(&mut self.files) {
            let mut lines = Lines::open(&path)?;
            let mut kept = Vec::new();
            while let Some(line) = lines.next()? {
                if Letter::parse(line)
                    .and_then(|letter| letter.readings(&mut self.decoder))
                    .is_err()
                {
                    kept.push(line.to_vec());
                }
            }
            if !kept.is_empty() {
                self.letters
                    .append_lines(|put| kept.iter().try_for_each(|line| put(line)))?;
            }
            // If it stops here, the lines just put back exist twice, which is better than losing them.
            let to = self.letters.dir.join(format!("dead-letter.jsonl.replayed-{}", now()));
            rename(&path, &to)?;
            replayed.push(to);
        }
        sync(&self.letters.dir)?;
        Ok(replayed)
    }

    fn read_on(&mut self) -> Result<Option<Reading>, DeadLetterError> {
        loop {
            if let Some(reading) = self.readings.next() {
                return Ok(Some(reading));
            }
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => match self.ahead.pop_front() {
                    Some(path) => self.lines.insert(Lines::open(&path)?),
                    None => return Ok(None),
                },
            };
            match lines.next()? {
                None => self.lines = None,
                Some(line) => match Letter::parse(line).and_then(|letter| letter.readings(&mut self.decoder)) {
                    Ok(readings) => self.readings = readings.into_iter(),
                    Err(problem) => return Err(lines.malformed(problem)),
                },
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Reading, DeadLetterError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read_on().transpose();
        // After a disk error the rest is unknown: the replay ends and cannot be finished.
        self.failed = matches!(&read, Some(Err(error)) if !matches!(error, DeadLetterError::Malformed { .. }));
        read
    }
}

/// The time, in a form in which file names sort by time.
fn now() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ").to_string()
}
