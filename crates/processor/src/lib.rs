//! The handler that scores every reading: over DynamoDB and SNS in the cloud, over an embedded store in the daemon.
//! It names no AWS type and no wall clock. Read in this order:

/// Delivers the events of entries.
pub mod alert;
/// What moves a page: entries and checkpoints.
pub mod entry;
/// What a CloudWatch Logs subscription puts into a stream.
pub mod envelope;
/// What fails together is one message.
pub mod group;
/// From records to pages: decode, contain poison, fold, append.
pub mod handler;
/// A short name of an incident, for people to type.
pub mod incident_id;
/// Incidents as people ask for them.
pub mod incidents;
/// How far a page has folded each shard.
pub mod marks;
/// What people are told.
pub mod message;
/// Where the consequences of a fold go.
pub mod outbox;
/// What names a page of detector state.
pub mod page_name;
/// Where pages are kept.
pub mod pages;
/// What an event source hands over: one record of one shard.
pub mod record;
/// What a series or a vector would score, for whoever asks.
pub mod score;
/// Where the score of every reading goes.
pub mod scores;
/// Why state or events could not be read or written.
pub mod store_error;
/// Times, numbers and names as people read them.
pub mod text;
/// What is wrong, in words a person can act on.
pub mod words;

/// The tables in DynamoDB.
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
/// The embedded store: one SQLite file.
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod batch;
mod encoding;
mod fold;
mod group_message;
mod seed;
mod warm;

pub use handler::{Counts, Handled, Handler};
pub use message::Message;
pub use record::{KinesisRecord, SequenceNumber};
pub use store_error::StoreError;
