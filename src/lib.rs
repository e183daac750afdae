//! The daemon: readings in, Kinesis records out, in order, losing nothing. Data flows one way: `source`, `pipeline`, `sink`;
//! what is pure about it lies in the crate `delivery`. Nothing here reaches into `cli`, and `daemon` alone puts the parts
//! together. Read in this order:

/// One reading of our own, sent to see whether readings arrive.
pub mod canary;
/// The running daemon: builds every part and watches over them.
pub mod daemon;
/// What can never be delivered, kept in a file that any tool reads.
pub mod dead_letter;
/// Moves readings from the sources to the sink.
pub mod pipeline;
/// Where records go.
pub mod sink;
/// Where readings come from.
pub mod source;

/// What a person can set, loaded and checked.
pub mod config;
/// What runs now, and what people may change of it.
pub mod control;
/// What operators ask over HTTP: metrics, liveness, readiness, and the web page.
pub mod dashboard;
/// Incidents, as people ask for them.
pub mod incidents;
/// What the daemon tells of itself: metrics, log, console, the last readings.
pub mod telemetry;

/// The wall clock, which only sources and the pipeline read.
pub mod clock;
/// What the HTTP ports share: connections within limits and timeouts.
pub mod http_server;
/// Tokens, passwords and certificates in files.
pub mod secrets;

/// The command line, with a file or a folder for each command.
pub mod cli;
