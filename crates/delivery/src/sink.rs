//! Where records go. A sink answers for each record; only the pipeline retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::record::Record;

/// The code of a refusal because a shard's limit was reached: its pace drops.
pub const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// What became of one record of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken for good; by this shard, where the sink has shards.
    Accepted(Option<Arc<str>>),
    /// Not taken this time: send it again. The code is the sink's own, from a closed set.
    Refused(&'static str),
}

/// Why a whole request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Waiting helps: a timeout, a broken connection, a fault of the service, an outage, an expired token.
    #[error("{message}")]
    Transient {
        /// A closed set of words: the metric label.
        kind: &'static str,
        /// For people: what was being done, and why it failed.
        message: String,
    },
    /// Waiting helps once a person has acted: the stream, a permission, a credential or the endpoint is wrong. It says
    /// nothing about the records.
    #[error("{message}")]
    Misconfigured {
        /// A closed set of words: the metric label.
        kind: &'static str,
        /// For people: what was being done, why it failed, and what to do.
        message: String,
    },
    /// The request is invalid, perhaps because of one of its records: smaller requests find out which.
    #[error("{message}")]
    Rejected {
        /// A closed set of words: the metric label.
        kind: &'static str,
        /// What the sink objects to.
        objection: Objection,
        /// For people: what was being done, and why it failed.
        message: String,
    },
    /// The sink will never take anything: the daemon has to end, and keeps what it holds in the spool.
    #[error("{message}")]
    Fatal {
        /// For people: what is wrong, and how to mend it.
        message: String,
    },
}

/// What a sink that rejects a request objects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A record: it is too large, or its partition key is invalid.
    Record,
    /// The sink does not say.
    Unknown,
}

/// What a sink answers to a request: one answer a record, in order.
pub type Put<'a> = Pin<Box<dyn Future<Output = Result<Vec<Answer>, PutError>> + Send + 'a>>;

/// Takes requests of sealed records: at most one of each lane.
pub trait Sink: std::fmt::Debug + Send + Sync + 'static {
    /// Puts the records and answers for each, in order. May be called for several requests at once, never with the same lane in two.
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a>;
}
