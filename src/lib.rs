//! The daemon: readings in, Kinesis records out, in order, losing nothing. Read in this order:

/// What operators ask over HTTP: metrics, liveness, readiness, and the page.
pub mod admin;
/// What the running daemon tells of itself.
pub mod board;
/// One reading of our own, sent to see whether readings arrive.
pub mod canary;
/// What the page may change.
pub mod changes;
/// The running daemon: builds every part and watches over them.
pub mod daemon;
/// What can never be delivered, kept in a file that any tool reads.
pub mod dead_letter;
/// What the world outside knows of the daemon: HTTP endpoint, signals, service manager.
pub mod front;
/// What the HTTP ports share: connections within limits and timeouts.
pub mod http_server;
/// Every metric, in one place.
pub mod metrics;
/// Moves readings from the sources to the sink.
pub mod pipeline;
/// What is measured now, for a person who looks on.
pub mod screen;
/// Where records go.
pub mod sink;
/// Where readings come from.
pub mod source;
/// All running sources: started, stopped and exchanged.
pub mod sources;
/// What the service manager is told.
pub mod systemd;
/// The last readings of sensors, while a person looks on.
pub mod traces;
/// What is wrong with the sink or the spool, said in time.
pub mod trouble;

/// Names of AWS resources as people write them.
pub mod aws_name;
/// The wall clock, which only sources and the pipeline read.
pub mod clock;
/// Secrets and certificates in files.
pub mod credential;
/// Log lines: where they go and what they look like.
pub mod log;
/// How many files and connections may be open at once.
pub mod open_files;
/// What a person can set, loaded and checked.
pub mod settings;
/// Where the daemon may keep what must outlive it.
pub mod state_dir;
/// Bearer tokens in a file.
pub mod tokens;

/// The command `backtest`: the detectors over a history.
pub mod backtest;
/// The command line.
pub mod cli;
/// The command `cost`: what a load takes of AWS and costs a month.
pub mod cost;
/// The command `doctor`: all the daemon needs, looked at before it is needed.
pub mod doctor;
/// The command `incidents`: incidents of the embedded store, for people.
pub mod incidents;
/// The command `readings`: what a table kept of a sensor.
pub mod readings;
/// The command `simulate`.
pub mod simulate;
