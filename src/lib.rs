//! The daemon: readings in, Kinesis records out, in order, losing nothing. Read in this order:

/// A size in bytes as people write it.
pub mod byte_size;
/// What can never be delivered, kept in a file that any tool reads.
pub mod dead_letter;
/// Incidents of the embedded store, for people.
pub mod incidents;
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
/// What the sink cannot take now, kept on disk.
pub mod spool;
/// Where the daemon may keep what must outlive it.
pub mod state_dir;

/// What operators ask over HTTP: metrics, liveness, readiness.
pub mod admin;
/// Durations as people write them, with their range in the type.
pub mod duration;
/// Log lines: where they go and what they look like.
pub mod log;
/// Every metric, in one place.
pub mod metrics;
/// What a person can set, loaded and checked.
pub mod settings;
