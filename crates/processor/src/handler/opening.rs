//! Opens partitions for a fold: warm ones, brought up to date after a conflict, stored ones, and new ones.

use std::collections::VecDeque;

use super::batch::Group;
use super::outcome::Outcome;
use super::{Handler, WATCHED_INVOCATIONS};
use crate::partition::seed::seed;
use crate::partition::{Checkpointed, PartitionName, Partitions, WarmPartition};
use crate::scores::Scores;
use crate::store_error::StoreError;

/// Expected memory of a partition that is not a lane's: it holds one sensor.
const PLAIN_PARTITION_BYTES: usize = 12 * 1024;

impl<P: Partitions, S: Scores> Handler<P, S> {
    /// Opens partitions up to the memory limit for open ones.
    pub(super) async fn open_some<'a>(
        &mut self,
        waiting: &mut VecDeque<Group<'a>>,
        outcome: &mut Outcome,
        again: &mut Vec<Group<'a>>,
    ) -> Vec<(Group<'a>, WarmPartition)> {
        let mut open: Vec<(Group<'a>, WarmPartition)> = Vec::new();
        let mut bytes = 0;
        loop {
            let mut next = Vec::new();
            let mut expected = bytes;
            while let Some(group) = waiting.front() {
                expected += self.expected_bytes(&group.partition);
                let first = open.is_empty() && next.is_empty();
                if expected > self.limits.open_bytes && !first {
                    break;
                }
                next.extend(waiting.pop_front());
            }
            if next.is_empty() {
                return open;
            }
            for (group, partition) in self.open(next, outcome, again).await {
                bytes += partition.bytes();
                if group.partition.lane().is_some() {
                    self.largest_lane = self.largest_lane.max(Some(partition.bytes()));
                }
                open.push((group, partition));
            }
        }
    }

    /// Expected memory of a partition once it is open. Sensors are spread evenly over lanes, so their partitions are
    /// about equally large; before the first one is open nothing is known about their size.
    fn expected_bytes(&self, name: &PartitionName) -> usize {
        match self.warm.bytes_of(name) {
            Some(bytes) => bytes,
            None if name.lane().is_some() => self.largest_lane.unwrap_or(self.limits.open_bytes),
            None => PLAIN_PARTITION_BYTES,
        }
    }

    /// Opens the partitions of these groups: warm, loaded or new.
    async fn open<'a>(
        &mut self,
        groups: Vec<Group<'a>>,
        outcome: &mut Outcome,
        again: &mut Vec<Group<'a>>,
    ) -> Vec<(Group<'a>, WarmPartition)> {
        let mut open = Vec::with_capacity(groups.len());
        let mut cold = Vec::new();
        for group in groups {
            match self.warm.take(&group.partition) {
                Some(partition) => open.push((group, partition)),
                None => cold.push(group),
            }
        }
        if self.watchful > 0 {
            open = self.catch_up(open, outcome).await;
        }
        let names: Vec<PartitionName> = cold.iter().map(|group| group.partition.clone()).collect();
        let loaded = if names.is_empty() {
            Vec::new()
        } else {
            self.partitions.load(&names).await
        };
        debug_assert_eq!(loaded.len(), names.len());
        for (group, stored) in cold.into_iter().zip(loaded) {
            let partition = match stored {
                Ok(Some(stored)) => {
                    WarmPartition::restore(&group.partition, &stored, self.limits.most_weight(&self.settings)).map(Some)
                }
                Ok(None) => self.begin(&group.partition).await,
                Err(error) => Err(error),
            };
            match partition {
                Ok(Some(partition)) => open.push((group, partition)),
                Ok(None) => again.push(group),
                Err(error) => outcome.fail(&group, &error),
            }
        }
        self.make_room(open, outcome).await
    }

    /// Folds entries of other invocations into warm partitions.
    async fn catch_up<'a>(
        &mut self,
        open: Vec<(Group<'a>, WarmPartition)>,
        outcome: &mut Outcome,
    ) -> Vec<(Group<'a>, WarmPartition)> {
        self.watchful -= 1;
        let known: Vec<(PartitionName, u64)> = open
            .iter()
            .map(|(group, partition)| (group.partition.clone(), partition.version))
            .collect();
        let since = self.partitions.since(&known).await;
        debug_assert_eq!(since.len(), known.len());
        let mut current = Vec::with_capacity(open.len());
        for ((group, mut partition), entries) in open.into_iter().zip(since) {
            let followed = entries.and_then(|entries| {
                if !entries.is_empty() {
                    self.watchful = WATCHED_INVOCATIONS;
                }
                partition.follow(&group.partition, &entries)
            });
            match followed {
                Ok(()) => current.push((group, partition)),
                Err(error) => outcome.fail(&group, &error),
            }
        }
        current
    }

    /// Writes checkpoints for partitions that are running out of room for entries.
    async fn make_room<'a>(
        &mut self,
        open: Vec<(Group<'a>, WarmPartition)>,
        outcome: &mut Outcome,
    ) -> Vec<(Group<'a>, WarmPartition)> {
        let mut roomy = Vec::with_capacity(open.len());
        for (group, mut partition) in open {
            if partition.growth.entries >= self.limits.max_entries.div_ceil(2)
                && let Err(error) = self.checkpoint(&group.partition, &mut partition, outcome).await
            {
                outcome.fail(&group, &error);
            } else {
                roomy.push((group, partition));
            }
        }
        roomy
    }

    /// Begins a partition that is not stored yet; `None` if another invocation has just begun it.
    async fn begin(&mut self, name: &PartitionName) -> Result<Option<WarmPartition>, StoreError> {
        let Some(lane) = name.lane() else {
            return Ok(Some(WarmPartition::default()));
        };
        let most_weight = self.limits.most_weight(&self.settings);
        let mut partition = WarmPartition::new(seed(&mut self.partitions, lane, most_weight).await?);
        // Written even if nothing was known: two invocations must not begin a partition from different states.
        let checkpoint = partition.checkpoint();
        Ok(match self.partitions.checkpoint(name, &checkpoint).await? {
            Checkpointed::Written => {
                partition.checkpointed(&checkpoint);
                Some(partition)
            }
            Checkpointed::Superseded => None,
        })
    }
}
