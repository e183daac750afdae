//! A model of the Kinesis event source mapping, and of the mapping of the table's stream to the alert function. Each
//! behaviour names the document of docs.aws.amazon.com/lambda/latest/dg/ that promises it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use detect::{Event, Settings};
use processor::alert::deliver;
use processor::handler::{Counts, Handled, Handler, Limits};
use processor::{KinesisRecord, SequenceNumber};

use super::publisher::Publisher;
use super::random::Random;
use super::store::{FaultRate, Sandbox, Shared};
use super::stream::{Record, at};

/// How the mapping is set up.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// services-kinesis-parameters: BatchSize, at most so many records an invocation.
    pub batch_size: usize,
    /// with-kinesis: ParallelizationFactor, so many concurrent batches of a shard; "Lambda still ensures in-order
    /// processing at the partition-key level".
    pub parallelization: usize,
    /// services-kinesis-parameters: BisectBatchOnFunctionError, "when the function returns an error, split the batch
    /// into two before retrying".
    pub bisect: bool,
    /// services-kinesis-parameters: MaximumRetryAttempts; without it, records are retried until they expire.
    pub max_retries: Option<u32>,
    /// services-kinesis-parameters: MaximumRecordAgeInSeconds, after which a record is sent to the failure destination.
    pub max_age: Option<u64>,
    /// invocation-eventsourcemapping: "Lambda event source mappings process each event at least once, and duplicate
    /// processing of batches can occur": in percent of the invocations.
    pub duplicates: u64,
    pub faults: FaultRate,
    pub limits: Limits,
}

/// What is left when a stream is processed.
#[derive(Debug)]
pub struct Outcome {
    pub shared: Arc<Mutex<Shared>>,
    /// kinesis-on-failure-destination: what was given up, payload and all.
    pub destination: Vec<Record>,
    /// What all invocations say they did.
    pub counts: Counts,
}

/// The concurrent batches of one shard that hold the same partition keys.
struct Poller {
    /// What is not read yet.
    queue: VecDeque<Record>,
    /// What was read: in order, the first to be retried before the next is begun.
    batches: VecDeque<Attempts>,
    running: Option<usize>,
}

#[derive(Clone)]
struct Attempts {
    records: Vec<Record>,
    failures: u32,
    since: u64,
}

/// One invocation under way.
struct Invocation {
    id: usize,
    /// The poller that waits for it; none where it is a duplicate whose answer nobody waits for.
    poller: Option<usize>,
    crashed: Arc<AtomicBool>,
    run: Pin<Box<dyn Future<Output = (Handler<Sandbox>, Handled)>>>,
}

struct World {
    mapping: Mapping,
    settings: Settings,
    random: Random,
    shared: Arc<Mutex<Shared>>,
    pollers: Vec<Poller>,
    running: Vec<Invocation>,
    /// Sandboxes that wait for their next invocation, with what they have warm.
    idle: Vec<(Handler<Sandbox>, Arc<AtomicBool>)>,
    invocations: usize,
    clock: u64,
    alert: Option<Alert>,
    /// How many committed entries the alert function has finished.
    alerted: usize,
    outcome: Outcome,
}

struct Alert {
    crashed: Arc<AtomicBool>,
    /// Answers the first entry that was not delivered.
    run: Pin<Box<dyn Future<Output = usize>>>,
}

/// Processes a stream until all of it is handled or given up, and all that was committed is told.
pub fn process(
    shards: &[Vec<Record>],
    mapping: Mapping,
    settings: &Settings,
    random: Random,
    shared: Shared,
) -> Outcome {
    let shared = Arc::new(Mutex::new(shared));
    let mut world = World {
        mapping,
        settings: settings.clone(),
        random,
        shared: shared.clone(),
        pollers: Vec::new(),
        running: Vec::new(),
        idle: Vec::new(),
        invocations: 0,
        clock: 0,
        alert: None,
        alerted: 0,
        outcome: Outcome {
            shared,
            destination: Vec::new(),
            counts: Counts::default(),
        },
    };
    // kinesis-record-processor rules of the stream itself: children of a split are read once the parent is.
    let (parents, children) = shards.split_at(1);
    for generation in [parents, children] {
        world.pollers = generation
            .iter()
            .flat_map(|shard| pollers(shard, mapping.parallelization))
            .collect();
        while world.step() {}
    }
    world.outcome
}

/// with-kinesis: batches of a shard run side by side, each partition key in one of them.
fn pollers(shard: &[Record], parallelization: usize) -> Vec<Poller> {
    let slot = |record: &Record| record.partition_key.bytes().map(usize::from).sum::<usize>() % parallelization;
    (0..parallelization)
        .map(|own| Poller {
            queue: shard.iter().filter(|record| slot(record) == own).cloned().collect(),
            batches: VecDeque::new(),
            running: None,
        })
        .collect()
}

impl World {
    /// Does one thing somewhere; false where nothing is left to do.
    fn step(&mut self) -> bool {
        self.clock += 1;
        let ready: Vec<usize> = (0..self.pollers.len())
            .filter(|poller| {
                let poller = &self.pollers[*poller];
                poller.running.is_none() && !(poller.queue.is_empty() && poller.batches.is_empty())
            })
            .collect();
        let committed = self.shared.lock().unwrap().committed.len();
        let alert = self.alert.is_some() || self.alerted < committed;
        match self.random.below(10) {
            0 | 1 if !ready.is_empty() => {
                let poller = ready[self.random.below(ready.len())];
                self.invoke(poller);
            }
            2 | 3 if alert => self.alert(committed),
            _ if !self.running.is_empty() => {
                let which = self.random.below(self.running.len());
                self.poll(which);
            }
            _ => return alert || !ready.is_empty(),
        }
        true
    }

    fn invoke(&mut self, poller: usize) {
        let waiting = &mut self.pollers[poller];
        if waiting.batches.is_empty() {
            let size = waiting.queue.len().min(1 + self.random.below(self.mapping.batch_size));
            waiting.batches.push_back(Attempts {
                records: waiting.queue.drain(..size).collect(),
                failures: 0,
                since: self.clock,
            });
        }
        let records = waiting.batches[0].records.clone();
        if self.random.percent(self.mapping.duplicates) {
            self.start(None, records.clone());
        }
        let id = self.start(Some(poller), records);
        self.pollers[poller].running = Some(id);
    }

    /// Runs records in a sandbox, warm or new.
    fn start(&mut self, poller: Option<usize>, records: Vec<Record>) -> usize {
        let new = self.idle.is_empty() || self.random.percent(20);
        let (mut handler, crashed) = if new {
            let (sandbox, crashed) = Sandbox::new(&self.shared, self.random.fork(), self.mapping.faults);
            (
                Handler::new(sandbox, self.settings.clone(), self.mapping.limits),
                crashed,
            )
        } else {
            self.idle.swap_remove(self.random.below(self.idle.len()))
        };
        self.invocations += 1;
        let id = self.invocations;
        self.running.push(Invocation {
            id,
            poller,
            crashed,
            run: Box::pin(async move {
                let event: Vec<KinesisRecord<'_>> = records.iter().map(Record::event).collect();
                let handled = handler.handle(&event).await;
                (handler, handled)
            }),
        });
        id
    }

    fn poll(&mut self, which: usize) {
        let invocation = &mut self.running[which];
        match invocation.run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((handler, handled)) => {
                let invocation = self.running.swap_remove(which);
                self.idle.push((handler, invocation.crashed));
                self.outcome.counts.add(&handled.counts);
                self.answered(&invocation.poller, invocation.id, Ok(handled));
            }
            Poll::Pending if invocation.crashed.load(Ordering::Relaxed) => {
                let invocation = self.running.swap_remove(which);
                self.answered(&invocation.poller, invocation.id, Err(()));
            }
            Poll::Pending => {}
        }
    }

    fn answered(&mut self, poller: &Option<usize>, id: usize, answer: Result<Handled, ()>) {
        let Some(poller) = poller.map(|poller| &mut self.pollers[poller]) else {
            return;
        };
        if poller.running != Some(id) {
            return;
        }
        poller.running = None;
        let Some(mut batch) = poller.batches.pop_front() else {
            return;
        };
        match answer {
            Ok(Handled { failed: None, .. }) => return,
            Ok(Handled {
                failed: Some(failed), ..
            }) => {
                // services-kinesis-batchfailurereporting: "Lambda uses the lowest sequence number as the checkpoint"
                // and retries from there. With bisection "the batch is bisected at the returned sequence number and
                // Lambda retries only the remaining records".
                let before = batch.records.len();
                batch
                    .records
                    .retain(|record| SequenceNumber::from(record.sequence) >= failed);
                assert!(
                    !batch.records.is_empty() && batch.records.len() <= before,
                    "{failed} is of the batch"
                );
                batch.failures += 1;
            }
            Err(()) if self.mapping.bisect && batch.records.len() > 1 => {
                // services-kinesis-parameters: "splitting a batch does not count toward the retry quota".
                let rest = batch.records.split_off(batch.records.len() / 2);
                poller.batches.push_front(Attempts {
                    records: rest,
                    failures: batch.failures,
                    since: batch.since,
                });
            }
            Err(()) => batch.failures += 1,
        }
        let tired = self.mapping.max_retries.is_some_and(|most| batch.failures > most);
        let old = self.mapping.max_age.is_some_and(|most| self.clock - batch.since > most);
        if tired || old {
            // kinesis-on-failure-destination: the records are sent there and processing goes on behind them.
            self.outcome.destination.append(&mut batch.records);
        } else {
            poller.batches.push_front(batch);
        }
    }

    /// services-ddb: the function gets the stream's records in order, again after a failure.
    fn alert(&mut self, committed: usize) {
        let alert = self.alert.get_or_insert_with(|| {
            let until = committed.min(self.alerted + 1 + self.random.below(4));
            let (mut outbox, crashed) = Sandbox::new(&self.shared, self.random.fork(), self.mapping.faults);
            let (mut notifier, _) = Sandbox::new(&self.shared, self.random.fork(), self.mapping.faults);
            notifier.dies_with(&crashed);
            let mut notifier = Publisher(notifier);
            let from = self.alerted;
            let entries = self.shared.lock().unwrap().committed[from..until].to_vec();
            Alert {
                crashed,
                run: Box::pin(async move {
                    let entries: Vec<Vec<Event>> = entries.into_iter().map(|(_, entry)| entry.events).collect();
                    let (_, undelivered) = deliver(&mut outbox, &mut notifier, &entries, at(0)).await;
                    undelivered.map_or(until, |undelivered| from + undelivered.entry)
                }),
            }
        });
        match alert.run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(undelivered) => {
                // services-kinesis-batchfailurereporting: what comes before the first failure is not delivered again.
                // invocation-eventsourcemapping, again: what was done may be delivered once more.
                if !self.random.percent(self.mapping.duplicates) {
                    self.alerted = undelivered;
                }
                self.alert = None;
            }
            Poll::Pending if alert.crashed.load(Ordering::Relaxed) => self.alert = None,
            Poll::Pending => {}
        }
    }
}
