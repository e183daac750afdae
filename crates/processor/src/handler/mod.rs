//! From records to partitions: decodes, folds, appends. It knows neither its caller nor the store, and its only clock
//! is a stopwatch around the fold. Read in this order:

mod batch;
mod counts;
mod fold;
mod limits;
mod opening;
mod outcome;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use detect::Settings;
use tracing::warn;
use wire::json::Decoder;

use self::batch::{Batch, Group};
use self::fold::{Fold, Folded};
use self::outcome::Outcome;
use crate::partition::{Append, AppendError, PartitionName, Partitions, WarmPartition, WarmPartitions};
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

    /// Folds and appends these partitions once, as many together as memory allows. Returns the groups that met a
    /// conflict.
    async fn attempt<'a>(&mut self, groups: Vec<Group<'a>>, outcome: &mut Outcome) -> Vec<Group<'a>> {
        let mut waiting = VecDeque::from(groups);
        let mut again = Vec::new();
        while !waiting.is_empty() {
            let open = self.open_some(&mut waiting, outcome, &mut again).await;
            again.extend(self.fold(open, outcome).await);
        }
        again
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
