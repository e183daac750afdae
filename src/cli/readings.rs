//! `temp-ingest readings SENSOR --table NAME`: what a table kept of a sensor, as lines of JSON or as CSV.

use std::io::{self, Write};

use aws_sdk_dynamodb::Client;
use csv::Writer;
use processor::StoreError;
use processor::dynamodb::TableReadings;
use processor::scores::Scored;
use wire::{Timestamp, Value, json};

/// How readings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A reading a line, in the general form with its score: what `replay` reads.
    #[default]
    Json,
    /// `timestamp,value,anomaly_score`, as `backtest` writes it; it asks for numbers, one a reading.
    Csv,
}

/// Why readings were not written.
#[derive(Debug, thiserror::Error)]
pub enum ReadingsError {
    /// The table keeps nothing of the sensor in that time.
    #[error(
        "table {table:?} keeps no reading of {sensor:?} from {} to {}: the name is written as incidents show it, and the table \
         has what came since the functions were told to store readings, for as many days as they were told to",
        &*.from.zoneless(), &*.to.zoneless()
    )]
    None {
        /// The table.
        table: String,
        /// The sensor.
        sensor: String,
        /// The first instant that was asked for.
        from: Timestamp,
        /// The instant after the last one.
        to: Timestamp,
    },
    /// CSV has no place for it.
    #[error("the reading of {0} is no number: ask for JSON")]
    NoNumber(String),
    /// The table could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be written.
    #[error("writing the answer")]
    Write(#[from] io::Error),
    /// The answer could not be written.
    #[error("writing the answer")]
    Csv(#[from] csv::Error),
}

/// The table, with region, credentials and endpoint as in every AWS SDK.
pub async fn in_table(table: &str) -> TableReadings {
    let settings = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    // For how long readings are kept is for those that write them.
    TableReadings::new(Client::new(&settings), table, 0)
}

/// Writes what is kept of a sensor from an instant on and before another, in order, an hour at a time.
pub async fn write(
    readings: &TableReadings,
    sensor: &str,
    from: Timestamp,
    to: Timestamp,
    format: Format,
    out: &mut (impl Write + Send),
) -> Result<(), ReadingsError> {
    let mut hours = readings.of(sensor, from, to);
    let mut lines = Lines::of(format, out);
    let mut any = false;
    while let Some(hour) = hours.next().await? {
        for scored in &hour {
            lines.write(scored)?;
        }
        any |= !hour.is_empty();
    }
    if !any {
        return Err(ReadingsError::None {
            table: readings.table().to_owned(),
            sensor: sensor.to_owned(),
            from,
            to,
        });
    }
    Ok(lines.end()?)
}

enum Lines<W: Write> {
    Json { out: W, line: Vec<u8> },
    Csv { rows: Box<Writer<W>>, begun: bool },
}

impl<W: Write> Lines<W> {
    fn of(format: Format, out: W) -> Self {
        match format {
            Format::Json => Self::Json { out, line: Vec::new() },
            Format::Csv => Self::Csv {
                rows: Box::new(Writer::from_writer(out)),
                begun: false,
            },
        }
    }

    fn write(&mut self, scored: &Scored) -> Result<(), ReadingsError> {
        match self {
            Self::Json { out, line } => {
                line.clear();
                json::encode(&scored.reading, None, line);
                if let Some(score) = scored.score {
                    // Into the object, before its last brace.
                    line.pop();
                    write!(line, ",\"score\":{score}}}")?;
                }
                line.push(b'\n');
                out.write_all(line)?;
            }
            Self::Csv { rows, begun } => {
                if !*begun {
                    rows.write_record(["timestamp", "value", "anomaly_score"])?;
                    *begun = true;
                }
                let time = (*scored.reading.time().zoneless()).to_owned();
                let Value::Scalar(value) = scored.reading.value() else {
                    return Err(ReadingsError::NoNumber(time));
                };
                let score = scored.score.map(|score| score.to_string()).unwrap_or_default();
                rows.write_record([time, value.to_string(), score])?;
            }
        }
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Json { mut out, .. } => out.flush(),
            Self::Csv { mut rows, .. } => rows.flush(),
        }
    }
}
