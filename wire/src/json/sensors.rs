//! Sensors met before, so that their next reading shares them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Bounds, Form, Sensor};

/// More sensors than one Kinesis consumer meets in practice; past it, memory matters more than a second allocation.
const MAX_SENSORS: usize = 65_536;

/// All that a reading says of its sensor.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// What names it.
    pub id: &'a str,
    /// What it measures.
    pub kind: &'a str,
    /// The unit of its values.
    pub unit: Option<&'a str>,
    /// The room, site or gateway it belongs to.
    pub group: Option<&'a str>,
    /// The bounds its values should stay in, in its unit.
    pub bounds: Option<Bounds>,
    /// The JSON shape its readings are written in.
    pub form: Form,
}

/// The last description of each sensor, by id.
#[derive(Debug, Default)]
pub struct Sensors(HashMap<Box<str>, Arc<Sensor>>);

impl Sensors {
    /// The sensor of that description: the same one as before, where nothing in it has changed.
    pub fn get(&mut self, description: &Description<'_>) -> Arc<Sensor> {
        if let Some(sensor) = self.0.get(description.id)
            && description.is_of(sensor)
        {
            return Arc::clone(sensor);
        }
        if self.0.len() >= MAX_SENSORS {
            self.0.clear();
        }
        let sensor = Arc::new(description.sensor());
        self.0.insert(description.id.into(), Arc::clone(&sensor));
        sensor
    }
}

impl Description<'_> {
    fn is_of(&self, sensor: &Sensor) -> bool {
        self.kind == sensor.kind()
            && self.unit == sensor.unit()
            && self.group == sensor.group()
            && self.bounds == sensor.bounds()
            && self.form == sensor.form()
    }

    fn sensor(&self) -> Sensor {
        let mut sensor = Sensor::new(self.id, self.kind).with_form(self.form);
        if let Some(unit) = self.unit {
            sensor = sensor.with_unit(unit);
        }
        if let Some(group) = self.group {
            sensor = sensor.with_group(group);
        }
        match self.bounds {
            Some(bounds) => sensor.with_bounds(bounds),
            None => sensor,
        }
    }
}
