//! The detectors over a person's own history: one pass, each row judged by the rows before it only. It opens no file and
//! knows no terminal. Read in this order:

/// Which columns are times, values and sensors.
pub mod columns;
/// A drawing of it, for people.
pub mod plot;
/// How far it has come, for people.
pub mod progress;
/// What was found, for people.
pub mod summary;
/// Rows of a table.
pub mod table;
/// How times are written, and the zone of those that name none.
pub mod time_format;

mod history;
mod lines;
mod number;
mod row;
mod rows;
#[cfg(test)]
mod tests;
mod time_guess;

use std::io::{self, Read, Write};

use columns::Wanted;
use csv::{ByteRecord, WriterBuilder};
use detect::Settings;
use detect::settings::SensorLimit;
use history::History;
use plot::Plot;
use progress::Progress;
use row::Row;
use rows::{Rows, Unopened};
use summary::Summary;
use table::Described;
use time_format::Zone;

/// Read and written at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What a person says of a history.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file, for messages.
    pub path: String,
    /// The columns.
    pub wanted: Wanted,
    /// The sensors.
    pub described: Described,
    /// Of times that name no zone.
    pub zone: Zone,
}

/// Who looks on while a history is judged.
#[derive(Debug)]
pub struct Watched<'a, W> {
    /// A terminal.
    pub progress: Option<Progress<W>>,
    /// A drawing.
    pub plot: Option<&'a mut Plot>,
}

/// Why a history could not be judged to its end.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// It cannot be told what is written there.
    #[error("{path}:{line}: {problem}")]
    Unclear {
        /// The file.
        path: String,
        /// Where the rows begin.
        line: u64,
        /// What is unclear, and how to mend it.
        problem: String,
    },
    /// It could not be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The scores could not be written.
    #[error("writing the scores of {path}")]
    Write {
        /// The file that was read.
        path: String,
        /// Why.
        #[source]
        source: csv::Error,
    },
}

/// Judges a history and writes `timestamp,value,anomaly_score,incident`: a row for each row, in order, the first two as they
/// were, the last the number of the incident that is open. Where rows name their sensors, the name is the second column;
/// several values are as many columns under their own names. `out` is opened once it is clear how to read the history.
pub fn backtest<O: Write>(
    input: impl Read,
    options: &Options,
    settings: &Settings,
    mut watched: Watched<'_, impl Write>,
    out: impl FnOnce() -> io::Result<O>,
) -> Result<Summary, BacktestError> {
    // The operator's own file on the operator's own machine.
    let settings = &Settings {
        max_sensors_per_partition: SensorLimit::HIGHEST,
        ..settings.clone()
    };
    let path = || options.path.clone();
    let read = |source| BacktestError::Read { path: path(), source };
    let write = |source| BacktestError::Write { path: path(), source };
    let opened = Rows::open(input, &options.wanted, &options.zone, &options.described);
    let mut rows = opened.map_err(|unopened| match unopened {
        Unopened::Read(source) => read(source),
        Unopened::Unclear { line, problem } => BacktestError::Unclear {
            path: path(),
            line,
            problem,
        },
    })?;
    let out = out().map_err(|error| write(error.into()))?;
    let mut scored = WriterBuilder::new().buffer_capacity(BUFFER).from_writer(out);
    scored.write_byte_record(&rows.header()).map_err(write)?;
    let mut history = History::new(
        settings,
        Summary::new(path(), rows.read_as(&options.zone), rows.named(), options.zone.clone()),
    );
    let (mut shown, mut number) = (ByteRecord::new(), Vec::new());
    while let Some(Row { line, reading }) = rows.next(&mut shown).map_err(read)? {
        let judged = match reading {
            Ok(reading) => {
                let judged = history.judge(&reading);
                if let (Some(plot), Some((place, folded))) = (&mut watched.plot, &judged.folded) {
                    plot.add(*place, &reading, folded);
                }
                judged
            }
            Err(fault) => history.pass_over(line, fault, rows.named().then(|| &shown[1])),
        };
        let mut add = |number: &mut Vec<u8>| {
            shown.push_field(number);
            number.clear();
        };
        write!(number, "{}", judged.score).expect("memory takes all");
        add(&mut number);
        if let Some(incident) = judged.incident {
            write!(number, "{incident}").expect("memory takes all");
        }
        add(&mut number);
        scored.write_byte_record(&shown).map_err(write)?;
        if let Some(progress) = &mut watched.progress {
            let summary = history.summary();
            let told = progress.tell(summary.rows, rows.bytes(), summary.incidents.len());
            told.map_err(|error| write(error.into()))?;
        }
    }
    scored.flush().map_err(|error| write(error.into()))?;
    if let Some(progress) = &mut watched.progress {
        progress.end().map_err(|error| write(error.into()))?;
    }
    let (sensors, summary) = history.end();
    if let Some(plot) = watched.plot {
        plot.describe(sensors, rows.values());
    }
    Ok(summary)
}
