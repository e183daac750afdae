//! What names a page of detector state.

use std::fmt;
use std::sync::Arc;

use wire::LaneName;

/// The name of a page: the partition key of our own records, `series/<sensor id>` for what others wrote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageName(Arc<str>);

impl PageName {
    /// The page of records that carry our identity: a lane's, or a sensor's in plain mode.
    pub fn of_key(partition_key: &str) -> Self {
        Self(partition_key.into())
    }

    /// The page of a sensor whose records others wrote: their partition keys may be ephemeral, so the series names it.
    pub fn of_series(sensor: &str) -> Self {
        Self(format!("series/{sensor}").into())
    }

    /// The page of a lane.
    pub fn of_lane(lane: LaneName) -> Self {
        Self(lane.to_string().into())
    }

    /// The lane whose page it is, where it is one.
    pub fn lane(&self) -> Option<LaneName> {
        self.0.parse().ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
