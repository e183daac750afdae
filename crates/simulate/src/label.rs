//! The truth about an injected fault, as a JSON line.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use wire::{Sensor, Timestamp};

/// One injected fault. Its readings are those of the sensor from `start` to `end`, both included.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Whose readings it changes.
    pub sensor: Arc<Sensor>,
    /// What goes wrong, in a word: of a sensor that measures as [`fault::Kind`](super::fault::Kind) says it, of one that
    /// sends events `changed_fields`.
    pub kind: &'static str,
    /// The event time of its first reading.
    pub start: Timestamp,
    /// The event time of its last reading, had the series not ended before.
    pub end: Timestamp,
    /// How far it goes, in standard deviations of the profile's own noise; 0 where nothing is added.
    pub magnitude: f64,
}

impl Label {
    /// Writes `{"sensor","kind","start","end","magnitude"}` and a line feed.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            sensor: &'a str,
            kind: &'a str,
            start: String,
            end: String,
            magnitude: f64,
        }
        let line = Line {
            sensor: self.sensor.id(),
            kind: self.kind,
            start: self.start.to_string(),
            end: self.end.to_string(),
            magnitude: self.magnitude,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }
}
