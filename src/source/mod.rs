//! Sources of readings. Only sources see the stop token: every later stage ends when its input closes.

/// The admission limit of new sensors.
pub mod admission;
/// Built-in recorded series.
pub mod example;
/// The queue between the sources and the pipeline.
pub mod handover;
/// Readings by POST.
pub mod http;
mod lines;
/// The ports of sources.
pub mod listeners;
/// The count of malformed input.
pub mod malformed;
/// Messages from an MQTT broker.
pub mod mqtt;
mod output;
mod position;
mod produced;
mod progress;
mod readings;
mod replay;
/// One source's table in the configuration.
pub mod settings;
mod simulated;
mod slots;
mod stdin;
/// Readings as CSV.
pub mod table;
#[cfg(test)]
mod trial;
mod validate;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

pub use admission::{Admission, TooManySensors};
use handover::Closed;
pub use listeners::Listeners;
pub use malformed::Malformed;
pub use output::{Output, Refused, Stop};
pub use produced::Produced;
pub use settings::{Settings, Sources};
pub use slots::Slots;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use validate::Validated;
use values::problem::Problem;

use crate::telemetry::metrics::Metrics;

/// How a source ended without failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has no more readings, and all that it gave are safe.
    Spent,
    /// It was asked to stop, or the pipeline ended before it.
    Stopped,
}

/// Why a source failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Its settings are not valid: the problems that [`Settings::check`] finds.
    #[error("source {name:?} cannot start: {}", listed(.problems))]
    Settings {
        /// The source's name.
        name: String,
        /// What is wrong; never empty.
        problems: Vec<Problem>,
    },
    /// A file could not be read or written.
    #[error("{doing} {file}")]
    File {
        /// The operation, such as `reading`.
        doing: &'static str,
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file does not begin with readings.
    #[error(
        "{file}, line {line}: expected JSON lines of readings, or CSV with the header timestamp,value[,sensor], \
         found {found:?}: put the header on top"
    )]
    Header {
        /// The file.
        file: String,
        /// The line number of the first line that is not empty.
        line: u64,
        /// The text of that line, shortened.
        found: String,
    },
    /// A newer version of the daemon wrote a state file.
    #[error(
        "{file} was written by a newer version (its format is version {version}): install that version again, \
         or remove the file to replay from the start"
    )]
    Version {
        /// The file.
        file: String,
        /// The version of its format.
        version: u32,
    },
    /// Its port cannot be used.
    #[error("listening on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A newer version of the daemon wrote a session file.
    #[error(
        "{file} was written by a newer version (its format is version {version}): install that version again, \
         or remove the file to begin a new session with the broker"
    )]
    NewerSession {
        /// The file.
        file: String,
        /// The version of its format.
        version: u32,
    },
    /// Its tokens or its certificate cannot be used.
    #[error(transparent)]
    Access(http::AccessError),
}

/// What a source works with, besides its output.
#[derive(Debug)]
pub struct SourceContext {
    /// The directory of replay positions and broker sessions.
    pub state_dir: PathBuf,
    /// Counts lines and messages that are not readings.
    pub malformed: Arc<Malformed>,
    /// Counts requests and messages.
    pub metrics: Arc<Metrics>,
    /// The port, if the source has one.
    pub listener: Option<TcpListener>,
    /// The decoding slots, shared by all sources that decode clients' data.
    pub slots: Slots,
    /// Changes when a reload changes settings that the source can apply while it runs.
    pub settings: watch::Receiver<Settings>,
}

/// Starts the source `name`. It ends when it has no more readings, when `output` asks it to stop, or when the pipeline
/// has ended. A replay, an `http` or an `mqtt` source releases its output at once but ends only after its last receipt,
/// which a draining pipeline still settles.
pub fn spawn(
    name: &str,
    settings: &Settings,
    output: Output,
    context: SourceContext,
) -> JoinHandle<Result<Ended, SourceError>> {
    let config = settings.validate(name);
    let name = name.to_owned();
    tokio::spawn(async move {
        match config {
            Ok(Validated::Simulate(config)) => Ok(simulated::run(name, config, output).await),
            Ok(Validated::Replay(config)) => {
                replay::run(name, config, output, context.state_dir, context.malformed).await
            }
            Ok(Validated::Stdin(described)) => stdin::run(described, output, context.malformed).await,
            Ok(Validated::Http(config)) => http::run(name, config, output, context).await,
            Ok(Validated::Mqtt(config)) => mqtt::run(name, *config, output, context).await,
            Err(problems) => Err(SourceError::Settings { name, problems }),
        }
    })
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// The action of a [`Receipt`](delivery::batch::Receipt) whose source listens to a channel: it sends the batch's
/// position.
pub fn to_channel(settled: mpsc::UnboundedSender<u64>) -> impl Fn(u64) + Send + Sync {
    move |position| {
        // A source that has ended no longer listens.
        let _ = settled.send(position);
    }
}
