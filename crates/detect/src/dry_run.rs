//! What a reading would come to that nobody has sent: a partition is asked and does not move.

use wire::{Timestamp, Value};

use crate::Settings;
use crate::detector::Finding;
use crate::folded::{Disposition, Folded};
use crate::track::Track;

/// What a partition knows of one sensor.
#[derive(Clone, Copy, Debug)]
pub struct DryRun<'a> {
    track: &'a Track,
    time: Timestamp,
    settings: &'a Settings,
}

impl<'a> DryRun<'a> {
    /// Of a sensor that was heard.
    pub(crate) fn of(track: &'a Track, settings: &'a Settings) -> Option<Self> {
        let time = track.time()?;
        Some(Self { track, time, settings })
    }

    /// When the sensor was heard last.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What it measures.
    pub fn kind(&self) -> &'a str {
        self.track.sensor.kind()
    }

    /// How many numbers its latest reading has.
    pub fn length(&self) -> usize {
        self.track.last.as_ref().map_or(0, |last| last.value.numbers().len())
    }

    /// What these numbers would come to as the sensor's next reading, the usual time after its latest one.
    pub fn judge(&self, numbers: &[f64]) -> Folded {
        let value = match (self.track.last.as_ref().map(|last| &last.value), numbers) {
            (Some(Value::Scalar(_)), [number]) => Value::Scalar(*number),
            _ => Value::Vector(numbers.into()),
        };
        let mut track = self.track.clone();
        let Finding { score, kinds, expected } = track.foretell(&value, self.settings);
        Folded {
            disposition: Disposition::Fresh,
            score,
            expected,
            kinds,
            incident: track.incident(),
        }
    }
}
