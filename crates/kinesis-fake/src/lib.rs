//! A Kinesis endpoint for tests: it keeps Kinesis' limits and answers as Kinesis does, refuses, delays and breaks on
//! demand, and writes down every record it accepted.
//!
//! It knows nothing of the rest of this workspace, so that both cannot be wrong in the same way. It never serves
//! anything but 127.0.0.1. Read in this order:

/// One that does no work.
pub mod blind;
/// What changes a running endpoint.
pub mod command;
/// How an endpoint starts.
pub mod config;
/// What can go wrong with a request, by chance or by script.
pub mod fault;
/// What was accepted, and what was counted.
pub mod ledger;
/// The name of an operation.
pub mod operation;
/// A running endpoint.
pub mod server;

mod connection;
mod description;
mod form;
mod identity;
mod metadata;
mod put;
mod read;
mod refusal;
mod reshard;
mod service;
mod shard;
mod state;
mod stream;
mod throttle;

pub use blind::Blind;
pub use command::{Command, Credentials, Metadata};
pub use config::{Config, Strategy};
pub use fault::{Chances, Fault, Step};
pub use ledger::{Accepted, Counters, Session};
pub use operation::Operation;
pub use server::{Endpoint, StartError};
