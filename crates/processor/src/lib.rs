//! From records to findings: decodes records, folds their readings into partitions of detector state, stores what
//! follows and notifies people. The same code runs in the daemon, over SQLite, and in the Lambda functions, over
//! DynamoDB.
//!
//! It must not know who delivers records or which transport carries a message. AWS types are named in [`dynamodb`]
//! only, SQL in [`sqlite`] only, and the wall clock is read in [`dynamodb`] only. Read in this order:

/// Delivers the events of entries.
pub mod alert;
/// Records that a CloudWatch Logs subscription puts into a stream.
pub mod envelope;
/// Which incidents of a group belong together, and when to notify people.
pub mod episodes;
/// From records to partitions: decodes, folds, appends.
pub mod handler;
/// A short name of an incident, for people to type.
pub mod incident_id;
/// Incidents as people query them.
pub mod incidents;
/// What people are told.
pub mod message;
/// Where the consequences of a fold go: the interfaces of stores and notifiers.
pub mod outbox;
/// The state of the sensors that share a partition key: named, stored, kept in memory.
pub mod partition;
/// One record of one shard, as an event source delivers it.
pub mod record;
/// The score of a series or a vector, on request.
pub mod score;
/// Where the score of every reading goes.
pub mod scores;
/// Why state or events could not be read or written.
pub mod store_error;

/// The tables in DynamoDB.
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
/// The embedded store: one SQLite file.
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod encoding;

pub use handler::{Counts, Handled, Handler};
pub use message::Message;
pub use record::{KinesisRecord, SequenceNumber};
pub use store_error::StoreError;
