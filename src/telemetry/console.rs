//! What is measured now, a line every few seconds, for a person who looks on. It knows readings, and nothing of where they go.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use processor::message::text::printable;
use wire::{Reading, Value};

/// Sensors named on one line; of the others only the number is told.
const SHOWN: usize = 6;
/// Sensors whose last reading is kept: with the largest vector or event of each they take 4 MiB.
const SENSORS: usize = 256;

/// The last reading of each of the first sensors.
#[derive(Debug, Default)]
pub struct Console(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// At most [`SENSORS`].
    latest: BTreeMap<Box<str>, Reading>,
    /// There are more sensors than are kept.
    more: bool,
    readings: u64,
    /// The line begins with the sensor after this one, so that each has its turn.
    turn: Option<Box<str>>,
}

impl Console {
    /// Readings have come in.
    pub fn show(&self, readings: &[Reading]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.readings += readings.len() as u64;
        for reading in readings {
            let full = seen.latest.len() == SENSORS;
            match seen.latest.get_mut(reading.sensor().id()) {
                Some(latest) => latest.clone_from(reading),
                None if full => seen.more = true,
                None => drop(seen.latest.insert(reading.sensor().id().into(), reading.clone())),
            }
        }
    }

    /// What came in since the last line; `None` where nothing did.
    pub fn line(&self) -> Option<String> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let readings = std::mem::take(&mut seen.readings);
        if readings == 0 {
            return None;
        }
        let than = if seen.more { "more than " } else { "" };
        let mut line = format!("{readings} readings of {than}{} sensors:", seen.latest.len());
        let turn = seen.turn.take();
        let after = seen.latest.range::<str, _>((
            turn.as_deref()
                .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
            std::ops::Bound::Unbounded,
        ));
        let mut last = None;
        for (at, (id, reading)) in after.chain(&seen.latest).take(SHOWN.min(seen.latest.len())).enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let _ = write!(line, "{separator} {id} {}", worded(reading));
            last = Some(id.clone());
        }
        seen.turn = last;
        Some(line)
    }
}

fn worded(reading: &Reading) -> String {
    let unit = reading
        .sensor()
        .unit()
        .map(|unit| format!(" {unit}"))
        .unwrap_or_default();
    match reading.value() {
        Value::Scalar(value) => format!("{value:.1}{unit}"),
        Value::Event(fields) => printable(fields.as_json()),
        Value::Vector(values) => format!("{} values{unit}", values.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wire::{Sensor, Timestamp};

    use super::*;

    #[test]
    fn every_sensor_has_its_turn() {
        let console = Console::default();
        let readings = (0..8).map(|index| {
            let sensor = Arc::new(Sensor::new(&format!("s{index}"), "temperature").with_unit("°C"));
            Reading::new(sensor, Timestamp::default(), Value::Scalar(f64::from(index))).ok()
        });
        let readings: Vec<_> = readings.flatten().collect();
        assert_eq!(console.line(), None);
        console.show(&readings);
        let first = console.line().unwrap_or_default();
        assert_eq!(
            first,
            "8 readings of 8 sensors: s0 0.0 °C, s1 1.0 °C, s2 2.0 °C, s3 3.0 °C, s4 4.0 °C, s5 5.0 °C"
        );
        console.show(&readings[..2]);
        let second = console.line().unwrap_or_default();
        assert!(
            second.starts_with("2 readings of 8 sensors: s6 6.0 °C, s7 7.0 °C, s0 0.0 °C"),
            "{second}"
        );
    }

    #[test]
    fn memory_does_not_grow_with_the_sensors() {
        let console = Console::default();
        for number in 0..2 * SENSORS {
            let sensor = Arc::new(Sensor::new(&format!("s{number}"), "temperature"));
            let reading = Reading::new(sensor, Timestamp::default(), Value::Scalar(1.0));
            console.show(&[reading.expect("one is a finite number")]);
        }
        let line = console.line().unwrap_or_default();
        assert!(line.starts_with("512 readings of more than 256 sensors: "), "{line}");
    }
}
