//! The first state of a lane's partition after the number of lanes has changed: what the partitions of the lanes that
//! covered its slice before know about its sensors.

use detect::Partition;
use wire::LaneName;

use super::{PartitionName, Partitions, WarmPartition};
use crate::store_error::StoreError;

/// Looks for finer lanes down to an eighth of the slice: lanes are rarely split further in one step.
const LEVELS: u32 = 3;

/// A partition with all that is known about the sensors of `lane`, by every lane around it and those within it. All are
/// asked, because the nearest one need not be the last one in use; the newest state of a sensor counts.
pub(crate) async fn seed(
    partitions: &mut impl Partitions,
    lane: LaneName,
    most_weight: u64,
) -> Result<Partition, StoreError> {
    let within = (1..=LEVELS).flat_map(|level| lane.enclosed(lane.lanes() << level));
    let names: Vec<PartitionName> = lane.enclosing().chain(within).map(PartitionName::of_lane).collect();
    let mut known = Vec::new();
    // One after the other: together they may be more than memory holds.
    for name in &names {
        for stored in partitions.load(std::slice::from_ref(name)).await {
            if let Some(stored) = stored? {
                let mut partition = WarmPartition::restore(name, &stored, most_weight)?.state;
                partition.restrict(&lane.slice());
                known.push(partition);
            }
        }
    }
    Ok(Partition::merge(known))
}
