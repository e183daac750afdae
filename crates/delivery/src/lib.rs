//! Readings in, records out, in order: the decisions between the daemon's sources and its sink.
//!
//! Pure: no I/O, no clock, no tokio. Time and randomness are passed in, outcomes are reported through callbacks, and
//! the sink and the spool appear only as interfaces. Read in this order:

/// Batches of readings from a source, and the receipts that acknowledge them.
pub mod batch;
/// Counts where every reading is: the conservation law.
pub mod ledger;
/// The backpressure signal for sources.
pub mod pressure;
/// A sealed record: the unit that a lane sends, retries and spools.
pub mod record;
/// The interface of a sink.
pub mod sink;
/// The types that lanes and the spool exchange.
pub mod spool;

/// Delays before a refused record is retried.
pub mod backoff;
/// The send rate of each shard.
pub mod pace;
mod shard_map;

/// One lane: packs readings and keeps its records in order.
pub mod lane;
/// All lanes: form requests, handle answers, and share memory with the spool.
pub mod lanes;
mod ready;
/// One PutRecords request.
pub mod request;
