//! A history as readings in JSON, one a line, as `temp-ingest simulate` writes them.

use std::fmt::Write;
use std::io::{self, BufRead, BufReader, Read};

use csv::ByteRecord;
use wire::Value;
use wire::json::{DecodeError, Decoder};

use super::BUFFER;
use super::row::{Fault, Row};

/// A longer line is no reading; the rest of it is passed over.
const MAX_LINE: u64 = 1 << 20;

/// Rows that are JSON objects.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    decoder: Decoder,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    text: String,
}

impl<R: Read> Lines<R> {
    /// Of an input.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            decoder: Decoder::new(),
            line: Vec::new(),
            number: 0,
            bytes: 0,
            text: String::new(),
        }
    }

    /// See [`Rows::bytes`](super::rows::Rows::bytes).
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// See [`Rows::next`](super::rows::Rows::next). Every row has a sensor.
    pub fn next(&mut self, shown: &mut ByteRecord) -> io::Result<Option<Row>> {
        loop {
            self.line.clear();
            let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line)? as u64;
            self.bytes += read;
            self.number += 1;
            if read == 0 {
                return Ok(None);
            }
            let too_long = read == MAX_LINE && !self.line.ends_with(b"\n");
            if too_long {
                self.bytes += self.input.skip_until(b'\n')? as u64;
            }
            let line = self.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let reading = match self.decoder.decode(line) {
                _ if too_long => Err(Fault::Malformed(format!("a line of more than {MAX_LINE} bytes"))),
                Ok(decoded) => Ok(decoded.reading),
                // Absent and null are the same to the decoder.
                Err(DecodeError::Missing { field: "value", .. }) => Err(Fault::Missing),
                Err(error) => Err(Fault::Malformed(error.to_string())),
            };
            shown.clear();
            match &reading {
                Err(_) => [b"", b"", b""].iter().for_each(|empty| shown.push_field(*empty)),
                Ok(reading) => {
                    shown.push_field(&reading.time().rfc3339());
                    shown.push_field(reading.sensor().id().as_bytes());
                    self.text.clear();
                    show(reading.value(), &mut self.text);
                    shown.push_field(self.text.as_bytes());
                }
            }
            return Ok(Some(Row {
                line: self.number,
                reading,
            }));
        }
    }
}

/// As JSON.
fn show(value: &Value, text: &mut String) {
    let written = match value {
        Value::Scalar(number) => write!(text, "{number}"),
        Value::Event(fields) => write!(text, "{}", fields.as_json()),
        Value::Vector(numbers) => {
            text.push('[');
            let mut written = Ok(());
            for (place, number) in numbers.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                written = written.and_then(|()| write!(text, "{comma}{number}"));
            }
            text.push(']');
            written
        }
    };
    written.expect("memory takes all");
}
