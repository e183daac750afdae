//! Where records go: the implementations of [`delivery::sink::Sink`].

/// Into the processor in this process.
pub mod embedded;
/// Into a Kinesis data stream.
pub mod kinesis;
/// To standard output.
pub mod stdout;

use serde::{Deserialize, Serialize};

/// Which sink takes the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To the processor, in this process.
    #[default]
    Embedded,
    /// To a Kinesis data stream.
    Kinesis,
    /// To standard output, a line a reading.
    Stdout,
}
