//! What the running daemon tells of itself, beside its metrics: its sources and where readings go.

use std::path::PathBuf;

use crate::sink;
use crate::sink::kinesis::Target;
use crate::source::{Produced, Settings};

/// The daemon as it is now. Published anew at each change.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Where records go.
    pub sink: sink::Kind,
    /// The stream's name or ARN, where the sink is Kinesis.
    pub stream: Option<String>,
    /// Where the daemon keeps what outlives it.
    pub state_dir: PathBuf,
    /// Where incidents are kept.
    pub incidents: IncidentStore,
    /// Where the functions behind the stream keep readings with their scores.
    pub readings: Option<Table>,
    /// A score at or above it is an anomaly; known where scores are.
    pub threshold: Option<f64>,
    /// Every source, running or not, by name.
    pub sources: Vec<Row>,
}

/// Where incidents are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IncidentStore {
    /// It is not known.
    #[default]
    Nowhere,
    /// In the store of the embedded sink, in this folder.
    Folder(PathBuf),
    /// In a table that the functions behind the stream keep.
    Table(Table),
}

/// A table that the functions behind the stream keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The stream: the table is in its region, and reached in the same way, in our own name.
    pub beside: Target,
}

/// A source.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What is set of it now.
    pub settings: Settings,
    /// True where that is not what the configuration says.
    pub changed: bool,
    /// Whether it runs.
    pub state: State,
    /// Readings it has handed over since the start of the daemon.
    pub produced: Produced,
}

/// Whether a source runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It hands readings over.
    Running,
    /// It was asked to stop, and has not ended yet; what takes its place waits for that.
    Stopping,
    /// It does not run.
    Stopped,
}

impl State {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}
