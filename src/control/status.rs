//! The daemon's status, beyond its metrics: its sources and where readings go.

use std::path::PathBuf;

use crate::sink;
use crate::sink::kinesis::Target;
use crate::source::{Produced, Settings};

/// The current state of the daemon, published again at each change.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Where records go.
    pub sink: sink::Kind,
    /// The stream's name or ARN, if the sink is Kinesis.
    pub stream: Option<String>,
    /// The folder for state that outlives the daemon.
    pub state_dir: PathBuf,
    /// Where incidents are kept.
    pub incidents: IncidentStore,
    /// The table in which the functions behind the stream keep readings with their scores.
    pub readings: Option<Table>,
    /// The score from which a reading is an anomaly, if scores are known here.
    pub threshold: Option<f64>,
    /// Every source, running or not, by name.
    pub sources: Vec<Row>,
}

/// Where incidents are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IncidentStore {
    /// Unknown.
    #[default]
    Nowhere,
    /// In the embedded sink's store, in this folder.
    Folder(PathBuf),
    /// In a table that the functions behind the stream keep.
    Table(Table),
}

/// A table that the functions behind the stream keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The stream whose region, endpoint and credentials the table is accessed with, without the stream's role.
    pub beside: Target,
}

/// A source.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its current settings.
    pub settings: Settings,
    /// True if they differ from the configuration.
    pub changed: bool,
    /// Whether it runs.
    pub state: State,
    /// Readings it has produced since the daemon started.
    pub produced: Produced,
}

/// Whether a source runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It produces readings.
    Running,
    /// It was asked to stop and has not ended yet; its replacement waits for that.
    Stopping,
    /// It does not run.
    Stopped,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}
