//! Sinks, the destinations of records: the implementations of [`delivery::sink::Sink`].

/// The processor in this process.
pub mod embedded;
/// A Kinesis data stream.
pub mod kinesis;
/// Standard output.
pub mod stdout;

use serde::{Deserialize, Serialize};

/// The kind of sink.
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
