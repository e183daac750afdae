//! Who measured: the sensor of a field, named by its message's topic and payload.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use wire::json::{Description, Sensors};
use wire::{Form, Sensor};

use super::fields::{Fields, Value};
use super::glob;
use super::rules::Rules;
use super::template::{PAYLOAD, Template};
use super::topic::Pattern;

/// Levels of a topic that say where a device is, by their names.
const PLACES: [&str; 5] = ["group", "site", "room", "area", "gateway"];
const DEVICE: &str = "device";
const DATATYPE: &str = "datatype";
/// What stands for the field of a message that has none.
const VALUE: &str = "value";
/// Fields that hold the unit of all others.
const UNITS: [&str; 2] = ["unit", "unit_of_measurement"];
/// Fields of Tasmota that hold the unit of some others, and these by the last part of their names.
const TEMPERATURE_UNIT: &str = "TempUnit";
const TEMPERATURES: [&str; 3] = ["Temperature", "DewPoint", "HeatIndex"];
const PRESSURE_UNIT: &str = "PressureUnit";
const PRESSURES: [&str; 2] = ["Pressure", "SeaPressure"];

/// Where a message comes from and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub rules: &'a Rules,
    /// What its topic matches.
    pub pattern: &'a Pattern,
    pub topic: &'a str,
    /// Where the named levels are in the topic.
    pub named: &'a [Range<usize>],
    pub fields: &'a Fields,
}

/// Sensors met before, and memory for the next one's names.
#[derive(Debug, Default)]
pub(super) struct Names {
    sensors: Sensors,
    /// What of this payload is in names, by gap.
    payload: Vec<(String, String)>,
    id: String,
    kind: String,
    group: String,
}

impl Names {
    /// Takes from a payload what is in the names of its sensors.
    pub fn begin(&mut self, origin: &Origin<'_>) -> Result<(), String> {
        self.payload.clear();
        let templates = [&origin.rules.sensor, &origin.rules.group, &origin.rules.datatype];
        let gaps = templates.into_iter().flatten().flat_map(Template::gaps);
        for gap in gaps {
            let Some(field) = gap.strip_prefix(PAYLOAD) else {
                continue;
            };
            let text = match origin.fields.get(field) {
                Some(Value::Text(text)) => text.to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                _ => return Err(format!("it has no field {field:?} to name its sensor by")),
            };
            self.payload.push((gap.to_owned(), text));
        }
        Ok(())
    }

    /// The sensor of the field at `path`, or of a message that is one number.
    pub fn sensor(&mut self, origin: &Origin<'_>, path: Option<&str>) -> Result<Arc<Sensor>, String> {
        let rules = origin.rules;
        self.id.clear();
        self.kind.clear();
        self.group.clear();
        match &rules.sensor {
            Some(template) => fill(template, origin, path, &self.payload, &mut self.id)?,
            None => self.name(origin, path),
        }
        match &rules.datatype {
            Some(template) => fill(template, origin, path, &self.payload, &mut self.kind)?,
            None => self.kind.push_str(origin.named(DATATYPE).or(path).unwrap_or(VALUE)),
        }
        match &rules.group {
            Some(template) => fill(template, origin, path, &self.payload, &mut self.group)?,
            None => self.group.push_str(origin.place(path).unwrap_or_default()),
        }
        let description = Description {
            id: &self.id,
            kind: &self.kind,
            unit: origin.unit(path),
            group: (!self.group.is_empty()).then_some(&*self.group),
            bounds: None,
            form: Form::General,
        };
        let refused = |error| format!("the sensor {:?} cannot be: {error}", self.id);
        description.check().map_err(refused)?;
        Ok(self.sensors.get(&description))
    }

    /// The named levels, or the whole topic where none is, and the field.
    fn name(&mut self, origin: &Origin<'_>, path: Option<&str>) {
        match origin.named {
            [] => self.id.push_str(origin.topic),
            named => {
                let levels = named.iter().map(|level| &origin.topic[level.clone()]);
                for (index, level) in levels.enumerate() {
                    let slash = if index > 0 { "/" } else { "" };
                    write!(self.id, "{slash}{level}").expect("a text takes any text");
                }
            }
        }
        if let Some(path) = path {
            write!(self.id, "/{path}").expect("a text takes any text");
        }
    }
}

fn fill(
    template: &Template,
    origin: &Origin<'_>,
    path: Option<&str>,
    payload: &[(String, String)],
    out: &mut String,
) -> Result<(), String> {
    let value = |gap: &str| match gap {
        "topic" => Some(origin.topic),
        "field" => path.or(Some(VALUE)),
        _ => {
            let found = payload.iter().find(|(known, _)| known == gap);
            found.map(|(_, text)| text.as_str()).or_else(|| origin.named(gap))
        }
    };
    template
        .fill(out, value)
        .map_err(|gap| format!("its topic has no level {gap:?} to name its sensor by"))
}

impl<'a> Origin<'a> {
    fn named(&self, name: &str) -> Option<&'a str> {
        let index = self.pattern.names().iter().position(|known| known == name)?;
        Some(&self.topic[self.named[index].clone()])
    }

    /// Where the device is; else, as what it measures may fail together, the device.
    fn place(&self, path: Option<&str>) -> Option<&'a str> {
        let place = PLACES.iter().find_map(|name| self.named(name));
        place.or_else(|| path.and_then(|_| self.named(DEVICE)))
    }

    fn unit(&self, path: Option<&str>) -> Option<&'a str> {
        let rules = self.rules;
        if rules.unit.is_some() {
            return rules.unit.as_deref();
        }
        let path = path?;
        let last = path.rsplit('.').next().unwrap_or(path);
        let known = rules
            .units
            .iter()
            .find(|(pattern, _)| glob::matches(pattern, path) || glob::matches(pattern, last));
        if let Some((_, unit)) = known {
            return Some(unit);
        }
        let said = |name| match self.fields.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        if TEMPERATURES.contains(&last) {
            return match said(TEMPERATURE_UNIT)? {
                "C" => Some("°C"),
                "F" => Some("°F"),
                other => Some(other),
            };
        }
        if PRESSURES.contains(&last) {
            return said(PRESSURE_UNIT);
        }
        UNITS.into_iter().find_map(said)
    }
}
