//! What the settings of a source come to: a plan without optional parts, or every problem at once.

use std::num::NonZeroU32;
use std::path::Path;

use serde_json::Value;
use wire::Bounds;

use super::number::{Amount, Interval, Speed};
use super::settings::{Form, Kind, Settings, Times};
use super::table::Described;
use super::{example, replay, simulate};
use crate::problem::Problem;
use crate::profile::{self, Name, Profile, Temperature, Wind};

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
const TEMPERATURE: &[&str] = &["mean", "noise", "daily", "yearly", "spread"];
const WIND: &[&str] = &["scale", "shape", "gusts"];
const REPLAY: &[&str] = &["path", "times", "speed", "sensor"];
const STDIN: &[&str] = &["sensor"];

/// A source, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plan {
    Simulate(simulate::Plan),
    Replay(replay::Plan),
    Stdin(Described),
}

impl Settings {
    /// The sensors of a simulation of which no more is set.
    pub(crate) fn fleet(
        profile: Name,
        sensors: NonZeroU32,
        seed: u64,
        faults: Amount,
    ) -> Result<profile::Plan, Vec<Problem>> {
        let settings = Self {
            kind: Some(Kind::Simulate),
            profile: Some(profile),
            sensors: Some(sensors),
            seed: Some(seed),
            faults: Some(faults),
            ..Self::default()
        };
        match settings.plan(profile.as_str())? {
            Plan::Simulate(plan) => Ok(plan.fleet),
            Plan::Replay(_) | Plan::Stdin(_) => unreachable!("its kind is simulate"),
        }
    }

    /// What the table `[source.name]` comes to.
    pub(super) fn plan(&self, name: &str) -> Result<Plan, Vec<Problem>> {
        let mut problems = Problems {
            table: format!("source.{name}"),
            all: Vec::new(),
        };
        let plan = match self.kind {
            None => {
                problems.add("kind", "", "is missing: use simulate, replay or stdin");
                None
            }
            Some(Kind::Simulate) => self.simulation(name, &mut problems).map(Plan::Simulate),
            Some(Kind::Replay) => self.replay(name, &mut problems).map(Plan::Replay),
            Some(Kind::Stdin) => {
                self.refuse_others("kind = \"stdin\"", &[STDIN], &mut problems);
                Some(Plan::Stdin(self.described(name, &mut problems)))
            }
        };
        match plan {
            Some(plan) if problems.all.is_empty() => Ok(plan),
            _ => Err(problems.all),
        }
    }

    fn simulation(&self, name: &str, problems: &mut Problems) -> Option<simulate::Plan> {
        let Some(profile) = self.profile else {
            let known = Name::ALL.map(Name::as_str).join(", ");
            problems.add("profile", "", &format!("is missing: use one of {known}"));
            self.refuse_others("kind = \"simulate\"", &[SIMULATE, TEMPERATURE, WIND], problems);
            return None;
        };
        let device = self.form == Some(Form::Device);
        let (profile, own, defaults) = match profile {
            Name::Temperature if device => (self.temperature(Temperature::DEVICE), TEMPERATURE, &DEVICE),
            Name::Temperature => (self.temperature(Temperature::HOUSE), TEMPERATURE, &HOUSE),
            Name::Wind => {
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
        let whose = format!("kind = \"simulate\" with profile = \"{}\"", self.profile?);
        self.refuse_others(&whose, &[SIMULATE, own], problems);
        let sensors = self.sensors.map_or(1, Into::into);
        if sensors > MAX_SENSORS {
            problems.add(
                "sensors",
                sensors,
                &format!("is too many: use at most {MAX_SENSORS}, or several daemons"),
            );
        }
        let fleet = profile::Plan {
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
        Some(simulate::Plan {
            fleet,
            speed: self.speed.unwrap_or(Speed::REAL),
            start: self.start.map(|start| start.0),
            count: self.count.map(Into::into),
        })
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

    fn replay(&self, name: &str, problems: &mut Problems) -> Option<replay::Plan> {
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
        Some(replay::Plan {
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
    fn refuse_others(&self, whose: &str, lists: &[&[&str]], problems: &mut Problems) {
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
struct Problems {
    table: String,
    all: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, key: &str, value: impl std::fmt::Display, remedy: &str) {
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

/// Seed A's record has no field for a group or a unit; its values are °F.
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Each key once.
    const EVERY_KEY: &str = r#"
        profile = "temperature"
        sensors = 10
        interval = "1s"
        seed = 42
        count = 100
        start = "2024-05-01T00:00:00Z"
        prefix = "a-"
        faults = 24
        form = "general"
        decimals = 1
        lowest = 10
        highest = 30
        correlation = 0.5
        mean = 20
        noise = 1
        daily = 1
        yearly = 1
        spread = 1
        scale = 8
        shape = 2
        gusts = 6
        path = "history.csv"
        times = "keep"
        speed = "max"
        group = "g"
        sensor = "s"
        datatype = "d"
        unit = "u"
    "#;

    fn plan(text: &str) -> Result<Plan, Vec<Problem>> {
        toml::from_str::<Settings>(text).unwrap().plan("house")
    }

    fn simulation(text: &str) -> simulate::Plan {
        match plan(&format!("kind = \"simulate\"\n{text}")).unwrap() {
            Plan::Simulate(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    fn problems(text: &str) -> Vec<String> {
        plan(text).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn spec_s_example_is_a_house_in_real_time() {
        let plan = simulation("profile = \"temperature\"\nsensors = 10\ninterval = \"1s\"\nseed = 42");
        assert_eq!(plan.fleet.profile, Profile::Temperature(Temperature::HOUSE));
        assert_eq!(plan.fleet.prefix, "house-");
        assert_eq!(
            (plan.fleet.sensors, plan.fleet.interval_micros, plan.fleet.seed),
            (10, 1_000_000, 42)
        );
        assert_eq!(
            (plan.speed, plan.count, plan.fleet.faults_per_day),
            (Speed::REAL, None, 0.0)
        );
    }

    #[test]
    fn the_device_form_is_seed_a_s_device() {
        let fleet = simulation("profile = \"temperature\"\nform = \"device\"").fleet;
        assert_eq!(fleet.profile, Profile::Temperature(Temperature::DEVICE));
        let mut line = Vec::new();
        let reading = profile::Fleet::new(&fleet, "2024-05-01T10:00:00.123456Z".parse().unwrap()).step(&mut Vec::new());
        wire::json::encode(&reading.unwrap(), None, &mut line);
        let line = String::from_utf8(line).unwrap();
        let value = line.split("\"value\":").nth(1).unwrap().split(',').next().unwrap();
        assert_eq!(
            line,
            format!(
                "{{\"timestamp\":\"2024-05-01 10:00:00.123456\",\"datatype\":\"Temperature\",\"value\":{value},\
                 \"deviceid\":\"DHT_001\",\"date\":\"2024-05-01\",\"lowest_temp\":96,\"highest_temp\":101}}"
            )
        );
    }

    #[test]
    fn every_key_belongs_to_a_kind_and_is_refused_under_another() {
        let names: Vec<&str> = EVERY_KEY
            .lines()
            .filter_map(|line| line.trim().split_once(" ="))
            .map(|(key, _)| key)
            .collect();
        let Value::Object(all) = serde_json::to_value(Settings::default()).unwrap() else {
            panic!()
        };
        assert_eq!(names.len() + 1, all.len(), "a key is missing here");
        let lists = [EVERY_KIND, SIMULATE, TEMPERATURE, WIND, REPLAY, STDIN].concat();
        for name in &names {
            assert!(lists.contains(name), "{name} belongs to no kind");
        }
        let refused = problems(&format!("kind = \"stdin\"\n{EVERY_KEY}"));
        assert_eq!(refused.len(), names.len() - 4, "{refused:#?}");
        assert!(refused.contains(&"source.house.sensors = 10: is no key of kind = \"stdin\": remove it".into()));
        let refused = problems(&format!("kind = \"simulate\"\n{EVERY_KEY}"));
        let keys: Vec<&str> = refused
            .iter()
            .map(|problem| problem.split(" = ").next().unwrap())
            .collect();
        let others = ["gusts", "path", "scale", "sensor", "shape", "times"].map(|key| format!("source.house.{key}"));
        assert_eq!(keys, others);
    }

    #[test]
    fn an_unknown_key_fails() {
        let error = toml::from_str::<Settings>("kind = \"stdin\"\nsensro = \"a\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2") && error.contains("sensro"), "{error}");
    }

    #[test]
    fn kinds_of_a_later_version_are_refused_as_such() {
        for kind in ["http", "mqtt"] {
            let error = toml::from_str::<Settings>(&format!("kind = \"{kind}\""))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("not in this version") && error.contains("line 1"),
                "{error}"
            );
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let found = problems(
            "kind = \"simulate\"\nprofile = \"wind\"\nform = \"device\"\nlowest = 3\nmean = 1\nsensors = 200000",
        );
        let keys: Vec<&str> = found
            .iter()
            .map(|problem| problem.split(" = ").next().unwrap())
            .collect();
        assert_eq!(
            keys,
            ["form", "mean", "sensors", "lowest"].map(|key| format!("source.house.{key}"))
        );
        assert_eq!(problems("").len(), 1);
        assert_eq!(problems("kind = \"simulate\"").len(), 1);
        assert!(
            problems("kind = \"simulate\"\nprofile = \"wind\"\nlowest = 3\nhighest = 2")[0]
                .contains("above highest = 2")
        );
        let long = format!(
            "kind = \"simulate\"\nprofile = \"wind\"\nprefix = \"{}\"",
            "x".repeat(254)
        );
        assert!(problems(&long)[0].contains("257 bytes"));
    }

    #[test]
    fn a_replay_needs_a_regular_file_or_an_example() {
        let missing = problems("kind = \"replay\"\npath = \"no/such/file.csv\"");
        assert!(
            missing[0].contains("no/such/file.csv") && missing[0].contains("name a file that is there"),
            "{missing:?}"
        );
        assert!(problems("kind = \"replay\"")[0].contains("is missing"));
        assert!(problems("kind = \"replay\"\npath = \"/\"")[0].contains("regular file"));
        assert!(problems("kind = \"replay\"\npath = \"example:none\"")[0].contains("rds_cpu_utilization"));
        assert!(plan("kind = \"replay\"\npath = \"example:rds_cpu_utilization\"").is_ok());
    }

    #[test]
    fn times_follow_the_pace_unless_there_is_none() {
        let times = |rest: &str| match plan(&format!(
            "kind = \"replay\"\npath = \"example:rds_cpu_utilization\"\n{rest}"
        )) {
            Ok(Plan::Replay(plan)) => Some(plan.times),
            _ => None,
        };
        assert_eq!(times(""), Some(Times::Shift));
        assert_eq!(times("speed = 60"), Some(Times::Shift));
        assert_eq!(times("speed = 60\ntimes = \"keep\""), Some(Times::Keep));
        assert_eq!(times("speed = \"max\""), Some(Times::Keep));
        assert_eq!(times("speed = \"max\"\ntimes = \"shift\""), None);
    }
}
