//! One observation of one sensor at one instant.

use std::sync::Arc;

use crate::{Sensor, Timestamp};

/// One observation of one sensor at one instant. Cloning it allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    sensor: Arc<Sensor>,
    time: Timestamp,
    value: Value,
}

/// What was observed. Every number is finite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number, in the sensor's unit.
    Scalar(f64),
    /// Several numbers observed at once; never empty.
    Vector(Arc<[f64]>),
}

/// A value that no reading can carry: empty, infinite or not a number.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("value {0} is not finite: a reading carries finite numbers only")]
pub struct NotFinite(pub f64);

impl Reading {
    /// What `sensor` observed at `time`; refused where a number is not finite.
    pub fn new(sensor: Arc<Sensor>, time: Timestamp, value: Value) -> Result<Self, NotFinite> {
        match &value {
            Value::Scalar(number) if !number.is_finite() => Err(NotFinite(*number)),
            Value::Vector(numbers) if numbers.is_empty() => Err(NotFinite(f64::NAN)),
            Value::Vector(numbers) => match numbers.iter().find(|number| !number.is_finite()) {
                Some(number) => Err(NotFinite(*number)),
                None => Ok(Self { sensor, time, value }),
            },
            Value::Scalar(_) => Ok(Self { sensor, time, value }),
        }
    }

    /// Who observed it.
    pub fn sensor(&self) -> &Arc<Sensor> {
        &self.sensor
    }

    /// When it was observed: the event time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What was observed.
    pub fn value(&self) -> &Value {
        &self.value
    }
}
