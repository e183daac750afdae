//! A history as CSV. A row that does not fit says why, and is passed over.

use std::collections::HashMap;
use std::io::{self, Read};
use std::str;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use wire::{Reading, Sensor, Timestamp, Value};

use super::BUFFER;
use super::columns::Columns;
use super::number::{Cell, Decimal};
use super::row::{Fault, Row};
use super::time_format::Zone;

/// What a table does not say of its sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The name of the one sensor of a table that names none.
    pub sensor: String,
    /// What is measured; without it, what the column is called.
    pub kind: Option<String>,
}

/// Rows of a table.
pub(super) struct Table<R> {
    reader: csv::Reader<R>,
    row: ByteRecord,
    /// Lines before the first row.
    skipped: u64,
    columns: Columns,
    zone: Zone,
    /// The time of the row before.
    before: Option<Timestamp>,
    kind: String,
    unit: Option<String>,
    alone: Arc<Sensor>,
    sensors: HashMap<Box<str>, Arc<Sensor>>,
    joined: String,
    numbers: Vec<f64>,
}

impl<R: Read> Table<R> {
    /// Of an input that begins with these columns, on this line.
    pub fn new(input: R, columns: Columns, line: u64, zone: Zone, described: &Described) -> Self {
        let reader = ReaderBuilder::new()
            .delimiter(columns.delimiter)
            .flexible(true)
            .has_headers(columns.header)
            .buffer_capacity(BUFFER)
            .from_reader(input);
        let (name, unit) = match columns.values.as_slice() {
            [column] => columns.name_and_unit(*column),
            _ => ("value", None),
        };
        let name = if columns.header { name } else { "value" };
        let mut table = Self {
            reader,
            row: ByteRecord::new(),
            skipped: line - 1,
            kind: described.kind.clone().unwrap_or_else(|| name.to_owned()),
            unit: unit.map(str::to_owned),
            columns,
            zone,
            before: None,
            alone: Arc::new(Sensor::new("", "")),
            sensors: HashMap::new(),
            joined: String::new(),
            numbers: Vec::new(),
        };
        table.alone = Arc::new(table.sensor(&described.sensor, None));
        table
    }

    /// Where everything stands.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// See [`Rows::next`](super::rows::Rows::next).
    pub fn next(&mut self, shown: &mut ByteRecord) -> io::Result<Option<Row>> {
        if !self.reader.read_byte_record(&mut self.row).map_err(io_error)? {
            return Ok(None);
        }
        let line = self.row.position().map_or(0, csv::Position::line) + self.skipped;
        self.show(shown);
        let reading = self.reading();
        Ok(Some(Row { line, reading }))
    }

    /// See [`Rows::bytes`](super::rows::Rows::bytes).
    pub fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    fn show(&mut self, shown: &mut ByteRecord) {
        shown.clear();
        let cell = |column: &usize| self.row.get(*column).unwrap_or_default();
        match self.columns.time.as_slice() {
            [time] => shown.push_field(cell(time)),
            times => {
                self.joined.clear();
                for time in times {
                    let cell = str::from_utf8(cell(time)).unwrap_or("\u{fffd}").trim();
                    let space = if self.joined.is_empty() || cell.is_empty() {
                        ""
                    } else {
                        " "
                    };
                    self.joined.push_str(space);
                    self.joined.push_str(cell);
                }
                shown.push_field(self.joined.as_bytes());
            }
        }
        for column in self.columns.sensor.iter().chain(&self.columns.values) {
            shown.push_field(cell(column));
        }
    }

    fn reading(&mut self) -> Result<Reading, Fault> {
        let time = match self.columns.time.as_slice() {
            [column] => text(&self.row, *column, &self.columns)?,
            _ => &self.joined,
        };
        let instant = self.columns.format.read(time);
        let instant = instant.and_then(|written| self.zone.instant(written, self.before));
        let Some(instant) = instant else {
            return Err(Fault::Malformed(match time {
                "" => "the time is empty".into(),
                _ => format!("time {time:?} is none written as {}", self.columns.format),
            }));
        };
        self.before = Some(instant);
        let sensor = match self.columns.sensor {
            None => Arc::clone(&self.alone),
            Some(column) => {
                let id = text(&self.row, column, &self.columns)?;
                match self.sensors.get(id) {
                    Some(sensor) => Arc::clone(sensor),
                    None => self.meet(column)?,
                }
            }
        };
        let value = match self.columns.values.as_slice() {
            [column] => Value::Scalar(self.number(*column)?),
            _ => {
                self.numbers.clear();
                for place in 0..self.columns.values.len() {
                    let number = self.number(self.columns.values[place])?;
                    self.numbers.push(number);
                }
                Value::Vector(self.numbers.as_slice().into())
            }
        };
        Reading::new(sensor, instant, value).map_err(|error| Fault::Malformed(error.to_string()))
    }

    fn number(&self, column: usize) -> Result<f64, Fault> {
        let cell = text(&self.row, column, &self.columns)?;
        match self.columns.decimal.read(cell) {
            Cell::Number(number) => Ok(number),
            Cell::Missing => Err(Fault::Missing),
            Cell::Other => {
                let comma = match self.columns.decimal {
                    Decimal::Comma => " with a decimal comma",
                    _ => "",
                };
                Err(Fault::Malformed(format!(
                    "{} {cell:?} is not a number{comma}",
                    self.columns.names[column]
                )))
            }
        }
    }

    /// A sensor that had no row yet.
    fn meet(&mut self, column: usize) -> Result<Arc<Sensor>, Fault> {
        let id = text(&self.row, column, &self.columns)?;
        let group = match self.columns.group {
            Some(group) => Some(text(&self.row, group, &self.columns)?),
            None => None,
        };
        let sensor = self.sensor(id, group);
        let named = sensor.check();
        named.map_err(|error| Fault::Malformed(format!("a sensor cannot be named {id:?}: {error}")))?;
        let sensor = Arc::new(sensor);
        self.sensors.insert(id.into(), Arc::clone(&sensor));
        Ok(sensor)
    }

    fn sensor(&self, id: &str, group: Option<&str>) -> Sensor {
        let mut sensor = Sensor::new(id, &self.kind);
        if let Some(unit) = &self.unit {
            sensor = sensor.with_unit(unit);
        }
        match group {
            Some(group) if !group.is_empty() => sensor.with_group(group),
            _ => sensor,
        }
    }
}

fn text<'a>(row: &'a ByteRecord, column: usize, columns: &Columns) -> Result<&'a str, Fault> {
    let name = &columns.names[column];
    let cell = row
        .get(column)
        .ok_or_else(|| Fault::Malformed(format!("{name} is not there: the row has {} columns", row.len())))?;
    let text = str::from_utf8(cell).map_err(|_| Fault::Malformed(format!("{name} is not UTF-8")))?;
    Ok(text.trim())
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
