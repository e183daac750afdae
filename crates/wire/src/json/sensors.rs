//! Sensors met before, so that their next reading shares them. The names come from outside, so memory is bounded by bytes.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;

use crate::sensor::{SensorError, check_description, check_kind};
use crate::{Bounds, Form, Sensor};

/// The most memory that [`Sensors`] takes: 4 MiB, about 18,000 sensors with names of the usual length. A reading of a
/// sensor that was evicted costs a few hundred nanoseconds more.
pub const MAX_SENSORS_BYTES: usize = 4 << 20;

/// What a sensor takes besides its own memory: the counters of its `Arc`, its place in the table, and what the allocator
/// rounds up.
const PLACE_BYTES: usize = 96;

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

/// The last description of the sensors met most recently, by id, in at most [`MAX_SENSORS_BYTES`].
///
/// Two generations stand in for a list in order of use: a sensor that is met moves to the recent one, and when that holds
/// half of the bytes it becomes the older one, whose sensors are evicted.
#[derive(Debug, Default)]
pub struct Sensors {
    recent: Generation,
    older: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    sensors: HashSet<ById>,
    bytes: usize,
}

/// A sensor that is found by its id.
#[derive(Debug)]
struct ById(Arc<Sensor>);

impl Sensors {
    /// The sensor of that description, which must be one that [`Description::check`] accepts: the same one as before, where
    /// nothing in it has changed.
    pub fn get(&mut self, description: &Description<'_>) -> Arc<Sensor> {
        if let Some(ById(sensor)) = self.recent.sensors.get(description.id)
            && description.is_of(sensor)
        {
            return Arc::clone(sensor);
        }
        let known = self.older.remove(description.id);
        let known = known.filter(|sensor| description.is_of(sensor));
        let sensor = known.unwrap_or_else(|| Arc::new(description.sensor()));
        if self.recent.bytes + bytes(&sensor) > MAX_SENSORS_BYTES / 2 {
            mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.replace(Arc::clone(&sensor));
        sensor
    }
}

impl Generation {
    fn replace(&mut self, sensor: Arc<Sensor>) {
        self.remove(sensor.id());
        self.bytes += bytes(&sensor);
        self.sensors.insert(ById(sensor));
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Sensor>> {
        let ById(sensor) = self.sensors.take(id)?;
        self.bytes -= bytes(&sensor);
        Some(sensor)
    }

    /// Keeps the table for the next sensors.
    fn clear(&mut self) {
        self.sensors.clear();
        self.bytes = 0;
    }
}

fn bytes(sensor: &Sensor) -> usize {
    PLACE_BYTES + sensor.memory_bytes()
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl Description<'_> {
    /// Refuses what no stream can carry, as [`Sensor::check`] does, before a sensor is made of it.
    pub fn check(&self) -> Result<(), SensorError> {
        check_description(self.id, [Some(self.kind), self.unit, self.group], self.bounds)?;
        check_kind(self.kind)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::MAX_NAME_BYTES;

    fn described<'a>(id: &'a str, name: &'a str) -> Description<'a> {
        Description {
            id,
            kind: name,
            unit: Some(name),
            group: Some(name),
            bounds: None,
            form: Form::General,
        }
    }

    #[test]
    fn a_sensor_is_shared_until_its_description_changes() {
        let mut sensors = Sensors::default();
        let first = sensors.get(&described("a", "k"));
        assert!(Arc::ptr_eq(&first, &sensors.get(&described("a", "k"))));
        let changed = sensors.get(&described("a", "other"));
        assert_eq!(changed.kind(), "other");
        assert!(Arc::ptr_eq(&changed, &sensors.get(&described("a", "other"))));
        assert_eq!(sensors.recent.bytes, bytes(&changed));
    }

    #[test]
    fn a_flood_of_the_longest_names_stays_within_the_bytes_and_spares_a_sensor_in_use() {
        let mut sensors = Sensors::default();
        let long = "x".repeat(MAX_NAME_BYTES);
        let known = sensors.get(&described("known", "k"));
        for number in 0..100_000 {
            let id = format!("{number:0>MAX_NAME_BYTES$}");
            sensors.get(&described(&id, &long));
            assert!(sensors.recent.bytes + sensors.older.bytes <= MAX_SENSORS_BYTES);
            if number % 100 == 0 {
                assert!(Arc::ptr_eq(&known, &sensors.get(&described("known", "k"))));
            }
        }
        let kept = || sensors.recent.sensors.iter().chain(&sensors.older.sensors);
        assert_eq!(
            kept().map(|ById(sensor)| bytes(sensor)).sum::<usize>(),
            sensors.recent.bytes + sensors.older.bytes
        );
        assert!(kept().count() > 1_000);
    }

    #[test]
    fn what_no_stream_can_carry_is_refused_before_it_is_a_sensor() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        assert_eq!(described("a", "k").check(), Ok(()));
        assert_eq!(described("", "k").check(), Err(SensorError::NoId));
        assert_eq!(described("a", "").check(), Err(SensorError::NoKind));
        assert_eq!(described(&long, "k").check(), Err(SensorError::TooLong(257)));
        assert_eq!(described("a", &long).check(), Err(SensorError::TooLong(257)));
    }
}
