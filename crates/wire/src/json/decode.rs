//! A reading read from JSON, in either form.

use std::str;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{DecodeError, shortened};
use super::field::{Field, bounds};
use super::sensors::{Description, Sensors};
use crate::fields::MAX_EVENT_BYTES;
use crate::sensor::given;
use crate::{Form, Identity, Reading};

/// Reads readings one by one and lets those of a sensor share it. Reading another scalar of a known sensor allocates
/// nothing, unless its strings have escapes; reading an event allocates the event. Between readings a decoder holds little
/// more than [`MAX_SENSORS_BYTES`](super::MAX_SENSORS_BYTES).
#[derive(Debug, Default)]
pub struct Decoder {
    sensors: Sensors,
    numbers: Vec<f64>,
    event: String,
    /// Reads what sources no longer take: an empty kind.
    reads_kept: bool,
}

/// What one JSON object says.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The reading.
    pub reading: Reading,
    /// The identity of the record that the object is, where it carries one of our making.
    pub identity: Option<Identity>,
}

type Raw<'a> = Option<&'a RawValue>;

/// The known fields of an object, unread. An absent one and `null` are the same; so is an empty unit or group.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    sensor: Raw<'a>,
    time: Raw<'a>,
    kind: Raw<'a>,
    unit: Raw<'a>,
    value: Raw<'a>,
    event: Raw<'a>,
    lowest: Raw<'a>,
    highest: Raw<'a>,
    group: Raw<'a>,
    timestamp: Raw<'a>,
    datatype: Raw<'a>,
    deviceid: Raw<'a>,
    lowest_temp: Raw<'a>,
    highest_temp: Raw<'a>,
    producer: Raw<'a>,
    number: Raw<'a>,
}

impl Decoder {
    /// Knows no sensor yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for readings that a source has taken before, so that none is lost over which earlier versions were less
    /// strict: an empty kind is read.
    pub fn of_kept() -> Self {
        Self {
            reads_kept: true,
            ..Self::default()
        }
    }

    /// Reads one JSON object: with `sensor` it is in the general form, without in that of the DHT record. It has a
    /// `value`; in the general form it may have an `event` instead. Fields may come in any order; unknown ones are ignored, and so is an identity that is not of our making.
    pub fn decode<'a>(&mut self, json: &'a [u8]) -> Result<Decoded, DecodeError> {
        let json = str::from_utf8(json).map_err(|error| DecodeError::NotUtf8(error.valid_up_to()))?;
        // Serde would take an array for the fields in their order.
        if !json.trim_ascii_start().starts_with('{') {
            return Err(DecodeError::NotAnObject(shortened(json)));
        }
        let object: Object<'a> = serde_json::from_str(json).map_err(DecodeError::Malformed)?;
        let form = object.form();
        let optional = |name, raw: Raw<'a>| raw.map(|raw| Field::new(name, raw, json));
        let required = |name, raw| optional(name, raw).ok_or(DecodeError::Missing { field: name, form });
        let (id, time, kind, lowest, highest) = match form {
            Form::General => (
                required("sensor", object.sensor)?,
                required("time", object.time)?,
                required("kind", object.kind)?,
                optional("lowest", object.lowest),
                optional("highest", object.highest),
            ),
            Form::Device => (
                required("deviceid", object.deviceid)?,
                required("timestamp", object.timestamp)?,
                required("datatype", object.datatype)?,
                optional("lowest_temp", object.lowest_temp),
                optional("highest_temp", object.highest_temp),
            ),
        };
        let event = match (form, object.value) {
            (Form::General, None) => optional("event", object.event),
            _ => None,
        };
        let unit = optional("unit", object.unit).map(|unit| unit.name()).transpose()?;
        let group = optional("group", object.group).map(|group| group.name()).transpose()?;
        let kind = if self.reads_kept { kind.name()? } else { kind.kind()? };
        let sensor = self.sensors.get(&Description {
            id: &id.id()?,
            kind: &kind,
            unit: unit.as_deref().and_then(given),
            group: group.as_deref().and_then(given),
            bounds: bounds(lowest, highest)?,
            form,
        });
        let (field, value) = match event {
            Some(event) => {
                let read = event.event(&mut self.event);
                // One that was refused may have been far longer.
                self.event.shrink_to(MAX_EVENT_BYTES);
                (event, read?)
            }
            None => {
                let field = required("value", object.value)?;
                (field, field.value(&mut self.numbers)?)
            }
        };
        Ok(Decoded {
            reading: Reading::new(sensor, time.time()?, value).map_err(|error| field.refused(error))?,
            identity: object.identity(),
        })
    }
}

impl Object<'_> {
    fn form(&self) -> Form {
        let device = self.deviceid.is_some() || self.timestamp.is_some();
        if self.sensor.is_none() && device {
            Form::Device
        } else {
            Form::General
        }
    }

    fn identity(&self) -> Option<Identity> {
        let producer = self.producer?.get().strip_prefix('"')?.strip_suffix('"')?;
        Identity::read(producer, self.number?.get())
    }
}
