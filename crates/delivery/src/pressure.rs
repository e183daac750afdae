//! What sources are told of the room that is left.

/// How well the pipeline copes with what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pressure {
    /// It has plenty of memory left.
    #[default]
    Low,
    /// Sources that can wait should: memory is half full, or one lane's part of it.
    High,
    /// Memory is full, and neither the sink nor the spool takes anything out of it.
    Blocked,
}
