//! From records to partitions: decodes, folds, appends. It knows neither its caller nor the store, and its only clock is a
//! stopwatch around the fold. Read in this order:

mod batch;
mod counts;
mod fold;
mod limits;
mod outcome;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use detect::Settings;
use tracing::warn;
use wire::json::Decoder;

use self::batch::{Batch, Group};
use self::fold::{Fold, Folded};
use self::outcome::Outcome;
use crate::partition::seed::seed;
use crate::partition::{Append, AppendError, Checkpointed, PartitionName, Partitions, WarmPartition, WarmPartitions};
use crate::record::{KinesisRecord, SequenceNumber};
use crate::scores::{Scores, Unwanted};
use crate::store_error::StoreError;

pub use self::counts::Counts;
pub use self::limits::Limits;

/// Folds records into partitions. One invocation at a time; any number of handlers may share the stored partitions.
#[derive(Debug)]
pub struct Handler<P, S = Unwanted> {
    partitions: P,
    scores: S,
    settings: Settings,
    limits: Limits,
    warm: WarmPartitions,
    decoder: Decoder,
    /// The most memory that a lane's partition took so far, in bytes; `None` before the first.
    largest_lane: Option<usize>,
    /// When a full partition was logged last.
    full_logged: Option<Instant>,
    /// Invocations for which warm partitions are still compared with the store before they are folded.
    watchful: u32,
}

/// How long warm partitions are compared with the store after a conflict. A comparison costs a fifth of the write that
/// would be refused, and saves loading the whole partition.
const WATCHED_INVOCATIONS: u32 = 32;

/// Full partitions are logged at most this often, however many there are.
const LOG_FULL_PARTITIONS_EVERY: Duration = Duration::from_secs(60);

/// Expected memory of a partition that is not a lane's: it holds one sensor.
const PLAIN_PARTITION_BYTES: usize = 12 * 1024;

/// The result of an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The lowest sequence number that was not handled: it and all that follow must be delivered again.
    pub failed: Option<SequenceNumber>,
    /// What was done.
    pub counts: Counts,
    /// Time spent decoding, scoring and encoding, without the store.
    pub folding: Duration,
}

impl<P: Partitions> Handler<P> {
    /// A handler over these partitions.
    pub fn new(partitions: P, settings: Settings, limits: Limits) -> Self {
        Self {
            partitions,
            scores: Unwanted,
            settings,
            limits,
            warm: WarmPartitions::new(limits.warm_bytes),
            decoder: Decoder::of_kept(),
            largest_lane: None,
            full_logged: None,
            watchful: 0,
        }
    }

    /// The same handler, which hands every score to `scores`.
    pub fn with_scores<S: Scores>(self, scores: S) -> Handler<P, S> {
        Handler {
            partitions: self.partitions,
            scores,
            settings: self.settings,
            limits: self.limits,
            warm: self.warm,
            decoder: self.decoder,
            largest_lane: self.largest_lane,
            full_logged: self.full_logged,
            watchful: self.watchful,
        }
    }
}

impl<P: Partitions, S: Scores> Handler<P, S> {
    /// Applies other settings from the next reading on.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Folds the records of one shard, in order. Records before [`Handled::failed`] need not be delivered again, and
    /// delivering any record again changes nothing. The future may be dropped at any point.
    pub async fn handle(&mut self, records: &[KinesisRecord<'_>]) -> Handled {
        let begun = Instant::now();
        let Batch {
            mut groups,
            decode_failures,
        } = Batch::of(records, &mut self.decoder);
        let mut outcome = Outcome {
            decode_failures,
            ..Outcome::default()
        };
        outcome.handled.folding = begun.elapsed();
        for tried in 1.. {
            groups = self.attempt(groups, &mut outcome).await;
            if groups.is_empty() {
                break;
            }
            outcome.handled.counts.conflicts += groups.len() as u64;
            if tried >= self.limits.tries {
                for group in groups {
                    outcome.fail(&group, &AppendError::Conflict);
                }
                break;
            }
        }
        outcome.finish()
    }

    /// Folds and appends these partitions once, as many together as memory allows. Returns the groups that met a conflict.
    async fn attempt<'a>(&mut self, groups: Vec<Group<'a>>, outcome: &mut Outcome) -> Vec<Group<'a>> {
        let mut waiting = VecDeque::from(groups);
        let mut again = Vec::new();
        while !waiting.is_empty() {
            let open = self.open_some(&mut waiting, outcome, &mut again).await;
            again.extend(self.fold(open, outcome).await);
        }
        again
    }

    /// Opens partitions up to the memory limit for open ones.
    async fn open_some<'a>(
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

    /// Expected memory of a partition once it is open. Sensors are spread evenly over lanes, so their partitions are about
    /// equally large; before the first one is open nothing is known about their size.
    fn expected_bytes(&self, name: &PartitionName) -> usize {
        match self.warm.bytes_of(name) {
            Some(bytes) => bytes,
            None if name.lane().is_some() => self.largest_lane.unwrap_or(self.limits.open_bytes),
            None => PLAIN_PARTITION_BYTES,
        }
    }

    /// Folds and appends these partitions. Returns the groups that met a conflict.
    async fn fold<'a>(&mut self, open: Vec<(Group<'a>, WarmPartition)>, outcome: &mut Outcome) -> Vec<Group<'a>> {
        let mut again = Vec::new();
        let begun = Instant::now();
        let mut scores = Vec::new();
        let mut folded = Vec::with_capacity(open.len());
        for (group, mut partition) in open {
            let fold = Fold::new(
                &mut partition,
                &self.settings,
                self.limits.entry_bytes,
                self.scores.wanted(),
            );
            let mut result = fold.run(&group, &mut self.decoder);
            self.log_full(&group.partition, &result);
            if partition.growth.entries + result.entries.len() > self.limits.max_entries {
                outcome.fail(&group, &too_many_entries(&partition));
                continue;
            }
            scores.push((group.partition.clone(), std::mem::take(&mut result.scores)));
            folded.push((group, partition, result));
        }
        outcome.handled.folding += begun.elapsed();
        if self.scores.wanted()
            && let Err(error) = self.scores.keep(&scores).await
        {
            for (group, ..) in folded {
                outcome.fail(&group, &error);
            }
            return again;
        }
        again.extend(self.append(folded, outcome).await);
        again
    }

    fn log_full(&mut self, partition: &PartitionName, folded: &Folded) {
        let Some(sensor) = &folded.refused else { return };
        if self
            .full_logged
            .is_some_and(|logged| logged.elapsed() < LOG_FULL_PARTITIONS_EVERY)
        {
            return;
        }
        self.full_logged = Some(Instant::now());
        warn!(
            partition = %partition,
            sensor,
            readings = folded.counts.refused,
            max_sensors_per_partition = self.settings.max_sensors_per_partition.get(),
            "partition full: readings of new sensors are not judged; raise max_sensors_per_partition or use more lanes"
        );
    }

    /// Appends what was folded. Returns the groups that met a conflict.
    async fn append<'a>(
        &mut self,
        folded: Vec<(Group<'a>, WarmPartition, Folded)>,
        outcome: &mut Outcome,
    ) -> Vec<Group<'a>> {
        let mut again = Vec::new();
        let mut appends = Vec::new();
        let mut appending = Vec::new();
        for (group, partition, mut result) in folded {
            if result.entries.is_empty() {
                outcome.count(result);
                self.warm.put(group.partition, partition);
            } else {
                appends.push(Append {
                    partition: group.partition.clone(),
                    entries: std::mem::take(&mut result.entries),
                });
                appending.push((group, partition, result));
            }
        }
        if appends.is_empty() {
            return again;
        }
        let answers = self.partitions.append(&appends).await;
        debug_assert_eq!(answers.len(), appends.len());
        for ((answer, append), (group, mut partition, result)) in answers.into_iter().zip(appends).zip(appending) {
            match answer {
                Ok(()) => {
                    partition.appended(&append.entries);
                    outcome.count(result);
                    outcome.handled.counts.entries += append.entries.len() as u64;
                    if self.limits.wants_checkpoint(&partition.growth) {
                        // A failure loses nothing: the entries are stored, and the next append tries again.
                        if let Err(error) = self.checkpoint(&group.partition, &mut partition, outcome).await {
                            warn!(partition = %group.partition, %error, "checkpoint failed; the next append tries again");
                        }
                    }
                    self.warm.put(group.partition, partition);
                }
                // The partition in memory differs from the stored one: drop it.
                Err(AppendError::Conflict) => {
                    self.watchful = WATCHED_INVOCATIONS;
                    again.push(group);
                }
                Err(AppendError::Store(error)) => outcome.fail(&group, &error),
            }
        }
        again
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

    async fn checkpoint(
        &mut self,
        name: &PartitionName,
        partition: &mut WarmPartition,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let checkpoint = partition.checkpoint();
        self.partitions.checkpoint(name, &checkpoint).await?;
        partition.checkpointed(&checkpoint);
        outcome.handled.counts.checkpoints += 1;
        Ok(())
    }
}

fn too_many_entries(partition: &WarmPartition) -> StoreError {
    StoreError::unavailable(
        format!(
            "adding to the {} entries after the last checkpoint",
            partition.growth.entries
        ),
        "the store has no room for more entries: deliver smaller batches",
    )
}
