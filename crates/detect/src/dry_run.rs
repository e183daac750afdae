//! The score a reading would get: the partition is asked, and does not change.

use wire::{Timestamp, Value};

use crate::Settings;
use crate::detector::Finding;
use crate::folded::{Disposition, Folded};
use crate::track::Track;

/// What a partition knows about one sensor.
#[derive(Clone, Copy, Debug)]
pub struct DryRun<'a> {
    track: &'a Track,
    time: Timestamp,
    settings: &'a Settings,
}

impl<'a> DryRun<'a> {
    /// For a sensor with a reading.
    pub(crate) fn of(track: &'a Track, settings: &'a Settings) -> Option<Self> {
        let time = track.time()?;
        Some(Self { track, time, settings })
    }

    /// Time of its latest reading.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What it measures.
    pub fn kind(&self) -> &'a str {
        self.track.sensor.kind()
    }

    /// Number count of its latest reading.
    pub fn length(&self) -> usize {
        self.track.last.as_ref().map_or(0, |last| last.value.numbers().len())
    }

    /// Judges these numbers as the sensor's next reading, one median interval after its latest one.
    pub fn judge(&self, numbers: &[f64]) -> Folded {
        let value = match (self.track.last.as_ref().map(|last| &last.value), numbers) {
            (Some(Value::Scalar(_)), [number]) => Value::Scalar(*number),
            _ => Value::Vector(numbers.into()),
        };
        let mut track = self.track.clone();
        let Finding { score, kinds, expected } = track.dry_run(&value, self.settings);
        Folded {
            disposition: Disposition::Fresh,
            score,
            expected,
            kinds,
            incident: track.incident(),
        }
    }
}
