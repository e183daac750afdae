//! The processor's handler in this process: the same records, partitions in an embedded store, incidents on the terminal.
//!
//! One thread owns the handler and the store. The pipeline sends refused records again, as the Kinesis mapping would.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use delivery::record::Record;
use delivery::sink::{Answer, Put, PutError, Sink};
use detect::{Change, Event};
use processor::alert::{DeliverError, Delivered, deliver};
use processor::handler::{Counts, Handler, Limits};
use processor::outbox::{Notifier, NotifyError};
use processor::partition::PartitionName;
use processor::scores::{Scored, Scores};
use processor::sqlite::{EmbeddedOutbox, EmbeddedPartitions, PendingEvents};
use processor::{KinesisRecord, Message, SequenceNumber, StoreError};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use crate::clock;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recent_readings::{Point, RecentReadings};

/// The shard of all records.
const SHARD: &str = "embedded";

/// Requests that wait for the thread; each has at most one record of a lane, so a longer queue would only take memory.
const MAX_WAITING: usize = 4;

/// How many entries have their events delivered between two requests.
const ENTRIES_AT_ONCE: u32 = 64;

/// The handler's share of the 384 MiB that the systemd unit allows: what a function of 320 MiB would keep and open.
const MEMORY_MEBIBYTES: usize = 320;

/// After a failed delivery, the next attempt follows the next request, or this time.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Passes records to the handler in this process. When closed or dropped, it delivers pending events and ends.
#[derive(Debug)]
pub struct Embedded {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    totals: Arc<Mutex<Totals>>,
    ended: watch::Receiver<()>,
}

/// The counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Counts of the handler.
    pub handled: Counts,
    /// Counts of the outbox.
    pub delivered: Delivered,
}

#[derive(Debug)]
struct Request {
    records: Vec<Arc<Record>>,
    answer: oneshot::Sender<Vec<Answer>>,
}

impl Embedded {
    /// Opens the store in `dir` (created if it does not exist) and starts the thread, which first delivers the events
    /// left by an earlier run. Events go to `notifier`, which the thread waits for. While somebody watches, judged
    /// readings go to `recent`. Readings that were not judged are counted in `metrics`.
    pub fn start(
        dir: &Path,
        settings: detect::Settings,
        notifier: impl Notifier + 'static,
        recent: Arc<RecentReadings>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let (mut partitions, outbox) = processor::sqlite::open(dir)?;
        let start = partitions.start()?;
        let failed = |error| StoreError::unavailable("starting the embedded handler", error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(failed)?;
        let totals = Arc::<Mutex<Totals>>::default();
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        let (ends, ended) = watch::channel(());
        let worker = Worker {
            handler: Handler::new(partitions, settings, Limits::within(MEMORY_MEBIBYTES)).with_scores(Traced(recent)),
            // Each start numbers in its own range, so no number is ever used twice.
            sequence: u128::from(start) << 64,
            outbox,
            notifier,
            totals: totals.clone(),
            metrics,
        };
        thread::Builder::new()
            .name("embedded".to_owned())
            .spawn(move || {
                let _ends = ends;
                worker.run(&runtime, waiting);
            })
            .map_err(failed)?;
        Ok(Self {
            requests: Mutex::new(Some(requests)),
            totals,
            ended,
        })
    }

    /// Returns the counts since the start.
    pub fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the queue and waits until the thread has handled all records and delivered their events. Later puts fail.
    pub async fn close(&self) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(requests);
        // Nothing is ever sent: the channel closes when the thread drops its end.
        let _ = self.ended.clone().changed().await;
    }

    async fn put_all(&self, records: &[Arc<Record>]) -> Result<Vec<Answer>, PutError> {
        let ended = || PutError::Fatal {
            message: "the embedded handler has ended: see the log for the reason and restart the daemon".to_owned(),
        };
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let request = Request {
            records: records.to_vec(),
            answer,
        };
        requests.ok_or_else(ended)?.send(request).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }
}

impl Sink for Embedded {
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a> {
        Box::pin(self.put_all(records))
    }
}

/// The state owned by the thread.
struct Worker<T> {
    handler: Handler<EmbeddedPartitions, Traced>,
    sequence: u128,
    outbox: EmbeddedOutbox,
    notifier: T,
    totals: Arc<Mutex<Totals>>,
    metrics: Arc<Metrics>,
}

/// Whether events wait to be delivered.
enum Rest {
    None,
    Some,
    Failed,
}

impl<T: Notifier> Worker<T> {
    fn run(mut self, runtime: &Runtime, mut waiting: mpsc::Receiver<Request>) {
        runtime.block_on(async {
            let mut rest = Rest::Some;
            loop {
                let request = match rest {
                    Rest::None => waiting.recv().await,
                    Rest::Some => match waiting.try_recv() {
                        Ok(request) => Some(request),
                        Err(_) => {
                            rest = self.tell_some().await;
                            continue;
                        }
                    },
                    Rest::Failed => match tokio::time::timeout(TELL_AGAIN_AFTER, waiting.recv()).await {
                        Ok(request) => request,
                        Err(_) => {
                            rest = self.tell_some().await;
                            continue;
                        }
                    },
                };
                // Events still pending when the daemon ends are delivered at its next start.
                let Some(request) = request else { break };
                let answers = self.handle(&request.records).await;
                // A pipeline that has ended no longer listens.
                let _ = request.answer.send(answers);
                rest = self.tell_some().await;
            }
        });
    }

    async fn handle(&mut self, records: &[Arc<Record>]) -> Vec<Answer> {
        let arrival = clock::now();
        let first = self.sequence + 1;
        self.sequence += records.len() as u128;
        let numbered: Vec<KinesisRecord<'_>> = records
            .iter()
            .zip(first..)
            .map(|(record, sequence)| KinesisRecord {
                shard: SHARD,
                sequence: sequence.into(),
                partition_key: &record.lane.name,
                arrival,
                data: &record.data,
            })
            .collect();
        let handled = self.handler.handle(&numbered).await;
        self.metrics.late(handled.counts.late);
        self.metrics.unjudged(handled.counts.refused);
        self.count(|totals| totals.handled.add(&handled.counts));
        let refused = |sequence: &SequenceNumber| handled.failed.as_ref().is_some_and(|failed| sequence >= failed);
        numbered
            .iter()
            .map(|record| {
                if refused(&record.sequence) {
                    Answer::Refused("store")
                } else {
                    Answer::Accepted(None)
                }
            })
            .collect()
    }

    /// Delivers the events of some entries.
    async fn tell_some(&mut self) -> Rest {
        match self.try_to_tell().await {
            Ok(true) => Rest::Some,
            Ok(false) => Rest::None,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, "incidents wait to be told");
                Rest::Failed
            }
        }
    }

    async fn try_to_tell(&mut self) -> Result<bool, DeliverError> {
        let pending: Vec<PendingEvents> = self.outbox.pending(ENTRIES_AT_ONCE)?;
        if pending.is_empty() {
            return Ok(false);
        }
        let entries: Vec<Vec<Event>> = pending.iter().map(|pending| pending.events.clone()).collect();
        let (delivered, undelivered) = deliver(&mut self.outbox, &mut self.notifier, &entries, clock::now()).await;
        self.count(|totals| totals.delivered.add(&delivered));
        let done = undelivered
            .as_ref()
            .map_or(pending.len(), |undelivered| undelivered.entry);
        self.outbox.delivered(&pending[..done])?;
        undelivered.map_or(Ok(true), |undelivered| Err(undelivered.error))
    }

    fn count(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.totals.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Passes judged readings to the recent readings, while somebody watches.
struct Traced(Arc<RecentReadings>);

impl Scores for Traced {
    fn wanted(&self) -> bool {
        self.0.wanted()
    }

    async fn keep(&mut self, partitions: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        let all = partitions.iter().flat_map(|(_, scored)| scored);
        self.0.keep(all.map(|scored| {
            let point = Point {
                score: scored.score,
                expected: scored.expected,
                anomaly: !scored.kinds.is_empty(),
                ..Point::unjudged(&scored.reading)
            };
            (&scored.reading, point)
        }));
        Ok(())
    }
}

/// A notifier that writes to a terminal: one line a change of an incident.
#[derive(Debug)]
pub struct Terminal<W> {
    out: W,
    coloured: bool,
}

impl<W: Write> Terminal<W> {
    /// Writes lines to `out`; set `coloured` only for a terminal.
    pub fn new(out: W, coloured: bool) -> Self {
        Self { out, coloured }
    }

    fn write(&mut self, message: &Message) -> std::io::Result<()> {
        let colour = match message.change {
            Change::Opened => "\x1b[31m",
            Change::Worsened => "\x1b[1;31m",
            Change::Resolved => "\x1b[32m",
        };
        if self.coloured {
            writeln!(self.out, "{colour}{}\x1b[0m", message.line)?;
        } else {
            writeln!(self.out, "{}", message.line)?;
        }
        self.out.flush()
    }
}

impl<W: Write + Send> Notifier for Terminal<W> {
    async fn notify(&mut self, message: &Message) -> Result<(), NotifyError> {
        self.write(message).map_err(|error| NotifyError::Failed {
            subject: message.subject.clone(),
            source: error.into(),
        })
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
