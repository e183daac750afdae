//! One observation of one sensor at one instant.

use std::sync::Arc;

use crate::{Fields, Sensor, Timestamp};

/// One observation of one sensor at one instant. Cloning it allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    sensor: Arc<Sensor>,
    time: Timestamp,
    value: Value,
}

/// What was observed. Every number is finite. Cloning it allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number, in the sensor's unit.
    Scalar(f64),
    /// Several numbers observed at once; never empty.
    Vector(Arc<[f64]>),
    /// No number, but something that happened.
    Event(Fields),
}

impl Value {
    /// Its numbers, one or many; an event has none.
    pub fn numbers(&self) -> &[f64] {
        match self {
            Self::Scalar(number) => std::slice::from_ref(number),
            Self::Vector(numbers) => numbers,
            Self::Event(_) => &[],
        }
    }
}

/// The most numbers a vector may hold.
pub const MAX_NUMBERS: usize = 1_024;

/// A value that no reading can carry.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// Infinite, or not a number.
    #[error("{0} is not a finite number")]
    NotFinite(f64),
    /// A vector without a number.
    #[error("the vector is empty: send at least one number")]
    Empty,
    /// A vector with more numbers than [`MAX_NUMBERS`].
    #[error("the vector has {0} numbers: send at most {MAX_NUMBERS}")]
    TooMany(usize),
}

impl Reading {
    /// What `sensor` observed at `time`; refused where a number is not finite, or a vector empty or too long.
    pub fn new(sensor: Arc<Sensor>, time: Timestamp, value: Value) -> Result<Self, ValueError> {
        let numbers = value.numbers();
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(ValueError::NotFinite(*number)),
            None if numbers.is_empty() && !matches!(value, Value::Event(_)) => Err(ValueError::Empty),
            None if numbers.len() > MAX_NUMBERS => Err(ValueError::TooMany(numbers.len())),
            None => Ok(Self { sensor, time, value }),
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

    /// The bytes of memory it takes. Its sensor counts in full, although other readings may share it.
    pub fn memory_bytes(&self) -> usize {
        let value = match &self.value {
            Value::Scalar(_) => 0,
            Value::Vector(numbers) => size_of_val(&**numbers),
            Value::Event(fields) => fields.as_json().len(),
        };
        size_of::<Self>() + value + self.sensor.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_memory_grows_with_its_value_and_its_names() {
        let bytes = |id: &str, value| {
            let sensor = Arc::new(Sensor::new(id, "k"));
            Reading::new(sensor, Timestamp::default(), value).map(|reading| reading.memory_bytes())
        };
        let scalar = bytes("s", Value::Scalar(1.0)).unwrap_or_default();
        assert!(scalar >= size_of::<Reading>() + size_of::<Sensor>());
        assert_eq!(bytes(&"s".repeat(256), Value::Scalar(1.0)), Ok(scalar + 255));
        assert_eq!(bytes("s", Value::Vector([0.0; 1_024].into())), Ok(scalar + 8 * 1_024));
        let fields = Fields::parse("{\"action\":\"Click\"}").expect("an event");
        assert_eq!(bytes("s", Value::Event(fields)), Ok(scalar + 18));
    }

    #[test]
    fn what_no_reading_can_carry_is_refused() {
        let read = |value| Reading::new(Arc::new(Sensor::new("s", "k")), Timestamp::default(), value);
        let vector = |numbers: &[f64]| Value::Vector(numbers.into());
        assert!(read(vector(&[0.0; MAX_NUMBERS])).is_ok());
        assert_eq!(read(vector(&[0.0; MAX_NUMBERS + 1])), Err(ValueError::TooMany(1_025)));
        assert_eq!(read(vector(&[])), Err(ValueError::Empty));
        let infinite = Err(ValueError::NotFinite(f64::INFINITY));
        assert_eq!(read(vector(&[0.0, f64::INFINITY])), infinite);
        assert_eq!(read(Value::Scalar(f64::INFINITY)), infinite);
        assert!(read(Value::Scalar(f64::NAN)).is_err());
    }
}
