//! The detectors over a person's own history: one pass, each row judged by the rows before it only. It knows no file and
//! no terminal.

use std::fmt;
use std::io::{Read, Write};
use std::str;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use detect::{Change, Disposition, Event, Folded, Journal, Page, Settings, Transition};
use wire::{Reading, Sensor, Timestamp, Value};

/// Of so many malformed rows the line and the reason are kept; the others are counted.
const REASONS: usize = 20;

/// Why a history could not be judged to its end.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// It is not CSV with the right header.
    #[error(
        "{path}:1: the header {found:?} lacks {missing:?}: the first line must name the columns timestamp and value, as in \"timestamp,value\""
    )]
    Header {
        /// The file.
        path: String,
        /// Its first line.
        found: String,
        /// The column that is missing.
        missing: &'static str,
    },
    /// It could not be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: csv::Error,
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

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The file.
    pub path: String,
    /// Rows read, and as many written.
    pub rows: u64,
    /// Rows not newer than the one before them: repeated or out of order, written with score 0.
    pub late: u64,
    /// Rows that could not be read, written with score 0.
    pub malformed: u64,
    /// The first of the malformed rows: line and reason.
    pub reasons: Vec<(u64, String)>,
    /// All incidents, in the order they opened; the first is number 1.
    pub incidents: Vec<Incident>,
}

/// An incident in a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// When it opened.
    pub start: Timestamp,
    /// When it resolved; `None` where the history ends before.
    pub end: Option<Timestamp>,
    /// Its highest score, where 2 is an alert.
    pub peak: f64,
    /// What was wrong.
    pub kinds: Vec<&'static str>,
}

/// Judges a CSV with the header `timestamp,value` (other columns are passed over) as readings of `sensor`, and writes
/// `timestamp,value,anomaly_score,incident`: a row for each row, in order, the first two as they were, the last the number
/// of the incident that is open. `path` is for messages only.
pub fn backtest(
    input: impl Read,
    path: &str,
    sensor: Sensor,
    settings: &Settings,
    out: &mut impl Write,
) -> Result<Summary, BacktestError> {
    let read = |source| BacktestError::Read {
        path: path.to_owned(),
        source,
    };
    let write = |source| BacktestError::Write {
        path: path.to_owned(),
        source,
    };
    let mut rows = ReaderBuilder::new().flexible(true).from_reader(input);
    let header = rows.byte_headers().map_err(read)?;
    let column = |missing| {
        let place = header
            .iter()
            .position(|name| name.trim_ascii() == str::as_bytes(missing));
        place.ok_or_else(|| BacktestError::Header {
            path: path.to_owned(),
            found: String::from_utf8_lossy(&header.iter().collect::<Vec<_>>().join(&b',')).into_owned(),
            missing,
        })
    };
    let columns = (column("timestamp")?, column("value")?);

    let mut scored = csv::Writer::from_writer(out);
    scored
        .write_record(["timestamp", "value", "anomaly_score", "incident"])
        .map_err(write)?;
    let mut history = History::new(path, sensor);
    let mut row = ByteRecord::new();
    while rows.read_byte_record(&mut row).map_err(read)? {
        let folded = history.judge(&row, columns, settings);
        let (score, incident) = folded.map_or((0.0, None), |folded| (folded.score, folded.incident));
        let number = match incident {
            Some(_) => history.summary.incidents.len().to_string(),
            None => String::new(),
        };
        let field = |column| row.get(column).unwrap_or_default();
        scored
            .write_record([
                field(columns.0),
                field(columns.1),
                score.to_string().as_bytes(),
                number.as_bytes(),
            ])
            .map_err(write)?;
    }
    scored.flush().map_err(|error| write(error.into()))?;
    Ok(history.summary)
}

/// What the rows so far have led to.
struct History {
    page: Page,
    sensor: Arc<Sensor>,
    /// An incident that goes on lasts beyond a row that cannot be read.
    last: Option<Folded>,
    events: Vec<Event>,
    summary: Summary,
}

impl History {
    fn new(path: &str, sensor: Sensor) -> Self {
        Self {
            page: Page::new(),
            sensor: Arc::new(sensor),
            last: None,
            events: Vec::new(),
            summary: Summary {
                path: path.to_owned(),
                ..Summary::default()
            },
        }
    }

    fn judge(&mut self, row: &ByteRecord, columns: (usize, usize), settings: &Settings) -> Option<Folded> {
        self.summary.rows += 1;
        match self.reading(row, columns) {
            Ok(reading) => {
                // Nothing is stored, so nothing has to be replayed.
                let mut journal = Journal::new();
                let folded = self.page.fold(&reading, settings, &mut journal, &mut self.events);
                self.summary.late += u64::from(folded.disposition == Disposition::Late);
                for event in self.events.drain(..) {
                    if let Event::Incident(transition) = event {
                        self.summary.tell(&transition);
                    }
                }
                if let (Some(_), Some(incident)) = (folded.incident, self.summary.incidents.last_mut()) {
                    incident.peak = incident.peak.max(folded.score);
                }
                self.last = Some(folded);
            }
            Err(reason) => {
                self.summary.malformed += 1;
                if self.summary.reasons.len() < REASONS {
                    let line = row.position().map_or(0, csv::Position::line);
                    self.summary.reasons.push((line, reason));
                }
                if let Some(last) = &mut self.last {
                    last.score = 0.0;
                }
            }
        }
        self.last
    }

    fn reading(&self, row: &ByteRecord, columns: (usize, usize)) -> Result<Reading, String> {
        let field = |column, name| {
            let field = row.get(column).ok_or_else(|| format!("{name} is missing"))?;
            let text = str::from_utf8(field).map_err(|_| format!("{name} is not UTF-8"))?;
            Ok::<_, String>(text.trim())
        };
        let time = field(columns.0, "timestamp")?;
        let time = time.parse().map_err(|error| format!("timestamp {time:?} is {error}"))?;
        let value = field(columns.1, "value")?;
        let value = value.parse().map_err(|_| format!("value {value:?} is not a number"))?;
        Reading::new(self.sensor.clone(), time, Value::Scalar(value)).map_err(|error| error.to_string())
    }
}

impl Summary {
    fn tell(&mut self, transition: &Transition) {
        if transition.change == Change::Opened {
            self.incidents.push(Incident {
                start: transition.since,
                end: None,
                peak: 0.0,
                kinds: Vec::new(),
            });
        }
        if let Some(incident) = self.incidents.last_mut() {
            incident.peak = transition.peak;
            incident.kinds = transition.kinds.names(transition.sensor.kind()).collect();
            if transition.change == Change::Resolved {
                incident.end = Some(transition.time);
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows", self.path, self.rows)?;
        for (count, what) in [(self.late, "late or repeated"), (self.malformed, "malformed")] {
            if count > 0 {
                write!(f, ", {count} {what} (score 0)")?;
            }
        }
        for (line, reason) in &self.reasons {
            write!(f, "\n{}:{line}: {reason}", self.path)?;
        }
        let more = self.malformed - self.reasons.len() as u64;
        if more > 0 {
            write!(f, "\n{more} more malformed rows")?;
        }
        if self.incidents.is_empty() {
            return write!(f, "\nno incident");
        }
        for (number, incident) in (1..).zip(&self.incidents) {
            write!(f, "\nincident {number}: {} to ", incident.start)?;
            match incident.end {
                Some(end) => write!(f, "{end}")?,
                None => write!(f, "the end of the file, still open")?,
            }
            write!(f, ", peak {:.1}, {}", incident.peak, incident.kinds.join(" and "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use wire::Bounds;

    use super::*;

    fn run(input: &str) -> (Summary, String) {
        let bounds = Bounds {
            lowest: 0.0,
            highest: 10.0,
        };
        let sensor = Sensor::new("history", "Temperature").with_bounds(bounds);
        let mut out = Vec::new();
        let summary = backtest(input.as_bytes(), "history.csv", sensor, &Settings::default(), &mut out).unwrap();
        (summary, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_row_gives_a_row_as_it_was() {
        let (summary, out) = run("note,value,timestamp\n\
            a,5.50,2024-05-01 10:00:00\n\
            b,warm,2024-05-01 10:00:01\n\
            c,15,2024-05-01T10:00:02Z\n\
            d,5,2024-05-01 10:00:02\n\
            e\n\
            \"f, g\",5,2024-05-01T12:00:03.5+02:00\n");
        let expected = "timestamp,value,anomaly_score,incident\n\
            2024-05-01 10:00:00,5.50,0,\n\
            2024-05-01 10:00:01,warm,0,\n\
            2024-05-01T10:00:02Z,15,3,1\n\
            2024-05-01 10:00:02,5,0,1\n\
            ,,0,1\n\
            2024-05-01T12:00:03.5+02:00,5,0,1\n";
        assert_eq!(out, expected);
        assert_eq!((summary.rows, summary.late, summary.malformed), (6, 1, 2));
        let lines: Vec<_> = summary.reasons.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 6]);
    }

    #[test]
    fn incidents_are_numbered_and_end() {
        let mut input = String::from("timestamp,value\n");
        for minute in 0..120 {
            let value = match minute {
                10 | 100..110 => 12.0,
                110.. => 13.0,
                _ => 5.0 + f64::from(minute % 3),
            };
            input += &format!("2024-05-01 {:02}:{:02}:00,{value}\n", 10 + minute / 60, minute % 60);
        }
        let (summary, out) = run(&input);
        let told = summary.to_string();
        assert!(told.contains("history.csv: 120 rows\n"), "{told}");
        let first = "incident 1: 2024-05-01T10:10:00.000000Z to 2024-05-01T10:25:00.000000Z, peak 2.4, Hot\n";
        assert!(told.contains(first), "{told}");
        let second = "incident 2: 2024-05-01T11:40:00.000000Z to the end of the file, still open, peak 2.6, Hot";
        assert!(told.contains(second), "{told}");
        let open = |number: &str| out.lines().filter(|line| line.ends_with(number)).count();
        assert_eq!((open(",1"), open(",2")), (15, 20));
    }

    #[test]
    fn no_row_is_judged_by_a_later_one() {
        let mut input = String::from("timestamp,value\n");
        for minute in 0..1000 {
            let value = (f64::from(minute) / 30.0).sin() + if minute == 700 { 8.0 } else { 0.0 };
            input += &format!(
                "2024-05-{:02} {:02}:{:02}:00,{value}\n",
                1 + minute / 1440,
                minute / 60 % 24,
                minute % 60
            );
        }
        let (_, whole) = run(&input);
        let half: String = input.split_inclusive('\n').take(601).collect();
        let (_, part) = run(&half);
        assert!(whole.starts_with(&part) && part.lines().count() == 601);
    }

    #[test]
    fn a_header_without_its_columns_is_refused() {
        let mut out = Vec::new();
        let sensor = Sensor::new("history", "load");
        let error = backtest(
            &b"time,value\n1,2\n"[..],
            "history.csv",
            sensor,
            &Settings::default(),
            &mut out,
        )
        .unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("history.csv:1:") && told.contains("lacks \"timestamp\""),
            "{told}"
        );
        assert!(out.is_empty());
    }

    #[test]
    fn an_empty_history_has_no_incident() {
        let (summary, out) = run("timestamp,value\n");
        assert_eq!(summary.to_string(), "history.csv: 0 rows\nno incident");
        assert_eq!(out, "timestamp,value,anomaly_score,incident\n");
    }
}
