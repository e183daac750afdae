//! The interface of a sink, which answers for each record. Only the pipeline retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::record::Record;

/// The error code for a record refused because a shard's limit was reached; it lowers the shard's pace.
pub const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// The outcome of one record in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted, by this shard if the sink has shards.
    Accepted(Option<Arc<str>>),
    /// Refused for now: retry. The code is the sink's own, from a closed set.
    Refused(&'static str),
}

/// Why a whole request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Retrying helps: a timeout, a broken connection, a service fault, an outage or an expired token.
    #[error("{message}")]
    Transient {
        /// The metric label, from a closed set.
        kind: &'static str,
        /// For people: what was being done, and why it failed.
        message: String,
    },
    /// Retrying helps only after someone intervenes: the stream, a permission, a credential or the endpoint is wrong.
    /// This says nothing about the records.
    #[error("{message}")]
    Misconfigured {
        /// The metric label, from a closed set.
        kind: &'static str,
        /// For people: what was being done, why it failed, and what to do.
        message: String,
    },
    /// The request is invalid, perhaps because of one of its records; smaller requests find out which.
    #[error("{message}")]
    Rejected {
        /// The metric label, from a closed set.
        kind: &'static str,
        /// What the sink objects to.
        objection: Objection,
        /// For people: what was being done, and why it failed.
        message: String,
    },
    /// The sink will never accept anything: the daemon must stop, and keeps its records in the spool.
    #[error("{message}")]
    Fatal {
        /// For people: what is wrong, and how to fix it.
        message: String,
    },
}

/// What caused a sink to reject a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A record: it is too large, or its partition key is invalid.
    Record,
    /// Unknown: the sink does not say.
    Unknown,
}

/// The sink's answer to a request: one per record, in order.
pub type Put<'a> = Pin<Box<dyn Future<Output = Result<Vec<Answer>, PutError>> + Send + 'a>>;

/// Accepts requests of sealed records, with at most one record per lane.
pub trait Sink: std::fmt::Debug + Send + Sync + 'static {
    /// Puts the records and answers for each, in order. May be called concurrently, but never with the same lane in two
    /// calls.
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a>;
}
