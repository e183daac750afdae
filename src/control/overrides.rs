//! Changes made on the dashboard, kept separately from the configuration: they last until the daemon ends, across
//! reloads. Pure: requesting and executing them happens elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use simulate::template::Rate;
use simulate::{Choice, Template};
use tokio::sync::oneshot;
use values::number::{Amount, Interval, Speed};

use crate::source::settings::Kind;
use crate::source::{Settings, Sources};

/// Faults per sensor and day in anomaly data: about one a minute, so that someone watching sees some.
const ANOMALIES: f64 = 1_440.0;

/// A request from the dashboard to the daemon.
#[derive(Debug)]
pub struct Command {
    /// The requested change.
    pub change: Change,
    /// Receives what was done, or why it was not.
    pub done: oneshot::Sender<Result<String, String>>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Start a source as it is configured.
    Start(String),
    /// Stop a source.
    Stop(String),
    /// Start a simulated source without faults.
    Normal(String),
    /// Start a simulated source with faults.
    Anomalies(String),
    /// Set a simulated source's readings a second, or a replay's speed as a multiple of real time.
    Rate(String, f64),
    /// Have a simulated source produce events of this template.
    Template(String, PathBuf),
    /// Send records to another stream.
    Stream(String),
}

/// All changes so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Settings that replace those of the configuration.
    sources: BTreeMap<String, Settings>,
    stopped: BTreeSet<String>,
}

impl Change {
    /// The source to change.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Start(name)
            | Self::Stop(name)
            | Self::Normal(name)
            | Self::Anomalies(name)
            | Self::Rate(name, _)
            | Self::Template(name, _) => Some(name),
            Self::Stream(_) => None,
        }
    }
}

impl Overrides {
    /// The current settings of every source, running or not.
    pub fn all(&self, configured: &Sources) -> Sources {
        let set = |(name, settings): (&String, &Settings)| {
            let changed = self.sources.get(name).unwrap_or(settings);
            (name.clone(), changed.clone())
        };
        configured.iter().map(set).collect()
    }

    /// The sources that should run.
    pub fn wanted(&self, configured: &Sources) -> Sources {
        let mut all = self.all(configured);
        all.retain(|name, _| !self.stopped.contains(name));
        all
    }

    /// True if one of these sources was stopped and may be started again: then the daemon does not end without it.
    pub fn hold(&self, configured: &Sources) -> bool {
        self.stopped.iter().any(|name| configured.contains_key(name))
    }

    /// Applies a change to a source and describes its effect, or why it is impossible.
    pub fn apply(&mut self, configured: &Sources, change: &Change) -> Result<String, String> {
        let name = change.source().ok_or("this is no change of a source")?;
        let Some(mut settings) = self.all(configured).remove(name) else {
            return Err(format!("there is no source {name:?}: the configuration names them"));
        };
        let said = match change {
            Change::Stop(_) => {
                self.stopped.insert(name.to_owned());
                return Ok(format!("{name} stops"));
            }
            Change::Start(_) => format!("{name} starts"),
            Change::Normal(_) => {
                simulated(name, &settings)?;
                settings.faults = None;
                format!("{name} gives normal data")
            }
            Change::Anomalies(_) => {
                simulated(name, &settings)?;
                settings.faults = Some(Amount::try_from(ANOMALIES)?);
                format!("{name} gives anomaly data: each sensor fails about once a minute")
            }
            Change::Rate(_, rate) => at_rate(name, &mut settings, *rate)?,
            Change::Template(_, file) => {
                if !has_template(&settings) {
                    return Err(format!("{name} makes no events of a template"));
                }
                settings.profile = Some(Choice::File(file.clone()));
                format!("{name} starts with the template")
            }
            Change::Stream(_) => unreachable!("it names no source"),
        };
        let mut problems = Vec::new();
        settings.check(name, &mut problems);
        if let Some(problem) = problems.first() {
            return Err(problem.to_string());
        }
        if !matches!(change, Change::Rate(..)) {
            self.stopped.remove(name);
        }
        if configured.get(name) == Some(&settings) {
            self.sources.remove(name);
        } else {
            self.sources.insert(name.to_owned(), settings);
        }
        Ok(said)
    }

    /// True if a source differs from the configuration.
    pub fn differs(&self, name: &str) -> bool {
        self.sources.contains_key(name) || self.stopped.contains(name)
    }
}

/// True if a source produces events of a template.
pub fn has_template(settings: &Settings) -> bool {
    match &settings.profile {
        Some(Choice::File(_)) => true,
        Some(Choice::BuiltIn(name)) => Template::text(*name).is_some(),
        None => false,
    }
}

/// Readings a second of a simulated source, or a replay's multiple of real time; `None` if it is not set or cannot be.
pub fn rate(settings: &Settings) -> Option<f64> {
    let speed = match settings.speed.unwrap_or(Speed::REAL) {
        Speed::Factor(factor) => factor,
        Speed::Max => return None,
    };
    match settings.kind? {
        Kind::Simulate => {
            let sensors = f64::from(settings.sensors.map_or(1, u32::from));
            if has_template(settings) {
                return settings.rate.map(|rate| sensors * speed * rate.get());
            }
            let interval = settings.interval.unwrap_or(Interval::from_millis(1_000)).get();
            Some(sensors * speed / interval.as_secs_f64())
        }
        Kind::Replay => Some(speed),
        _ => None,
    }
}

fn at_rate(name: &str, settings: &mut Settings, rate: f64) -> Result<String, String> {
    match settings.kind {
        Some(Kind::Simulate) => {
            let speed = match settings.speed {
                Some(Speed::Factor(factor)) => factor,
                Some(Speed::Max) | None => 1.0,
            };
            let sensors = f64::from(settings.sensors.map_or(1, u32::from));
            if has_template(settings) {
                settings.rate = Some(Rate::try_from(rate / sensors / speed)?);
                settings.speed = settings.speed.filter(|speed| *speed != Speed::Max);
                return Ok(format!("{name} gives {rate} events a second"));
            }
            let millis = (sensors * speed / rate * 1e3).round();
            let (least, most) = (Interval::LEAST.as_millis() as f64, Interval::MOST.as_millis() as f64);
            if !(least..=most).contains(&millis) {
                let (least, most) = (sensors * speed * 1e3 / most, sensors * speed * 1e3 / least);
                return Err(format!(
                    "{name} cannot give {rate} readings a second: its {sensors} sensors give from {least:.5} to {most}"
                ));
            }
            let interval = format!("{millis}ms").parse().map_err(|error| format!("{error}"))?;
            settings.interval = Some(interval);
            settings.speed = settings.speed.filter(|speed| *speed != Speed::Max);
            Ok(format!(
                "{name} gives {} readings a second: {interval} between two of a sensor",
                round(sensors * speed / millis * 1e3)
            ))
        }
        Some(Kind::Replay) => {
            settings.speed = Some(rate.to_string().parse()?);
            Ok(format!("{name} runs at {rate} times real time"))
        }
        _ => Err(format!(
            "{name} has no rate of its own: readings come when they are sent"
        )),
    }
}

fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn simulated(name: &str, settings: &Settings) -> Result<(), String> {
    match settings.kind {
        Some(Kind::Simulate) => Ok(()),
        _ => Err(format!("{name} is not simulated: what it gives is measured elsewhere")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn configured() -> Sources {
        let text = "[house]\nkind = \"simulate\"\nprofile = \"temperature\"\nsensors = 10\nfaults = 12\n\
                    [posts]\nkind = \"http\"\nlisten = \"127.0.0.1:0\"\n\
                    [old]\nkind = \"replay\"\npath = \"example:rds_cpu_utilization\"\n";
        toml::from_str(text).unwrap()
    }

    fn house(change: fn(String) -> Change) -> Change {
        change("house".to_owned())
    }

    #[test]
    fn a_source_stops_and_starts_and_the_daemon_is_held_meanwhile() {
        let (mut overrides, configured) = (Overrides::default(), configured());
        assert_eq!(overrides.wanted(&configured), configured);
        assert!(!overrides.hold(&configured) && !overrides.differs("house"));
        overrides.apply(&configured, &house(Change::Stop)).unwrap();
        assert!(overrides.hold(&configured) && overrides.differs("house"));
        assert!(!overrides.wanted(&configured).contains_key("house"));
        assert_eq!(overrides.all(&configured), configured);
        assert!(
            !overrides.hold(&Sources::default()),
            "a reload took it out of the configuration"
        );
        overrides.apply(&configured, &house(Change::Start)).unwrap();
        assert_eq!(overrides, Overrides::default());
    }

    #[test]
    fn normal_and_anomaly_data_are_the_same_source_without_and_with_faults() {
        let (mut overrides, configured) = (Overrides::default(), configured());
        overrides.apply(&configured, &house(Change::Stop)).unwrap();
        overrides.apply(&configured, &house(Change::Normal)).unwrap();
        let mut expected = configured["house"].clone();
        expected.faults = None;
        assert_eq!(overrides.wanted(&configured)["house"], expected);
        overrides.apply(&configured, &house(Change::Anomalies)).unwrap();
        expected.faults = Some(Amount::try_from(ANOMALIES).unwrap());
        assert_eq!(overrides.wanted(&configured)["house"], expected);
        for name in ["posts", "old"] {
            let refused = overrides
                .apply(&configured, &Change::Anomalies(name.to_owned()))
                .unwrap_err();
            assert!(refused.contains("is not simulated"), "{refused}");
        }
        assert!(
            overrides
                .apply(&configured, &Change::Start("attic".to_owned()))
                .is_err()
        );
    }

    #[test]
    fn events_have_a_template_and_a_rate_of_their_own() {
        let mut overrides = Overrides::default();
        let text = "[clicks]\nkind = \"simulate\"\nprofile = \"clickstream\"\nsensors = 4\n";
        let configured: Sources = toml::from_str(text).unwrap();
        overrides
            .apply(&configured, &Change::Rate("clicks".to_owned(), 200.0))
            .unwrap();
        assert_eq!(rate(&overrides.all(&configured)["clicks"]), Some(200.0));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        std::fs::write(&file, "rate = 1\n[event]\nsite = { sensor = true }\n").unwrap();
        overrides
            .apply(&configured, &Change::Template("clicks".to_owned(), file.clone()))
            .unwrap();
        assert_eq!(
            overrides.wanted(&configured)["clicks"].profile,
            Some(Choice::File(file))
        );
        let missing = dir.path().join("missing.toml");
        assert!(
            overrides
                .apply(&configured, &Change::Template("clicks".to_owned(), missing))
                .is_err()
        );
        let house = self::configured();
        let refused = overrides.apply(&house, &Change::Template("house".to_owned(), "t.toml".into()));
        assert!(refused.unwrap_err().contains("no events of a template"));
    }

    #[test]
    fn a_rate_is_set_where_there_is_one() {
        let (mut overrides, configured) = (Overrides::default(), configured());
        let mut set = |name: &str, to: f64| {
            let said = overrides.apply(&configured, &Change::Rate(name.to_owned(), to))?;
            Ok::<_, String>((rate(&overrides.all(&configured)[name]), said))
        };
        assert_eq!(rate(&configured["house"]), Some(10.0));
        assert_eq!(set("house", 250.0).unwrap().0, Some(250.0));
        let (given, said) = set("house", 3.0).unwrap();
        // The interval is in whole milliseconds.
        assert!(
            (given.unwrap() - 3.0).abs() < 0.001 && said.contains("3 readings a second"),
            "{said}"
        );
        assert_eq!(set("old", 60.0).unwrap().0, Some(60.0));
        for (name, wrong) in [
            ("house", 0.0),
            ("house", -1.0),
            ("house", f64::NAN),
            ("house", 1e6),
            ("house", f64::INFINITY),
            ("old", 0.0),
            ("old", f64::NAN),
            ("posts", 1.0),
        ] {
            assert!(set(name, wrong).is_err(), "{name} {wrong}");
        }
        assert_eq!(set("house", 10.0).unwrap().0, Some(10.0));
    }
}
