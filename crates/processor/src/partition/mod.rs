//! The state of the sensors that share a partition key, as it is named, stored and kept in memory. It knows no store.

mod entry;
mod high_water_marks;
mod name;
/// The first state of a lane's partition after the number of lanes has changed.
pub(crate) mod seed;
mod store;
/// Partitions in memory.
pub(crate) mod warm;

pub use entry::{Checkpoint, Entry, UNIT_BYTES, decode_events, encode_events};
pub use high_water_marks::{HighWaterMark, HighWaterMarks};
pub use name::PartitionName;
pub use store::{Append, AppendError, Checkpointed, MAX_ENTRIES, Partitions, Stored};
pub(crate) use warm::{Growth, WarmPartition, WarmPartitions};
