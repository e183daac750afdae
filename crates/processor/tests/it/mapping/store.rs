//! Partitions and outbox in memory, held to the same contract as the real ones, with faults between any two of their
//! steps.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use detect::{Anomaly, Event, Transition};
use processor::episodes::Group;
use processor::message::Message;
use processor::outbox::{NotificationState, Outbox};
use processor::partition::{Append, AppendError, Checkpoint, Checkpointed, Entry, PartitionName, Partitions, Stored};
use processor::store_error::StoreError;
use wire::Timestamp;

use super::random::Random;

/// What all sandboxes share, and what survives their crashes.
#[derive(Debug, Default)]
pub struct Shared {
    partitions: BTreeMap<PartitionName, Kept>,
    /// Every entry that was ever committed, in order: what the table's stream carries.
    pub committed: Vec<(PartitionName, Entry)>,
    pub anomalies: BTreeMap<(String, Timestamp), Anomaly>,
    /// The last number and the last one told.
    pub incidents: BTreeMap<(String, Timestamp), (u32, u32)>,
    /// What was published, in order.
    pub told: Vec<Message>,
    /// Messages published and not marked yet.
    pub unmarked: Vec<Message>,
    /// Messages published again because a fault came between publishing and marking.
    pub interrupted: Vec<Message>,
    /// A partition whose store always fails.
    pub broken: Option<PartitionName>,
    pub groups: BTreeMap<String, KeptGroup>,
    /// Sensors of whom nobody wants to hear.
    pub muted: BTreeSet<String>,
}

/// A group, encoded, so that what is read went through bytes.
#[derive(Debug, Default)]
pub struct KeptGroup {
    episodes: Vec<u8>,
    /// The process that has claimed it, by the flag that says when it died.
    leased_by: Option<Arc<AtomicBool>>,
    /// Messages published since its claim was ended last.
    pub unmarked: usize,
    /// Messages after which somebody was stopped before their end: so many may come again.
    pub repeatable: usize,
}

#[derive(Debug, Default)]
struct Kept {
    checkpoint: Option<Checkpoint>,
    /// Encoded, so that what is read went through bytes.
    entries: BTreeMap<u64, Vec<u8>>,
    /// The most there were after a checkpoint.
    most: usize,
}

impl Shared {
    pub fn stored(&self, partition: &PartitionName) -> Option<Stored> {
        let kept = self.partitions.get(partition)?;
        let entries = kept.entries.iter();
        Some(Stored {
            checkpoint: kept.checkpoint.clone(),
            entries: entries
                .map(|(version, bytes)| Entry::decode(*version, bytes).unwrap())
                .collect(),
        })
    }

    /// The most entries any partition had after its checkpoint.
    pub fn most_entries(&self) -> usize {
        self.partitions.values().map(|kept| kept.most).max().unwrap_or_default()
    }

    fn append(&mut self, partition: &PartitionName, entry: &Entry) -> Result<(), AppendError> {
        let kept = self.partitions.entry(partition.clone()).or_default();
        let checkpoint = kept.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.version);
        if entry.version <= checkpoint || kept.entries.contains_key(&entry.version) {
            return Err(AppendError::Conflict);
        }
        kept.entries.insert(entry.version, entry.encode());
        kept.most = kept.most.max(kept.entries.len());
        self.committed.push((partition.clone(), entry.clone()));
        Ok(())
    }

    fn checkpoint(&mut self, partition: &PartitionName, checkpoint: &Checkpoint) -> Checkpointed {
        let kept = self.partitions.entry(partition.clone()).or_default();
        if kept
            .checkpoint
            .as_ref()
            .is_some_and(|known| known.version >= checkpoint.version)
        {
            return Checkpointed::Superseded;
        }
        kept.entries.retain(|version, _| *version > checkpoint.version);
        let bytes = checkpoint.encode();
        kept.checkpoint = Some(Checkpoint::decode(checkpoint.version, &bytes).unwrap());
        Checkpointed::Written
    }
}

/// How often a call fails, and how often the sandbox dies in it, in percent each.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRate {
    pub errors: u64,
    pub crashes: u64,
}

/// One process: a sandbox of the handler or of the alert function.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Mutex<Shared>>,
    random: Random,
    rate: FaultRate,
    crashed: Arc<AtomicBool>,
}

impl Sandbox {
    /// With a flag that says when it has died.
    pub fn new(shared: &Arc<Mutex<Shared>>, random: Random, rate: FaultRate) -> (Self, Arc<AtomicBool>) {
        let crashed = Arc::new(AtomicBool::new(false));
        let sandbox = Self {
            shared: shared.clone(),
            random,
            rate,
            crashed: crashed.clone(),
        };
        (sandbox, crashed)
    }

    /// Makes this a part of the process that has this flag.
    pub fn dies_with(&mut self, crashed: &Arc<AtomicBool>) {
        self.crashed = crashed.clone();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Others may run here; and the process may die here, which its caller sees as a future that never ends.
    async fn step(&mut self) {
        let mut yielded = false;
        poll_fn(|_| match std::mem::replace(&mut yielded, true) {
            false => Poll::Pending,
            true => Poll::Ready(()),
        })
        .await;
        if self.random.percent(self.rate.crashes) {
            self.crashed.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
    }

    fn fails(&mut self) -> bool {
        self.random.percent(self.rate.errors)
    }

    /// Puts the entries of a partition one by one, as a table without transactions would.
    async fn append_partition(&mut self, append: &Append) -> Result<(), AppendError> {
        if self.shared().broken.as_ref() == Some(&append.partition) {
            return Err(fault().into());
        }
        for entry in &append.entries {
            self.write(|shared| shared.append(&append.partition, entry)).await??;
        }
        Ok(())
    }

    /// Does one write: it may fail before, or after with the reply lost, or the process may die before or after.
    pub async fn write<T>(&mut self, write: impl FnOnce(&mut Shared) -> T) -> Result<T, StoreError> {
        self.step().await;
        if self.fails() {
            return Err(fault());
        }
        let answer = write(&mut self.shared());
        self.step().await;
        if self.fails() { Err(fault()) } else { Ok(answer) }
    }
}

fn fault() -> StoreError {
    StoreError::unavailable("a call", "an injected fault")
}

impl Partitions for Sandbox {
    async fn load(&mut self, partitions: &[PartitionName]) -> Vec<Result<Option<Stored>, StoreError>> {
        self.step().await;
        let mut answers = Vec::new();
        for partition in partitions {
            let failed = self.fails();
            answers.push(if failed {
                Err(fault())
            } else {
                Ok(self.shared().stored(partition))
            });
        }
        answers
    }

    async fn since(&mut self, partitions: &[(PartitionName, u64)]) -> Vec<Result<Vec<Entry>, StoreError>> {
        self.step().await;
        let mut answers = Vec::new();
        for (partition, version) in partitions {
            let failed = self.fails();
            let entries = self
                .shared()
                .stored(partition)
                .map(|stored| stored.entries)
                .unwrap_or_default();
            let mut entries = entries
                .into_iter()
                .skip_while(|entry| entry.version <= *version)
                .peekable();
            let next = entries.peek().is_some_and(|entry| entry.version == version + 1);
            answers.push(match (failed, next) {
                (true, _) => Err(fault()),
                (false, true) => Ok(entries.collect()),
                (false, false) => Ok(Vec::new()),
            });
        }
        answers
    }

    async fn append(&mut self, appends: &[Append]) -> Vec<Result<(), AppendError>> {
        let mut answers = Vec::new();
        for append in appends {
            answers.push(self.append_partition(append).await);
        }
        answers
    }

    async fn checkpoint(
        &mut self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> Result<Checkpointed, StoreError> {
        self.write(|shared| shared.checkpoint(partition, checkpoint)).await
    }
}

impl Outbox for Sandbox {
    async fn keep(&mut self, anomalies: &[&Anomaly]) -> Result<(), StoreError> {
        self.write(|shared| {
            for anomaly in anomalies {
                let key = (anomaly.sensor.id().to_owned(), anomaly.time);
                shared.anomalies.insert(key, (*anomaly).clone());
            }
        })
        .await
    }

    async fn advance(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        self.write(|shared| {
            for transition in transitions {
                let key = (transition.sensor.id().to_owned(), transition.since);
                let (number, _) = shared.incidents.entry(key).or_default();
                *number = transition.number.max(*number);
            }
        })
        .await
    }

    async fn lease(&mut self, transition: &Transition, _: Timestamp) -> Result<NotificationState, StoreError> {
        self.write(|shared| {
            let key = (transition.sensor.id().to_owned(), transition.since);
            let (_, told) = shared.incidents.entry(key).or_default();
            if *told >= transition.number {
                NotificationState::Notified
            } else {
                NotificationState::Pending
            }
        })
        .await
    }

    async fn states(
        &mut self,
        transitions: &[&Transition],
        _: Timestamp,
    ) -> Result<Vec<NotificationState>, StoreError> {
        self.write(|shared| {
            let standing = transitions.iter().map(|transition| {
                let key = (transition.sensor.id().to_owned(), transition.since);
                let (_, told) = shared.incidents.get(&key).copied().unwrap_or_default();
                if told >= transition.number {
                    NotificationState::Notified
                } else if shared.muted.contains(transition.sensor.id()) {
                    NotificationState::Muted
                } else {
                    NotificationState::Pending
                }
            });
            standing.collect()
        })
        .await
    }

    async fn mark_notified(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        for transition in transitions {
            self.write(|shared| {
                let key = (transition.sensor.id().to_owned(), transition.since);
                let (_, told) = shared.incidents.entry(key).or_default();
                *told = transition.number.max(*told);
                let message = Message::of(transition, "");
                shared.unmarked.retain(|unmarked| *unmarked != message);
            })
            .await?;
        }
        Ok(())
    }

    async fn lease_group(&mut self, group: &str) -> Result<Group, StoreError> {
        loop {
            let me = self.crashed.clone();
            let claimed = self.write(|shared| {
                let kept = shared.groups.entry(group.to_owned()).or_default();
                let free = kept.leased_by.as_ref().is_none_or(|other| {
                    // Whoever died is waited for until its claim ends, which is now.
                    Arc::ptr_eq(other, &me) || other.load(Ordering::Relaxed)
                });
                free.then(|| {
                    kept.leased_by = Some(me.clone());
                    // What was published and perhaps not marked since may be published again.
                    kept.repeatable += std::mem::take(&mut kept.unmarked);
                    Group::decode(group, &kept.episodes).unwrap_or_default()
                })
            });
            if let Some(kept) = claimed.await? {
                return Ok(kept);
            }
        }
    }

    async fn save_group(&mut self, group: &str, kept: &Group) -> Result<(), StoreError> {
        let me = self.crashed.clone();
        let kept_by_me = self.write(|shared| {
            let known = shared.groups.entry(group.to_owned()).or_default();
            let mine = known.leased_by.as_ref().is_some_and(|other| Arc::ptr_eq(other, &me));
            if mine {
                known.episodes = kept.encode();
            }
            mine
        });
        if kept_by_me.await? { Ok(()) } else { Err(fault()) }
    }

    async fn release_group(&mut self, group: &str) -> Result<(), StoreError> {
        let me = self.crashed.clone();
        self.write(|shared| {
            let known = shared.groups.entry(group.to_owned()).or_default();
            if known.leased_by.as_ref().is_some_and(|other| Arc::ptr_eq(other, &me)) {
                known.leased_by = None;
                known.unmarked = 0;
            }
        })
        .await
    }

    fn command(&self) -> String {
        String::new()
    }
}

/// The events of the entries that were committed, partition by partition, in order.
pub fn events_by_partition(shared: &Shared) -> BTreeMap<String, Vec<Event>> {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (partition, entry) in &shared.committed {
        events
            .entry(partition.as_str().to_owned())
            .or_default()
            .extend(entry.events.iter().cloned());
    }
    events.retain(|_, events| !events.is_empty());
    events
}
