//! The daemon: takes readings in and puts Kinesis records out, in order, losing nothing. Data flows one way: `source`,
//! `pipeline`, `sink`; the pure parts lie in the crate `delivery`. Nothing here depends on `cli`, and only `daemon`
//! puts the parts together. Read in this order:

/// A test reading, sent to check that readings arrive.
pub mod canary;
/// The running daemon: builds every part and supervises it.
pub mod daemon;
/// Readings that can never be delivered, kept in a file that any tool can read.
pub mod dead_letter;
/// Moves readings from the sources to the sink.
pub mod pipeline;
/// Where records go.
pub mod sink;
/// Where readings come from.
pub mod source;

/// The configuration, loaded and checked.
pub mod config;
/// The status of the daemon, and what people may change while it runs.
pub mod control;
/// The HTTP endpoint for operators: metrics, liveness, readiness and the dashboard.
pub mod dashboard;
/// The `incidents` command.
pub mod incidents;
/// Metrics, log, console and recent readings.
pub mod telemetry;

/// The wall clock, which only sources and the pipeline read.
pub mod clock;
/// What the HTTP ports share: connection limits and timeouts.
pub mod http_server;
/// Tokens, passwords and certificates in files.
pub mod secrets;

/// The command line, with a file or folder for each command.
pub mod cli;
