//! Where log lines go and what they look like. Nothing here knows what is logged.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as lines};

/// The `[log]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which lines are written.
    pub level: Level,
    /// How they look.
    pub format: Format,
}

/// A level, or directives by module such as `info,temp_ingest::lane=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Level(String);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Fields of the systemd journal, through its socket.
    Journald,
}

/// Directives that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a log level; write error, warn, info, debug or trace, or directives such as \"info,temp_ingest::lane=debug\""
)]
pub struct NotALevel(String);

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal's socket is not there.
    #[error("opening the journal's socket for log.format = \"journald\"; write \"text\" where no systemd runs")]
    Journal(#[source] io::Error),
    /// A log was set up before.
    #[error("setting up the log twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends log lines to standard error, or to the journal, from here on.
pub fn start(settings: &Settings) -> Result<(), StartError> {
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        Format::Text => lines::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
        Format::Json => lines::layer()
            .json()
            .flatten_event(true)
            .with_writer(io::stderr)
            .boxed(),
        Format::Journald => tracing_journald::layer().map_err(StartError::Journal)?.boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(settings.level.filter()))
        .try_init()?;
    Ok(())
}

impl Level {
    /// The directives, as they were written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn filter(&self) -> EnvFilter {
        EnvFilter::builder()
            .parse(&self.0)
            .expect("the directives were parsed when the level was made")
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("info".into())
    }
}

impl FromStr for Level {
    type Err = NotALevel;

    fn from_str(text: &str) -> Result<Self, NotALevel> {
        // A word that is no level would be read as the name of a module, as would a space, and everything else fall silent.
        let words = text.split(',').all(|directive| {
            let level = directive.parse::<tracing::level_filters::LevelFilter>().is_ok();
            !directive.is_empty() && directive == directive.trim() && (level || directive.contains(['=', '[']))
        });
        match EnvFilter::builder().parse(text) {
            Ok(_) if words => Ok(Self(text.into())),
            _ => Err(NotALevel(text.into())),
        }
    }
}

impl TryFrom<String> for Level {
    type Error = NotALevel;

    fn try_from(text: String) -> Result<Self, NotALevel> {
        text.parse()
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_read_and_misspelt_ones_refused() {
        for level in ["info", "off", "WARN", "info,temp_ingest::lane=debug"] {
            assert!(level.parse::<Level>().is_ok(), "{level}");
        }
        for level in ["", "inof", "info,lane=loud", "loud", "warn, temp_ingest=trace"] {
            assert!(level.parse::<Level>().is_err(), "{level}");
        }
    }
}
