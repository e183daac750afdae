//! Where records go: the implementations of [`delivery::sink::Sink`].

/// Into the processor in this process.
pub mod embedded;
/// Into a Kinesis data stream.
pub mod kinesis;
/// To standard output.
pub mod stdout;
