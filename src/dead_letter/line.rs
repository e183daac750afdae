//! One dead letter as a line of JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use delivery::ledger;
use delivery::record::Record;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wire::Reading;
use wire::aggregate::{AggregateError, deaggregate};
use wire::json::Decoder;

/// A dead letter. Unknown fields, which a later version may add, are ignored.
#[derive(Serialize, Deserialize)]
pub(super) struct Letter<'a> {
    /// When the record was given up.
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    sink: Cow<'a, str>,
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow)]
    producer: Cow<'a, str>,
    number: u64,
    readings: u32,
    /// The readings, as packed.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<Vec<&'a RawValue>>,
    /// The whole record, where it is not JSON.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data_base64: Option<Cow<'a, str>>,
}

/// The line of a record, without its line end.
pub(super) fn written(sink: &str, record: &Record, reason: ledger::DeadLetter, message: &str) -> Vec<u8> {
    let data = user_records(&record.data);
    let data_base64 = match data {
        None => Some(STANDARD.encode(&record.data).into()),
        Some(_) => None,
    };
    let letter = Letter {
        time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into(),
        reason: reason.reason().into(),
        message: message.into(),
        sink: sink.into(),
        partition_key: (&*record.lane.name).into(),
        producer: record.identity.producer.to_string().into(),
        number: record.identity.number,
        readings: record.readings,
        data,
        data_base64,
    };
    serde_json::to_vec(&letter).expect("strings, numbers and JSON that was checked are always written")
}

/// Writes the column names of [`Letter::write_row`].
pub(super) fn write_head(out: &mut dyn Write) -> io::Result<()> {
    row(
        out,
        [
            "time",
            "reason",
            "sink",
            "partition key",
            "producer",
            "number",
            "readings",
            "message",
        ],
    )
}

impl<'a> Letter<'a> {
    /// Parses a line; the error says what is wrong with it.
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| {
            format!("this is not a dead letter ({error}): correct the line, or remove it from the file by hand")
        })
    }

    /// Returns all its readings, or what is wrong with it.
    pub fn readings(&self, decoder: &mut Decoder) -> Result<Vec<Reading>, String> {
        let Some(data) = &self.data else {
            return Err("its payload is not JSON, so it holds no readings: send it another way".to_owned());
        };
        let mut readings = Vec::with_capacity(data.len());
        for (index, json) in data.iter().enumerate() {
            let decoded = decoder.decode(json.get().as_bytes());
            readings.push(decoded.map_err(|error| format!("data[{index}]: {error}"))?.reading);
        }
        Ok(readings)
    }

    /// Writes a table row.
    pub fn write_row(&self, out: &mut dyn Write) -> io::Result<()> {
        row(
            out,
            [
                &self.time,
                &self.reason,
                &self.sink,
                &self.partition_key,
                &self.producer,
                &self.number.to_string(),
                &self.readings.to_string(),
                &self.message,
            ],
        )
    }
}

fn row(out: &mut dyn Write, columns: [&str; 8]) -> io::Result<()> {
    // Text from a service or a sensor name must not contain terminal escapes.
    let [time, reason, sink, key, producer, number, readings, message] =
        columns.map(|column| column.replace(char::is_control, " "));
    writeln!(
        out,
        "{time:27}  {reason:9}  {sink:24}  {key:16}  {producer:16}  {number:>8}  {readings:>8}  {message}"
    )
}

/// The readings inside, each as packed; `None` if one of them is not JSON that fits on a line.
fn user_records(data: &[u8]) -> Option<Vec<&RawValue>> {
    let json = |bytes| {
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        // A line break would split the dead letter.
        (!json.get().contains(['\n', '\r'])).then_some(json)
    };
    match deaggregate(data) {
        Ok(aggregate) => aggregate.records().map(|record| json(record.ok()?.data)).collect(),
        Err(AggregateError::NotAggregated) => Some(vec![json(data)?]),
        Err(AggregateError::Malformed(_)) => None,
    }
}
