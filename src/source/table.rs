//! Readings as CSV with the header `timestamp,value[,sensor]`: columns in any order, others ignored.

use std::str;
use std::sync::Arc;

use csv_core::{ReadRecordResult, Reader};
use wire::json::{Description, Sensors};
use wire::sensor::SensorError;
use wire::{Form, Reading, Sensor, Timestamp, Value};

/// The most columns of a table of readings.
const MAX_COLUMNS: usize = 64;

/// What CSV does not say about its sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The sensor, if there is no column for it.
    pub sensor: String,
    /// What is measured.
    pub datatype: String,
    /// The unit of the values.
    pub unit: Option<String>,
    /// The group of all sensors.
    pub group: Option<String>,
}

/// The columns' positions and recent sensors, in at most [`MAX_SENSORS_BYTES`](wire::json::MAX_SENSORS_BYTES).
pub struct Table {
    described: Described,
    timestamp: usize,
    value: usize,
    sensor: Option<usize>,
    alone: Arc<Sensor>,
    sensors: Sensors,
    row: Row,
}

/// The fields of one line, unquoted; its memory is reused for all lines.
struct Row {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Table {
    /// Creates a table from the header; `None` if it has no `timestamp` or `value`.
    pub fn new(header: &[u8], described: Described) -> Option<Self> {
        let mut row = Row {
            reader: Reader::new(),
            text: Vec::new(),
            ends: Vec::new(),
        };
        row.read(header).ok()?;
        let column = |name: &str| (0..row.ends.len()).find(|column| row.field(*column).trim_ascii() == name.as_bytes());
        let (timestamp, value, sensor) = (column("timestamp")?, column("value")?, column("sensor"));
        Some(Self {
            timestamp,
            value,
            sensor,
            alone: Arc::new(described.sensor(&described.sensor)),
            described,
            sensors: Sensors::default(),
            row,
        })
    }

    /// Returns the reading on a line, or what is wrong with the line.
    pub fn read(&mut self, line: &[u8]) -> Result<Reading, String> {
        self.row.read(line)?;
        let time = self.row.text(self.timestamp, "timestamp")?;
        let time: Timestamp = time.parse().map_err(|error| format!("timestamp {time:?} is {error}"))?;
        let text = self.row.text(self.value, "value")?;
        let value: f64 = text.parse().map_err(|_| format!("value {text:?} is not a number"))?;
        let sensor = match self.sensor {
            None => Arc::clone(&self.alone),
            Some(column) => {
                let id = self.row.text(column, "sensor")?;
                let description = self.described.description(id);
                let refused = |error: SensorError| format!("invalid sensor name: {error}");
                description.check().map_err(refused)?;
                self.sensors.get(&description)
            }
        };
        Reading::new(sensor, time, Value::Scalar(value)).map_err(|error| error.to_string())
    }
}

impl Described {
    /// Returns the sensor with this id.
    pub fn sensor(&self, id: &str) -> Sensor {
        let mut sensor = Sensor::new(id, &self.datatype);
        if let Some(unit) = &self.unit {
            sensor = sensor.with_unit(unit);
        }
        match &self.group {
            Some(group) => sensor.with_group(group),
            None => sensor,
        }
    }

    fn description<'a>(&'a self, id: &'a str) -> Description<'a> {
        Description {
            id,
            kind: &self.datatype,
            unit: self.unit.as_deref(),
            group: self.group.as_deref(),
            bounds: None,
            form: Form::General,
        }
    }
}

impl Row {
    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        self.reader.reset();
        self.text.resize(line.len() + 1, 0);
        self.ends.clear();
        self.ends.resize(MAX_COLUMNS, 0);
        let (mut text, mut columns) = (0, 0);
        for part in [line, b"\n"] {
            let (result, _, written, ended) =
                self.reader
                    .read_record(part, &mut self.text[text..], &mut self.ends[columns..]);
            text += written;
            columns += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => {
                    self.ends.truncate(columns);
                    return Ok(());
                }
                _ => return Err(format!("more than {MAX_COLUMNS} columns")),
            }
        }
        Err("a quoted field does not end on its line".into())
    }

    fn field(&self, column: usize) -> &[u8] {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }

    fn text(&self, column: usize, name: &str) -> Result<&str, String> {
        if column >= self.ends.len() {
            return Err(format!(
                "{name} is missing: the line has {} of the columns",
                self.ends.len()
            ));
        }
        let text = str::from_utf8(self.field(column))
            .map_err(|_| format!("{name} is not UTF-8"))?
            .trim();
        match text {
            "" => Err(format!("{name} is empty")),
            text => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn described() -> Described {
        Described {
            sensor: "cpu".into(),
            datatype: "load".into(),
            unit: Some("%".into()),
            group: None,
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let mut table = Table::new(b"sensor, value ,note,\"timestamp\"", described()).unwrap();
        let reading = table.read(b"\"a,\"\"b\"\"\", 1.5 ,x,2024-05-01 10:00:00").unwrap();
        assert_eq!(reading.sensor().id(), "a,\"b\"");
        assert_eq!(reading.sensor().kind(), "load");
        assert_eq!(reading.sensor().unit(), Some("%"));
        assert_eq!(*reading.value(), Value::Scalar(1.5));
        assert_eq!(reading.time(), "2024-05-01T10:00:00Z".parse().unwrap());
        let again = table.read(b"\"a,\"\"b\"\"\",2,,2024-05-01T10:00:01Z").unwrap();
        assert!(Arc::ptr_eq(reading.sensor(), again.sensor()));
    }

    #[test]
    fn without_a_column_the_sensor_is_the_described_one() {
        let mut table = Table::new(b"timestamp,value", described()).unwrap();
        assert_eq!(table.read(b"2024-05-01 10:00:00,-1e3").unwrap().sensor().id(), "cpu");
    }

    #[test]
    fn a_header_names_timestamp_and_value() {
        for header in [
            "",
            "timestamp",
            "time,value",
            "2014-04-10 00:02:00,14.01",
            "\"timestamp,value",
        ] {
            assert!(Table::new(header.as_bytes(), described()).is_none(), "{header}");
        }
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        let long = format!("2024-05-01 10:00:00,1,{}", "x".repeat(257));
        for (line, reason) in [
            ("2024-05-01 10:00:00", "value is missing"),
            ("2024-05-01 10:00:00,,a", "value is empty"),
            ("2024-05-01 10:00:00,warm,a", "value \"warm\" is not a number"),
            ("2024-05-01 10:00:00,NaN,a", "not a finite number"),
            ("2024-05-01 10:00:00,1,", "sensor is empty"),
            ("yesterday,1,a", "timestamp \"yesterday\""),
            ("2024-02-30 10:00:00,1,a", "no such day"),
            ("2024-05-01 10:00:00,1,\"a", "does not end on its line"),
            (&long, "257 bytes"),
            (&",".repeat(64), "more than 64 columns"),
        ] {
            let mut table = Table::new(b"timestamp,value,sensor", described()).unwrap();
            let error = table.read(line.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
            // The next line is not affected.
            assert!(table.read(b"2024-05-01 10:00:00,1,a").is_ok());
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(header in "[a-z,\"\\n]{0,30}", line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Table::new(header.as_bytes(), described());
            let _ = Table::new(&line, described());
            let _ = Table::new(b"timestamp,value,sensor", described()).unwrap().read(&line);
        }
    }
}
