//! Reads readings from the batches that Lambda gave up, to send them again through the ordinary pipeline. The files are
//! not changed.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::vec;

use wire::Reading;
use wire::json::Decoder;

use super::given_up::{Described, GivenUp, Known};
use super::{DeadLetterError, failed};

/// The readings in objects of a failure destination, in the order of the stream. An object or record without readable
/// readings yields an error, and reading continues behind it.
pub struct Redrive {
    ahead: VecDeque<PathBuf>,
    known: Known,
    decoder: Decoder,
    readings: vec::IntoIter<Reading>,
    problems: VecDeque<DeadLetterError>,
    told: u64,
}

impl Redrive {
    /// Opens these files, and all files in these folders.
    pub fn open(paths: &[PathBuf]) -> Result<Self, DeadLetterError> {
        let mut files = Vec::new();
        for path in paths {
            let before = files.len();
            find(path, &mut files)?;
            if files.len() == before {
                return Err(nothing_in(path));
            }
        }
        let mut problems = VecDeque::new();
        let mut objects = Vec::new();
        for file in files {
            match GivenUp::read(&file) {
                Ok(object) => objects.push((object.order(), file)),
                Err(error) => problems.push_back(error),
            }
        }
        objects.sort();
        objects.dedup();
        Ok(Self {
            ahead: objects.into_iter().map(|(_, file)| file).collect(),
            known: Known::new(),
            decoder: Decoder::of_kept(),
            readings: Vec::new().into_iter(),
            problems,
            told: 0,
        })
    }

    /// The number of errors so far.
    pub fn problems(&self) -> u64 {
        self.told
    }

    fn read_on(&mut self) -> Option<Result<Reading, DeadLetterError>> {
        loop {
            if let Some(problem) = self.problems.pop_front() {
                self.told += 1;
                return Some(Err(problem));
            }
            if let Some(reading) = self.readings.next() {
                return Some(Ok(reading));
            }
            let path = self.ahead.pop_front()?;
            match GivenUp::read(&path) {
                Ok(object) => {
                    let contents = object.contents(&mut self.known, &mut self.decoder);
                    self.readings = contents.readings.into_iter();
                    self.problems = problems_of(&path, contents.problems).collect();
                }
                Err(error) => self.problems.push_back(error),
            }
        }
    }
}

impl Iterator for Redrive {
    type Item = Result<Reading, DeadLetterError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_on()
    }
}

/// Lists the contents of these files and folders: as a table, or as a JSON object a line. Returns the problems found.
pub fn list_given_up(
    paths: &[PathBuf],
    json: bool,
    out: &mut dyn Write,
) -> Result<Vec<DeadLetterError>, DeadLetterError> {
    let told = |error| failed("listing to", Path::new("the output"), error);
    let mut redrive = Redrive::open(paths)?;
    let mut problems = Vec::from(std::mem::take(&mut redrive.problems));
    for (index, path) in redrive.ahead.iter().enumerate() {
        let object = GivenUp::read(path)?;
        let contents = object.contents(&mut redrive.known, &mut redrive.decoder);
        let described = object.describe(&contents);
        if json {
            let line = serde_json::to_string(&described).expect("strings and numbers are always written");
            writeln!(out, "{line}").map_err(told)?;
        } else {
            if index == 0 {
                row(out, Described::COLUMNS.map(str::to_owned)).map_err(told)?;
            }
            row(out, described.row()).map_err(told)?;
        }
        problems.extend(problems_of(path, contents.problems));
    }
    Ok(problems)
}

fn problems_of(path: &Path, problems: Vec<String>) -> impl Iterator<Item = DeadLetterError> {
    let path = path.to_owned();
    problems.into_iter().map(move |problem| DeadLetterError::GivenUp {
        path: path.clone(),
        problem,
    })
}

/// Collects the files; objects lie in folders as deep as `mapping/shard/year/month/day`.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), DeadLetterError> {
    let reading = |error| failed("reading", path, error);
    if !fs::metadata(path).map_err(reading)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(reading)? {
        find(&entry.map_err(reading)?.path(), files)?;
    }
    Ok(())
}

fn nothing_in(path: &Path) -> DeadLetterError {
    DeadLetterError::GivenUp {
        path: path.to_owned(),
        problem: "there is no file in it: download the objects of the failure destination to here".to_owned(),
    }
}

fn row(out: &mut dyn Write, columns: [String; 8]) -> io::Result<()> {
    // Text from an object must not contain terminal escapes.
    let [time, why, tries, shard, records, readings, arrival, file] =
        columns.map(|column| column.replace(char::is_control, " "));
    writeln!(
        out,
        "{time:24}  {why:32}  {tries:>5}  {shard:20}  {records:>7}  {readings:>8}  {arrival:24}  {file}"
    )
}
