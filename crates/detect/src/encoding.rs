//! The form of the types of `wire` in state and events; `wire` itself knows only JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A [`wire::Timestamp`] as its microseconds.
pub mod timestamp {
    use wire::Timestamp;

    use super::*;

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        time.as_micros().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        Timestamp::from_micros(micros).ok_or_else(|| D::Error::custom("a time outside the years 0000 to 9999"))
    }
}

/// A [`wire::Value`] as its numbers, or as the JSON of its event.
pub mod value {
    use wire::{Fields, Value};

    use super::*;

    #[derive(Serialize, Deserialize)]
    enum Form {
        Scalar(f64),
        Vector(Vec<f64>),
        Event(Box<str>),
    }

    pub fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Value::Scalar(number) => Form::Scalar(*number),
            Value::Vector(numbers) => Form::Vector(numbers.to_vec()),
            Value::Event(fields) => Form::Event(fields.as_json().into()),
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let value = match Form::deserialize(deserializer)? {
            Form::Scalar(number) => Value::Scalar(number),
            Form::Vector(numbers) => Value::Vector(numbers.into()),
            Form::Event(json) => return Fields::parse(&json).map(Value::Event).map_err(D::Error::custom),
        };
        let numbers = value.numbers();
        if numbers.is_empty() || numbers.iter().any(|number| !number.is_finite()) {
            return Err(D::Error::custom("a value that is empty or not finite"));
        }
        Ok(value)
    }
}

/// A [`wire::Sensor`] field by field; its hash is recomputed.
pub mod sensor {
    use std::borrow::Cow;
    use std::sync::Arc;

    use wire::{Bounds, Form, Sensor};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Fields<'a> {
        id: Cow<'a, str>,
        kind: Cow<'a, str>,
        unit: Option<Cow<'a, str>>,
        group: Option<Cow<'a, str>>,
        bounds: Option<(f64, f64)>,
        device: bool,
    }

    pub fn serialize<S: Serializer>(sensor: &Sensor, serializer: S) -> Result<S::Ok, S::Error> {
        Fields {
            id: sensor.id().into(),
            kind: sensor.kind().into(),
            unit: sensor.unit().map(Cow::from),
            group: sensor.group().map(Cow::from),
            bounds: sensor.bounds().map(|bounds| (bounds.lowest, bounds.highest)),
            device: sensor.form() == Form::Device,
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Sensor>, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let mut sensor = Sensor::new(&fields.id, &fields.kind);
        if let Some(unit) = fields.unit {
            sensor = sensor.with_unit(&unit);
        }
        if let Some(group) = fields.group {
            sensor = sensor.with_group(&group);
        }
        if let Some((lowest, highest)) = fields.bounds {
            sensor = sensor.with_bounds(Bounds { lowest, highest });
        }
        if fields.device {
            sensor = sensor.with_form(Form::Device);
        }
        sensor.check_kept().map_err(D::Error::custom)?;
        Ok(Arc::new(sensor))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wire::Sensor;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept(#[serde(with = "sensor")] Arc<Sensor>);

    #[test]
    fn a_sensor_with_an_empty_kind_is_read_back() {
        let kept = Kept(Arc::new(Sensor::new("s", "")));
        let bytes = postcard::to_stdvec(&kept).expect("a sensor can be written");
        let back: Kept = postcard::from_bytes(&bytes).expect("it was taken before");
        assert_eq!(back.0, kept.0);
        let nameless = postcard::to_stdvec(&Kept(Arc::new(Sensor::new("", "k")))).expect("a sensor can be written");
        assert!(postcard::from_bytes::<Kept>(&nameless).is_err());
    }
}
