//! Moves readings from the sources to the sink: the one task that owns all lanes and carries out their decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use delivery::batch::Batch;
use delivery::lane::Arrival;
use delivery::lanes::Lanes;
use delivery::lanes::{Fetch, Spill};
use delivery::ledger::{DeadLetter, DropReason};
use delivery::pace::SHARD_BYTES_PER_SECOND;
use delivery::pressure::Pressure;
use delivery::record::Record;
use delivery::request::Request;
use delivery::sink::{Answer, PutError, Sink};
use delivery::spool::{Appended, Lost, Next};
use spool::{Spool, SpoolError};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error};

use crate::clock;
use crate::dead_letter::{DeadLetterError, DeadLetters};
use crate::source::handover::Receiver;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sink_health::{Cause, SinkHealth};

/// The interval at which what was not possible is tried again.
const TICK: Duration = Duration::from_secs(1);

/// The parts that the pipeline works with.
#[derive(Debug)]
pub struct Parts {
    /// All lanes, with the records found in the spool.
    pub lanes: Lanes,
    /// The destination of records.
    pub sink: Arc<dyn Sink>,
    /// The durable queue for records that the sink cannot take.
    pub spool: Arc<Spool>,
    /// The most bytes the spool may hold.
    pub spool_max_bytes: u64,
    /// The file for records that can never be delivered.
    pub dead_letters: Arc<DeadLetters>,
    /// The metrics outside the ledger.
    pub metrics: Arc<Metrics>,
    /// The most requests under way at once.
    pub max_requests: usize,
    /// How long a drain may take, counted from the stop.
    pub grace: Duration,
    /// The pipeline's state, for operators.
    pub health: watch::Sender<Health>,
    /// A counter that increases as long as the pipeline is alive.
    pub heartbeat: Arc<AtomicU64>,
}

/// The state of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the sink accepts nothing; `None` while it does.
    pub sink_health: Option<String>,
    /// Memory and spool are full: no more readings are accepted.
    pub full: bool,
    /// The input is closed, and the rest is being delivered.
    pub draining: bool,
}

/// How the pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Readings in the spool, to be sent first after the next start.
    pub spooled: u64,
    /// Readings that neither the sink nor the spool took within the grace.
    pub unsaved: u64,
}

/// Why the pipeline failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The sink will never accept anything.
    #[error("{0}")]
    Sink(String),
    /// The spool has failed.
    #[error("the spool failed: {0}")]
    Spool(#[from] SpoolError),
    /// A task of the pipeline panicked.
    #[error("a task of the pipeline broke: {0}")]
    Broken(#[from] JoinError),
}

struct Pipeline {
    parts: Parts,
    puts: JoinSet<Done>,
    /// Disk operations, which are never abandoned.
    storage: JoinSet<Done>,
    appending: bool,
    /// Readings too large for any record, and not yet in the dead-letter file.
    oversized: Vec<Record>,
    sink_health: SinkHealth,
    /// The input is closed.
    closed: bool,
    /// When the grace of a stop ends.
    grace_end: Option<Instant>,
}

enum Done {
    Put {
        request: Request,
        answers: Result<Vec<Answer>, PutError>,
        took: Duration,
    },
    Appended {
        lanes: Vec<usize>,
        outcome: Appended,
    },
    Fetched {
        lane: usize,
        next: Result<Next, SpoolError>,
    },
    Removed(Result<Lost, SpoolError>),
    DeadLettered {
        lane: usize,
        written: Result<(), DeadLetterError>,
    },
    DeadLetteredOversized {
        record: Record,
        written: Result<(), DeadLetterError>,
    },
}

/// Runs until the input is closed and everything is delivered. After `stop` becomes true, runs until memory is empty or
/// the grace has ended, and saves the rest in the spool.
pub async fn run(parts: Parts, mut input: Receiver, mut stop: watch::Receiver<bool>) -> Result<Ended, PipelineError> {
    let mut pipeline = Pipeline {
        parts,
        puts: JoinSet::new(),
        storage: JoinSet::new(),
        appending: false,
        oversized: Vec::new(),
        sink_health: SinkHealth::default(),
        closed: false,
        grace_end: None,
    };
    let ended = pipeline.run_loop(&mut input, &mut stop).await;
    let unsaved = pipeline.save(&mut input).await?;
    pipeline.parts.spool.close().await?;
    ended?;
    Ok(Ended {
        spooled: pipeline.parts.lanes.ledger().snapshot().spooled,
        unsaved,
    })
}

impl Pipeline {
    async fn run_loop(&mut self, input: &mut Receiver, stop: &mut watch::Receiver<bool>) -> Result<(), PipelineError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.parts.heartbeat.fetch_add(1, Ordering::Relaxed);
            self.dispatch();
            input.set_pressure(self.pressure());
            if self.is_done() {
                return Ok(());
            }
            let deadline = self.deadline();
            let grace_end = self.grace_end;
            tokio::select! {
                biased;
                Some(done) = self.puts.join_next() => self.finish(done?)?,
                Some(done) = self.storage.join_next() => self.finish(done?)?,
                _ = at(grace_end) => return Ok(()),
                _ = stop.wait_for(|stop| *stop), if grace_end.is_none() => {
                    self.grace_end = Some(Instant::now() + self.parts.grace);
                }
                _ = tick.tick() => self.tick(),
                handed = input.recv(), if !self.closed && self.parts.lanes.has_room() => match handed {
                    Some(handed) => self.accept(&handed.batch),
                    None => {
                        self.closed = true;
                        self.parts.lanes.drain();
                        self.publish();
                    }
                },
                _ = at(deadline) => {}
            }
        }
    }

    /// Starts all work that can be started now.
    fn dispatch(&mut self) {
        let now = Instant::now();
        while self.puts.len() < self.parts.max_requests
            && let Some(request) = self.parts.lanes.request(now.into_std())
        {
            self.put(request);
        }
        if self.parts.lanes.overflows() {
            if !self.appending
                && let Some(spill) = self.parts.lanes.spill(now.into_std())
            {
                self.append(spill);
            }
            if self.grace_end.is_none() {
                for fetch in self.parts.lanes.fetches() {
                    self.fetch(fetch);
                }
            }
        }
    }

    fn pressure(&self) -> Pressure {
        self.parts.lanes.pressure(Instant::now().into_std())
    }

    /// After a stop, memory has to be empty; without one, once all sources are spent, the spool too.
    fn is_done(&self) -> bool {
        let idle = self.closed && self.puts.is_empty() && self.storage.is_empty() && self.oversized.is_empty();
        let counts = self.parts.lanes.ledger().snapshot();
        idle && counts.in_flight == 0 && (self.grace_end.is_some() || counts.spooled == 0)
    }

    fn deadline(&self) -> Option<Instant> {
        let requests = (self.puts.len() < self.parts.max_requests)
            .then(|| self.parts.lanes.deadline())
            .flatten();
        requests.map(Instant::from_std)
    }

    fn accept(&mut self, batch: &Batch) {
        let oversized = self.parts.lanes.accept(batch, arrival());
        self.oversized.extend(oversized);
        self.bury_oversized();
    }

    fn put(&mut self, request: Request) {
        let sink = self.parts.sink.clone();
        debug!(
            records = request.records.len(),
            bytes = request.bytes(),
            readings = request.readings(),
            "putting"
        );
        self.puts.spawn(async move {
            let began = Instant::now();
            let answers = sink.put(&request.records).await;
            Done::Put {
                request,
                answers,
                took: began.elapsed(),
            }
        });
    }

    fn append(&mut self, spill: Spill) {
        let spool = self.parts.spool.clone();
        self.appending = true;
        self.storage.spawn(async move {
            let outcome = spool.append(spill.records).await;
            Done::Appended {
                lanes: spill.lanes,
                outcome,
            }
        });
    }

    fn fetch(&mut self, fetch: Fetch) {
        let spool = self.parts.spool.clone();
        self.storage.spawn(async move {
            let next = spool.next(&fetch.key, fetch.after, fetch.max_bytes).await;
            Done::Fetched { lane: fetch.lane, next }
        });
    }

    fn dead_letter(&mut self, lane: usize, message: String) {
        let Some(record) = self.parts.lanes.dead(lane).cloned() else {
            return;
        };
        let dead_letters = self.parts.dead_letters.clone();
        self.storage.spawn_blocking(move || {
            let written = dead_letters.append(&record, DeadLetter::Rejected, &message);
            Done::DeadLettered { lane, written }
        });
    }

    fn bury_oversized(&mut self) {
        for record in self.oversized.drain(..) {
            let dead_letters = self.parts.dead_letters.clone();
            self.storage.spawn_blocking(move || {
                let message = format!(
                    "the reading takes {} bytes, more than a record of the stream may have",
                    record.data.len()
                );
                let written = dead_letters.append(&record, DeadLetter::TooLarge, &message);
                Done::DeadLetteredOversized { record, written }
            });
        }
    }

    fn finish(&mut self, done: Done) -> Result<(), PipelineError> {
        let now = Instant::now().into_std();
        match done {
            Done::Put { request, answers, took } => return self.answered(request, answers, took),
            Done::Appended { lanes, outcome } => {
                self.appending = false;
                let mut fatal = false;
                if let Some(refused) = &outcome.refused {
                    self.sink_health.storage(&refused.error);
                    fatal = refused.error.downcast_ref().is_some_and(SpoolError::is_fatal);
                }
                self.parts.lanes.appended(&lanes, outcome, now);
                if fatal {
                    return Err(SpoolError::Ended.into());
                }
            }
            Done::Fetched { lane, next } => match next {
                Ok(next) => self.parts.lanes.fetched(lane, next, now),
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => {
                    self.sink_health.storage(&error);
                    self.parts.lanes.not_fetched(lane);
                }
            },
            Done::Removed(removed) => match removed {
                Ok(lost) => self.parts.lanes.lose(lost, DropReason::SpoolCorrupt),
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => self.sink_health.storage(&error),
            },
            Done::DeadLettered { lane, written: Ok(()) } => {
                let position = self.parts.lanes.dead_lettered(lane, now);
                self.remove(position.into_iter().collect());
            }
            Done::DeadLettered {
                lane,
                written: Err(error),
            } => {
                error!(%error, "cannot write an undeliverable record to the dead-letter file; retrying");
                self.parts.lanes.retry_later(lane, now);
            }
            Done::DeadLetteredOversized {
                record,
                written: Ok(()),
            } => {
                self.parts.lanes.ledger().record(|counts| {
                    counts.in_flight -= u64::from(record.readings);
                    counts.dead_lettered[DeadLetter::TooLarge as usize] += u64::from(record.readings);
                });
                record.settle();
            }
            Done::DeadLetteredOversized {
                record,
                written: Err(error),
            } => {
                error!(%error, "cannot write an oversized reading to the dead-letter file; retrying");
                self.oversized.push(record);
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        request: Request,
        answers: Result<Vec<Answer>, PutError>,
        took: Duration,
    ) -> Result<(), PipelineError> {
        let now = Instant::now().into_std();
        self.parts.metrics.put(took, &answers);
        let mut rejected = None;
        match &answers {
            Ok(answers) => {
                if answers.iter().any(|answer| matches!(answer, Answer::Accepted(_))) {
                    self.sink_health.ended();
                }
            }
            Err(PutError::Fatal { message }) => return Err(PipelineError::Sink(message.clone())),
            Err(PutError::Transient { kind, message }) => self.sink_health.failed(Cause::Outage, kind, message),
            Err(PutError::Misconfigured { kind, message }) => {
                self.sink_health.failed(Cause::Configuration, kind, message)
            }
            Err(PutError::Rejected { kind, message, .. }) => rejected = Some((*kind, message.clone())),
        }
        let outcome = self.parts.lanes.answer(request, answers, now);
        self.parts.metrics.delivered(outcome.records);
        if let Some((kind, message)) = rejected {
            if let Some(lane) = outcome.held {
                self.sink_health.held(kind, &lane, &message);
            }
            if let Some(lane) = outcome.dead {
                error!(
                    kind,
                    message, "the sink refuses a record and accepts others; moving it to the dead-letter file"
                );
                self.dead_letter(lane, message);
            }
        }
        self.remove(outcome.delivered);
        self.publish();
        Ok(())
    }

    fn remove(&mut self, positions: Vec<delivery::spool::Position>) {
        if positions.is_empty() {
            return;
        }
        let spool = self.parts.spool.clone();
        self.storage
            .spawn(async move { Done::Removed(spool.remove(positions).await) });
    }

    fn tick(&mut self) {
        self.bury_oversized();
        let arrival = arrival();
        self.parts.lanes.sweep(arrival);
        for shard in self.parts.lanes.forget_shards(arrival.at) {
            self.parts.metrics.no_pace(&shard);
        }
        self.measure();
        self.publish();
    }

    fn measure(&self) {
        let Parts {
            lanes, spool, metrics, ..
        } = &self.parts;
        metrics.lanes(lanes.activity());
        metrics.memory(lanes.bytes() as u64, lanes.limits().budget as u64);
        metrics.spool(spool.bytes(), self.parts.spool_max_bytes);
        metrics.sink_failing(self.sink_health.cause());
        metrics.oldest_unsent([lanes.oldest(), spool.oldest_since()].into_iter().flatten().min());
        for (shard, rate) in lanes.rates() {
            metrics.pace(shard, rate * SHARD_BYTES_PER_SECOND);
        }
    }

    fn publish(&self) {
        let health = Health {
            sink_health: self.sink_health.message(),
            full: self.pressure() == Pressure::Blocked,
            draining: self.closed,
        };
        self.parts.health.send_if_modified(|known| {
            let changed = *known != health;
            *known = health;
            changed
        });
    }

    /// Saves what only memory holds to the spool; returns the number of readings that could not be saved.
    async fn save(&mut self, input: &mut Receiver) -> Result<u64, PipelineError> {
        self.puts.shutdown().await;
        while let Some(done) = self.storage.join_next().await {
            self.finish(done?)?;
        }
        input.close();
        while let Some(handed) = input.recv().await {
            let oversized = self.parts.lanes.accept(&handed.batch, arrival());
            self.oversized.extend(oversized);
        }
        let records = self.parts.lanes.unsaved();
        if records.is_empty() && self.oversized.is_empty() {
            return Ok(0);
        }
        let outcome = self.parts.spool.append(records).await;
        Ok(self.parts.lanes.saved(outcome, std::mem::take(&mut self.oversized)))
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn arrival() -> Arrival {
    Arrival {
        at: Instant::now().into_std(),
        wall: clock::now(),
    }
}

#[cfg(test)]
mod tests;
