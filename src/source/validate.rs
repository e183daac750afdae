//! What the settings of a source come to: a configuration without optional parts, or every problem at once.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use simulate::template::{self, Template};
use simulate::{Choice, Name, Profile, Simulation, Temperature, Wind};
use values::number::{Amount, Interval, Speed};
use values::problem::Problem;
use wire::Bounds;

use super::settings::{Form, Kind, Settings, Times};
use super::table::Described;
use super::{admission, example, http, mqtt, replay, simulated};

/// Each simulated sensor takes about a kilobyte.
const MAX_SENSORS: u32 = 100_000;

const EVERY_KIND: &[&str] = &["kind", "group", "datatype", "unit"];
const SIMULATE: &[&str] = &[
    "profile",
    "sensors",
    "interval",
    "seed",
    "count",
    "start",
    "prefix",
    "faults",
    "form",
    "decimals",
    "lowest",
    "highest",
    "correlation",
    "speed",
];
const EVENTS: &[&str] = &[
    "profile", "sensors", "rate", "seed", "count", "start", "prefix", "faults", "speed",
];
const TEMPERATURE: &[&str] = &["mean", "noise", "daily", "yearly", "spread"];
const WIND: &[&str] = &["scale", "shape", "gusts"];
const REPLAY: &[&str] = &["path", "times", "speed", "sensor"];
const STDIN: &[&str] = &["sensor"];
/// Of the kinds whose sensors are named by others.
pub(super) const ADMISSION: &[&str] = &["max_new_sensors_per_hour"];

/// A source, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Validated {
    Simulate(simulated::Config),
    Replay(replay::Config),
    Stdin(Described),
    Http(http::Config),
    Mqtt(Box<mqtt::Config>),
}

impl Settings {
    /// The sensors of a simulation of which no more is set.
    pub(crate) fn simulated(
        profile: &Choice,
        sensors: NonZeroU32,
        seed: u64,
        faults: Amount,
    ) -> Result<Simulation, Vec<Problem>> {
        let settings = Self {
            kind: Some(Kind::Simulate),
            profile: Some(profile.clone()),
            sensors: Some(sensors),
            seed: Some(seed),
            faults: Some(faults),
            ..Self::default()
        };
        let name = match profile {
            Choice::BuiltIn(name) => name.as_str(),
            Choice::File(path) => path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("profile"),
        };
        match settings.validate(name)? {
            Validated::Simulate(config) => Ok(config.simulation),
            Validated::Replay(_) | Validated::Stdin(_) | Validated::Http(_) | Validated::Mqtt(_) => {
                unreachable!("its kind is simulate")
            }
        }
    }

    /// What the table `[source.name]` comes to.
    pub(super) fn validate(&self, name: &str) -> Result<Validated, Vec<Problem>> {
        let mut problems = Problems {
            table: format!("source.{name}"),
            all: Vec::new(),
        };
        let config = match self.kind {
            None => {
                problems.add("kind", "", "is missing: use simulate, replay, stdin, http or mqtt");
                None
            }
            Some(Kind::Simulate) => self.simulation(name, &mut problems).map(Validated::Simulate),
            Some(Kind::Replay) => self.replay(name, &mut problems).map(Validated::Replay),
            Some(Kind::Mqtt) => Some(Validated::Mqtt(Box::new(self.broker(&mut problems)))),
            Some(Kind::Http) => self.http(&mut problems).map(Validated::Http),
            Some(Kind::Stdin) => {
                self.refuse_others("kind = \"stdin\"", &[STDIN, ADMISSION], &mut problems);
                Some(Validated::Stdin(self.described(name, &mut problems)))
            }
        };
        if let Some(limit) = self
            .max_new_sensors_per_hour
            .filter(|limit| limit.get() > admission::MOST)
        {
            let remedy = format!("is too many: use at most {}", admission::MOST);
            problems.add("max_new_sensors_per_hour", limit, &remedy);
        }
        match config {
            Some(config) if problems.all.is_empty() => Ok(config),
            _ => Err(problems.all),
        }
    }

    fn simulation(&self, name: &str, problems: &mut Problems) -> Option<simulated::Config> {
        let Some(choice) = &self.profile else {
            let known = Name::ALL.map(Name::as_str).join(", ");
            problems.add("profile", "", &format!("is missing: use one of {known}"));
            self.refuse_others("kind = \"simulate\"", &[SIMULATE, EVENTS, TEMPERATURE, WIND], problems);
            return None;
        };
        let device = self.form == Some(Form::Device);
        let (profile, own, defaults) = match choice {
            Choice::BuiltIn(Name::Clickstream | Name::AppLog) | Choice::File(_) => {
                return self.events(name, choice, problems);
            }
            Choice::BuiltIn(Name::Temperature) if device => {
                (self.temperature(Temperature::DEVICE), TEMPERATURE, &DEVICE)
            }
            Choice::BuiltIn(Name::Temperature) => (self.temperature(Temperature::HOUSE), TEMPERATURE, &HOUSE),
            Choice::BuiltIn(Name::Wind) => {
                if device {
                    problems.add(
                        "form",
                        "\"device\"",
                        "is the record of a thermometer: use profile = \"temperature\"",
                    );
                }
                (self.wind(Wind::LAND), WIND, &LAND)
            }
        };
        let whose = format!("kind = \"simulate\" with profile = \"{choice}\"");
        self.refuse_others(&whose, &[SIMULATE, own], problems);
        let sensors = self.sensors(problems);
        let fleet = simulate::Plan {
            profile,
            sensors,
            interval_micros: self.interval.unwrap_or(Interval::from_millis(1_000)).get().as_micros() as i64,
            seed: self.seed.unwrap_or(0),
            prefix: self.prefix.clone().unwrap_or_else(|| match defaults.prefix {
                Some(prefix) => prefix.into(),
                None => format!("{name}-"),
            }),
            group: self.group.clone().or(defaults.group.map(Into::into)),
            faults_per_day: self.faults.map_or(0.0, Into::into),
            form: defaults.form,
            datatype: self.datatype.clone().unwrap_or_else(|| defaults.datatype.into()),
            unit: self.unit.clone().or(defaults.unit.map(Into::into)),
            bounds: self.bounds(defaults.bounds, problems),
            decimals: self.decimals.map_or(defaults.decimals, Into::into),
        };
        if let Err(error) = fleet.check() {
            problems.add(
                "prefix",
                format!("{:?}", fleet.prefix),
                &format!("or another text of its sensors: {error}"),
            );
        }
        Some(self.paced(Simulation::Fleet(fleet)))
    }

    /// Events of a template.
    fn events(&self, name: &str, choice: &Choice, problems: &mut Problems) -> Option<simulated::Config> {
        let whose = format!("kind = \"simulate\" with events, as profile = \"{choice}\" has them");
        self.refuse_others(&whose, &[EVENTS], problems);
        if let Some(unit) = &self.unit {
            problems.add(
                "unit",
                format!("{unit:?}"),
                "is of numbers, and events have none: remove it",
            );
        }
        let sensors = self.sensors(problems);
        let quoted = format!("\"{choice}\"");
        let template = match choice {
            Choice::BuiltIn(name) => Template::built_in(*name),
            Choice::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Template::parse(&path.display().to_string(), &text),
                Err(error) => Err(vec![format!(
                    "cannot be read ({error}): name a profile file that is there"
                )]),
            },
        };
        let template = match template {
            Ok(template) => template,
            Err(wrong) => {
                wrong.iter().for_each(|wrong| problems.add("profile", &quoted, wrong));
                return None;
            }
        };
        let text = |own: &Option<String>, default: Option<&template::Label>| {
            own.clone().or(default.map(|label| label.as_str().to_owned()))
        };
        let config = template::Plan {
            sensors,
            rate: self.rate.unwrap_or(template.rate).get(),
            seed: self.seed.unwrap_or(0),
            prefix: text(&self.prefix, template.prefix.as_ref()).unwrap_or_else(|| format!("{name}-")),
            group: text(&self.group, template.group.as_ref()),
            datatype: self
                .datatype
                .clone()
                .unwrap_or_else(|| template.kind.as_str().to_owned()),
            faults_per_day: self.faults.map_or(0.0, Into::into),
            template: Arc::new(template),
        };
        if let Err(error) = config.check() {
            let remedy = format!("or another text of its sensors: {error}");
            problems.add("prefix", format!("{:?}", config.prefix), &remedy);
        }
        Some(self.paced(Simulation::Events(config)))
    }

    fn paced(&self, simulation: Simulation) -> simulated::Config {
        simulated::Config {
            simulation,
            speed: self.speed.unwrap_or(Speed::REAL),
            start: self.start.map(|start| start.0),
            count: self.count.map(Into::into),
        }
    }

    fn sensors(&self, problems: &mut Problems) -> u32 {
        let sensors = self.sensors.map_or(1, Into::into);
        if sensors > MAX_SENSORS {
            let remedy = format!("is too many: use at most {MAX_SENSORS}, or several daemons");
            problems.add("sensors", sensors, &remedy);
        }
        sensors
    }

    fn temperature(&self, defaults: Temperature) -> Profile {
        Profile::Temperature(Temperature {
            mean: self.mean.map_or(defaults.mean, Into::into),
            noise: self.noise.map_or(defaults.noise, Into::into),
            correlation: self.correlation.map_or(defaults.correlation, Into::into),
            daily: self.daily.map_or(defaults.daily, Into::into),
            yearly: self.yearly.map_or(defaults.yearly, Into::into),
            spread: self.spread.map_or(defaults.spread, Into::into),
        })
    }

    fn wind(&self, defaults: Wind) -> Profile {
        Profile::Wind(Wind {
            scale: self.scale.map_or(defaults.scale, Into::into),
            shape: self.shape.map_or(defaults.shape, Into::into),
            correlation: self.correlation.map_or(defaults.correlation, Into::into),
            gusts: self.gusts.map_or(defaults.gusts, Into::into),
        })
    }

    fn bounds(&self, defaults: Option<Bounds>, problems: &mut Problems) -> Option<Bounds> {
        let lowest = self.lowest.map(f64::from).or(defaults.map(|bounds| bounds.lowest));
        let highest = self.highest.map(f64::from).or(defaults.map(|bounds| bounds.highest));
        match (lowest, highest) {
            (None, None) => None,
            (Some(lowest), Some(highest)) => match Bounds::new(lowest, highest) {
                Ok(bounds) => Some(bounds),
                Err(_) => {
                    problems.add(
                        "lowest",
                        lowest,
                        &format!("is above highest = {highest}: use the lower one here"),
                    );
                    None
                }
            },
            (Some(lowest), None) => {
                problems.add("lowest", lowest, "is one bound of two: set highest as well");
                None
            }
            (None, Some(highest)) => {
                problems.add("highest", highest, "is one bound of two: set lowest as well");
                None
            }
        }
    }

    fn replay(&self, name: &str, problems: &mut Problems) -> Option<replay::Config> {
        self.refuse_others("kind = \"replay\"", &[REPLAY], problems);
        let speed = self.speed.unwrap_or(Speed::REAL);
        let times = match (self.times, speed) {
            (Some(Times::Shift), Speed::Max) => {
                let remedy = "needs a pace to move times to: set speed to a factor, or times = \"keep\"";
                problems.add("times", "\"shift\"", remedy);
                Times::Keep
            }
            (Some(times), _) => times,
            (None, Speed::Factor(_)) => Times::Shift,
            (None, Speed::Max) => Times::Keep,
        };
        let described = self.described(name, problems);
        let Some(path) = self.path.clone() else {
            problems.add("path", "", "is missing: name a file of readings, CSV or JSON lines");
            return None;
        };
        if let Err(remedy) = check_path(&path) {
            problems.add("path", format!("{:?}", path.display().to_string()), &remedy);
        }
        Some(replay::Config {
            path,
            speed,
            times,
            described,
        })
    }

    fn described(&self, name: &str, problems: &mut Problems) -> Described {
        let described = Described {
            sensor: self.sensor.clone().unwrap_or_else(|| name.into()),
            datatype: self.datatype.clone().unwrap_or_else(|| "value".into()),
            unit: self.unit.clone(),
            group: self.group.clone(),
        };
        if let Err(error) = described.sensor(&described.sensor).check() {
            let remedy = format!("or datatype, unit or group: {error}");
            problems.add("sensor", format!("{:?}", described.sensor), &remedy);
        }
        described
    }

    /// Adds each key that is set and is none of `lists`.
    pub(super) fn refuse_others(&self, whose: &str, lists: &[&[&str]], problems: &mut Problems) {
        let Ok(Value::Object(keys)) = serde_json::to_value(self) else {
            unreachable!("a table with text keys is an object")
        };
        for (key, value) in keys.iter().filter(|(_, value)| !value.is_null()) {
            let mut known = lists.iter().chain([&EVERY_KIND]);
            if !known.any(|list| list.contains(&key.as_str())) {
                problems.add(key, value, &format!("is no key of {whose}: remove it"));
            }
        }
    }
}

fn check_path(path: &Path) -> Result<(), String> {
    if let Some(name) = path.to_str().and_then(example::name) {
        return match example::bytes(name) {
            Some(_) => Ok(()),
            None => Err(format!("is no built-in series: there is {}", example::names())),
        };
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err("is not a regular file: name one, or read a pipe with kind = \"stdin\"".into()),
        Err(error) => Err(format!("cannot be read ({error}): name a file that is there")),
    }
}

/// Problems of one table.
pub(super) struct Problems {
    table: String,
    all: Vec<Problem>,
}

impl Problems {
    pub(super) fn add(&mut self, key: &str, value: impl std::fmt::Display, remedy: &str) {
        self.all
            .push(Problem::new(format!("{}.{key}", self.table), value, remedy));
    }
}

/// What is not set is so.
struct Defaults {
    prefix: Option<&'static str>,
    group: Option<&'static str>,
    form: wire::Form,
    datatype: &'static str,
    unit: Option<&'static str>,
    bounds: Option<Bounds>,
    decimals: u8,
}

const HOUSE: Defaults = Defaults {
    prefix: None,
    group: Some(""),
    form: wire::Form::General,
    datatype: "temperature",
    unit: Some("°C"),
    bounds: None,
    decimals: 2,
};

/// The DHT record has no field for a group or a unit; its values are °F.
const DEVICE: Defaults = Defaults {
    prefix: Some("DHT_"),
    group: None,
    form: wire::Form::Device,
    datatype: "Temperature",
    unit: None,
    bounds: Some(Bounds {
        lowest: 96.0,
        highest: 101.0,
    }),
    decimals: 1,
};

const LAND: Defaults = Defaults {
    prefix: None,
    group: Some("site-"),
    form: wire::Form::General,
    datatype: "wind_speed",
    unit: Some("m/s"),
    bounds: None,
    decimals: 2,
};

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
