//! What changes a running endpoint. In another process it is posted to `/_control` as JSON, one command or a list.

use serde::{Deserialize, Serialize};

use crate::config::Strategy;
use crate::fault::{Chances, Improbable, Step};
use crate::operation::Operation;

/// What changes a running endpoint. As JSON: `{"chances": {"partial": 0.2}}`, `"create_stream"`,
/// `{"script": [{"fault": "reset_after", "times": 3}]}`, `{"outage": {"millis": 2000}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Replaces the chances of faults.
    Chances(Chances),
    /// Appends to what happens to the next requests.
    Script(Vec<Step>),
    /// Throughput of a shard as a multiple of Kinesis' own; `None` never throttles.
    Throttle(Option<f64>),
    /// The stream exists from now on.
    CreateStream,
    /// The stream is missing from now on. Its shards and what they hold come back when it is created again.
    DeleteStream,
    /// The stream is another one of the same name from now on, empty and CREATING until [`Command::CreateStream`].
    MakeStreamAgain {
        /// How many shards share the hash space equally.
        shards: u32,
        /// Who chooses the shard of a record.
        strategy: Strategy,
    },
    /// Who chooses the shard of a record.
    Strategy(Strategy),
    /// Requests with a record of this partition key hang before they are committed.
    Hang(String),
    /// Requests with this partition key go on, those that hang too.
    Release(String),
    /// Whether what callers present is still good.
    Credentials(Credentials),
    /// How the metadata service of the instance is.
    Metadata(Metadata),
    /// Replaces the operations that are denied with AccessDeniedException.
    Deny(Vec<Operation>),
    /// Refuses connections for so long and ends those that are open; the port stays the same.
    Outage {
        /// How long. `None` lasts until [`Command::Recover`], which only the process of the endpoint can give.
        millis: Option<u64>,
    },
    /// Ends an outage.
    Recover,
}

/// Whether what callers present is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// Every access key seen so far gets ExpiredTokenException; another one is good.
    Expire,
    /// Every access key is good again.
    Renew,
}

/// How the metadata service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// Each answer has credentials of its own, that expire after [`Config::session`](crate::Config::session).
    #[default]
    Up,
    /// Answers 500.
    Down,
    /// Gives no token, which has lured clients into version 1.
    WithoutToken,
}

/// A command that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Chances that cannot be.
    #[error(transparent)]
    Chances(#[from] Improbable),
    /// A throttle that lets nothing through.
    #[error("a throttle of {0} is not a multiple of Kinesis' own throughput: use a positive number, or null for none")]
    Throttle(f64),
    /// The ledger's file takes nothing more.
    #[error("writing the ledger: {0}")]
    Ledger(#[from] std::io::Error),
}
