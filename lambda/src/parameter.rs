//! The settings: a `[detect]` table in a parameter of Systems Manager.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use tracing::{error, info};

use crate::systems_manager::SystemsManager;

/// A change takes effect after this time at most.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The parameter's value: the same table as in the daemon's configuration, and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    detect: detect::Settings,
}

/// The parameter, and when it was last read.
#[derive(Debug)]
pub struct Parameter {
    service: SystemsManager,
    name: String,
    read: Option<Instant>,
}

/// The result of reading the parameter.
#[derive(Debug, PartialEq)]
pub enum Settings {
    /// New settings.
    New(detect::Settings),
    /// The settings have not changed.
    Same,
    /// The parameter cannot be read; the settings stay as they are.
    Rejected,
}

impl Parameter {
    /// The parameter of this name.
    pub fn new(service: SystemsManager, name: String) -> Self {
        Self {
            service,
            name,
            read: None,
        }
    }

    /// Reads the parameter again after a while. The first failure is an error, because nothing can be judged without
    /// settings.
    pub async fn settings(&mut self) -> anyhow::Result<Settings> {
        if self.read.is_some_and(|read| read.elapsed() < READ_AGAIN_AFTER) {
            return Ok(Settings::Same);
        }
        let result = self.read().await;
        let first = self.read.is_none();
        match result {
            Ok(settings) => {
                if first {
                    info!(parameter = self.name, "settings read");
                }
                self.read = Some(Instant::now());
                Ok(Settings::New(settings))
            }
            Err(error) if first => Err(error),
            Err(error) => {
                self.read = Some(Instant::now());
                error!(
                    error = format!("{error:#}"),
                    "cannot read the settings; keeping the previous ones"
                );
                Ok(Settings::Rejected)
            }
        }
    }

    async fn read(&self) -> anyhow::Result<detect::Settings> {
        let value = self.service.get_parameter(&self.name).await;
        let value = value.with_context(|| format!("reading parameter {}", self.name))?;
        parse(&value).with_context(|| format!("parameter {} is not a [detect] table", self.name))
    }
}

/// Parses a `[detect]` table.
pub fn parse(text: &str) -> anyhow::Result<detect::Settings> {
    Ok(toml::from_str::<Document>(text)?.detect)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_table_is_read_as_in_the_daemons_configuration() {
        let settings = parse("[detect]\nthreshold = 3.5\nquiet = \"5m\"\n").unwrap();
        assert_eq!(settings.threshold.get(), 3.5);
        assert_eq!(parse("").unwrap(), detect::Settings::default());
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        for (text, line) in [
            ("[detect]\nthresold = 3", "line 2"),
            ("threshold = 3", "line 1"),
            ("[detect", "line 1"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(line), "{text}: {error}");
        }
    }
}
