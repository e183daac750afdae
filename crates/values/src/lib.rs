//! What settings are made of. The bottom of the workspace: it knows nothing of readings, lanes or AWS, and does no I/O.
//! Read in this order:

/// Names of AWS resources.
pub mod aws_name;
/// A size in bytes as people write it.
pub mod byte_size;
/// TOML documents whose problems name file, line and column.
pub mod document;
/// Durations as people write them, with their range in the type.
pub mod duration;
/// Numbers with their range in the type.
pub mod number;
/// What is wrong with a configuration, and where.
pub mod problem;
