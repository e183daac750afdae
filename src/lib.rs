//! The daemon: readings in, Kinesis records out, in order, losing nothing. Read in this order:

/// Where every reading is, counted: the conservation law.
pub mod ledger;
/// What is wrong with a configuration.
pub mod problem;
/// What a simulated sensor measures.
pub mod profile;
/// A sealed record: what a lane sends, retries and spools.
pub mod record;
/// Where records go.
pub mod sink;
/// Where readings come from.
pub mod source;
