//! Readings in, records out, in order: what the daemon decides between its sources and its sink.
//!
//! Pure: no I/O, no clock, no tokio. Time and randomness are passed in, what became of a reading is called back, and the
//! sink and the spool are known by their interfaces alone. Read in this order:

/// Readings that a source hands over together, and how it hears that they are safe.
pub mod batch;
/// Where every reading is, counted: the conservation law.
pub mod ledger;
/// What sources are told of the room that is left.
pub mod pressure;
/// A sealed record: what a lane sends, retries and spools.
pub mod record;
/// Where records go.
pub mod sink;
/// What lanes and the spool tell each other.
pub mod spool;

/// How long a refused record waits.
pub mod backoff;
/// How fast each shard is fed.
pub mod pace;
mod shard_map;

/// One lane: packs readings, and keeps its records in order.
pub mod lane;
/// All lanes: form requests, take answers, and share memory with the spool.
pub mod lanes;
mod ready;
/// One PutRecords request.
pub mod request;
