//! The name of a partition.

use std::fmt;
use std::sync::Arc;

use wire::LaneName;

/// The name of a partition: the partition key of our own records; `series/<sensor id>` for records of other producers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionName(Arc<str>);

impl PartitionName {
    /// The partition of records with our identity: a lane's, or a sensor's in plain mode.
    pub fn of_key(partition_key: &str) -> Self {
        Self(partition_key.into())
    }

    /// The partition of a sensor whose records come from other producers. Their partition keys may be random, so the
    /// sensor names it.
    pub fn of_series(sensor: &str) -> Self {
        Self(format!("series/{sensor}").into())
    }

    /// The partition of a lane.
    pub fn of_lane(lane: LaneName) -> Self {
        Self(lane.to_string().into())
    }

    /// The lane, if it is the partition of one.
    pub fn lane(&self) -> Option<LaneName> {
        self.0.parse().ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
