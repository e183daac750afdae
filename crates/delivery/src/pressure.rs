//! The backpressure signal for sources.

/// How well the pipeline keeps up with its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pressure {
    /// It has plenty of memory left.
    #[default]
    Low,
    /// Sources that can wait should: memory is half full, or one lane has used half of its share.
    High,
    /// Memory is full, and neither the sink nor the spool accepts records.
    Blocked,
}
