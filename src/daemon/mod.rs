//! The running daemon: builds every part, supervises them and shuts them down in order. A part that ends unexpectedly
//! ends the daemon, because running half of it is worse than a restart.

mod commands;
/// The limit on open files and connections.
pub mod open_files;
mod resend;
/// The daemon's interfaces to the outside: ports, signals, the service manager.
pub mod services;
/// The running sources: starts, stops and replaces them.
pub mod source_manager;
/// Notifications to the service manager.
pub mod systemd;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use delivery::backoff::Backoff;
use delivery::lane::Packing;
use delivery::lanes::{Lanes, Limits};
use delivery::ledger::Ledger;
use delivery::sink::Sink;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
pub use resend::{send_dead_letters, send_given_up};
use spool::Spool;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};
use wire::ProducerId;

use self::open_files::OpenFiles;
use self::services::{Services, dashboard_ended};
use self::source_manager::{SourceManagerContext, Sources};
use crate::canary::Canary;
use crate::config::{Aggregation, Loaded, Origin, Settings};
use crate::control::overrides::Overrides;
use crate::control::status::{IncidentStore, Status, Table};
use crate::dashboard::Handles;
use crate::dead_letter::DeadLetters;
use crate::pipeline::{self, Health, Parts, PipelineError};
use crate::sink;
use crate::sink::embedded::{Embedded, Terminal};
use crate::sink::kinesis::Kinesis;
use crate::sink::stdout::Stdout;
use crate::source::handover;
use crate::telemetry::console::Console;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recent_readings::RecentReadings;

/// Readings on their way to the pipeline may take this fraction of the budget in addition to it: enough to keep the
/// pipeline busy.
const HANDOVER_PART: usize = 4;
/// The largest record a stream accepts unless its limit was raised.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// Console refresh interval.
const CONSOLE_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until all sources have ended or a signal asks for shutdown. An error is a failure while running.
pub async fn run(loaded: Loaded) -> anyhow::Result<()> {
    let front = Services::bind(&loaded.settings).await?;
    let mut daemon = Daemon::start(loaded, front, Overrides::default()).await?;
    loop {
        let next = daemon.watch().await;
        let again = matches!(next, Ok(Next::Again));
        let (drained, left) = daemon.drain(next.is_err(), again).await;
        next?;
        drained?;
        if !again {
            return Ok(());
        }
        info!("restarting with the settings of the dashboard");
        daemon = Daemon::start(left.loaded, left.front, left.overrides).await?;
    }
}

struct Daemon {
    loaded: Loaded,
    sources: Option<Sources>,
    status: watch::Sender<Status>,
    pipeline: JoinHandle<Result<pipeline::Ended, PipelineError>>,
    ended: Option<anyhow::Result<pipeline::Ended>>,
    embedded: Closing,
    stop: watch::Sender<bool>,
    health: watch::Receiver<Health>,
    heartbeat: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    front: Services,
    /// Changes that people made on the dashboard.
    overrides: Overrides,
    console: Option<Arc<Console>>,
}

/// What follows once the sources are to stop.
enum Next {
    /// Shut down.
    End,
    /// Restart with other settings.
    Again,
}

/// What a drained daemon hands over to its successor in this process.
struct Left {
    loaded: Loaded,
    front: Services,
    overrides: Overrides,
}

impl Daemon {
    async fn start(loaded: Loaded, mut front: Services, overrides: Overrides) -> anyhow::Result<Self> {
        let settings = &loaded.settings;
        let ledger = Arc::new(Ledger::default());
        let metrics = Arc::new(Metrics::new(ledger.clone()));
        let (health_sender, health) = watch::channel(Health::default());
        let dir = settings.spool_dir()?;
        let (spool, recovered) = Spool::open(&dir, settings.spool.max_bytes, settings.spool.when_full)?;
        let state_dir = settings.state_dir()?;
        let dead_letters = DeadLetters::open(&state_dir, &sink_name(settings))?;
        let lanes = lanes(settings, ledger.clone(), &recovered)?;
        let recent = Arc::<RecentReadings>::default();
        let (sink, embedded) = sink(settings, &state_dir, &recent, &metrics)?;
        let (handover, input) = handover::channel(lanes.limits().budget / HANDOVER_PART);
        let (stop, stopped) = watch::channel(false);
        let heartbeat = Arc::new(AtomicU64::new(0));
        let parts = Parts {
            lanes,
            sink,
            spool: Arc::new(spool),
            spool_max_bytes: settings.spool.max_bytes.as_bytes(),
            dead_letters: Arc::new(dead_letters),
            metrics: metrics.clone(),
            max_requests: settings.kinesis.max_requests.get() as usize,
            grace: settings.grace.get(),
            health: health_sender,
            heartbeat: heartbeat.clone(),
        };
        let pipeline = tokio::spawn(pipeline::run(parts, input, stopped));
        let looked_on = std::io::stdout().is_terminal() || loaded.origin == Origin::Embedded;
        let console = (settings.sink == sink::Kind::Embedded && looked_on).then(Arc::<Console>::default);
        let context = SourceManagerContext {
            handover,
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            open_files: OpenFiles {
                limit: open_files::raise_limit(),
                dashboard: settings.dashboard.max_connections.get(),
                sink_requests: settings.kinesis.max_requests.get(),
            },
            state_dir: state_dir.clone(),
            console: console.clone(),
            // The embedded sink keeps them itself, with their scores.
            recent: (settings.sink != sink::Kind::Embedded).then(|| recent.clone()),
        };
        let canary = Canary::new(&context.handover, ledger.clone(), sink_name(settings));
        let sources = Sources::start(context, &overrides.wanted(&settings.source))?;
        let status = watch::Sender::new(status(settings, &state_dir, &sources, &overrides));
        let shown = Handles {
            metrics: metrics.clone(),
            ready: readiness(health.clone()),
            canary: Arc::new(canary),
            recent,
            status: status.subscribe(),
            health: health.clone(),
        };
        let address = front.show(shown);
        info!(metrics = %format_args!("http://{address}/metrics"), state = %state_dir.display(), "ready");
        front.notifier.ready();
        Ok(Self {
            loaded,
            sources: Some(sources),
            status,
            pipeline,
            ended: None,
            embedded,
            stop,
            health,
            heartbeat,
            ledger,
            metrics,
            front,
            overrides,
            console,
        })
    }

    /// Supervises all parts until it is time to shut down.
    async fn watch(&mut self) -> anyhow::Result<Next> {
        let mut watchdog = tokio::time::interval(self.front.notifier.keep_alive().unwrap_or(Duration::from_secs(5)));
        let mut console = tokio::time::interval(CONSOLE_INTERVAL);
        let mut beat = 0;
        loop {
            // While a stopped source may still be started again, the daemon waits for that.
            let held = self.overrides.hold(&self.loaded.settings.source);
            let sources = self.sources.as_mut().filter(|sources| !held || sources.count() > 0);
            tokio::select! {
                _ = self.front.signals.terminate.recv() => return Ok(Next::End),
                _ = self.front.signals.interrupt.recv() => return Ok(Next::End),
                _ = self.front.signals.hangup.recv() => self.reload(),
                Some(command) = self.front.asked.recv() => if let Some(next) = self.change(command) {
                    return Ok(next);
                },
                _ = watchdog.tick() => self.ping(&mut beat),
                _ = console.tick(), if self.console.is_some() => self.show(),
                ended = services::ended(&mut self.front.serving) => return Err(dashboard_ended(ended)),
                ended = &mut self.pipeline => {
                    self.ended = Some(flatten(ended));
                    return Ok(Next::End);
                }
                ended = async { sources.expect("checked below").ended().await }, if sources.is_some() => {
                    if ended?.is_none() && !held {
                        info!("all sources are spent: delivering what is left");
                        // Dropping the last sender closes the pipeline's input; the pipeline ends once everything is
                        // delivered.
                        self.sources = None;
                    }
                    self.publish();
                }
                changed = self.health.changed() => if changed.is_ok() { self.tell_status() },
            }
        }
    }

    /// Ends sources, pipeline and sink in this order, within the grace period. If the daemon restarts in this process,
    /// the service manager and the dashboard are not told that it stops.
    async fn drain(mut self, failed: bool, again: bool) -> (anyhow::Result<()>, Left) {
        match again {
            true => self.front.notifier.reloading(),
            false => self.front.notifier.stopping(),
        }
        let drained = self.end(failed).await;
        let left = Left {
            loaded: self.loaded,
            front: self.front,
            overrides: self.overrides,
        };
        (drained, left)
    }

    async fn end(&mut self, failed: bool) -> anyhow::Result<()> {
        if self.ended.is_none() {
            let counts = self.ledger.snapshot();
            info!(
                in_flight = counts.in_flight,
                spooled = counts.spooled,
                "stopping: delivering the readings in memory"
            );
        }
        self.stop.send_replace(true);
        let ending = self.sources.take().map(|mut sources| {
            sources.stop();
            tokio::spawn(async move { while matches!(sources.ended().await, Ok(Some(()))) {} })
        });
        let mut watchdog = tokio::time::interval(self.front.notifier.keep_alive().unwrap_or(Duration::from_secs(5)));
        let mut beat = 0;
        let ended = match self.ended.take() {
            Some(ended) => ended,
            None => loop {
                tokio::select! {
                    ended = &mut self.pipeline => break flatten(ended),
                    _ = watchdog.tick() => self.ping(&mut beat),
                }
            },
        };
        if let Some(ending) = ending {
            // Sources waiting for their last receipts have them now.
            ending.await.context("ending the sources")?;
        }
        if let Some(embedded) = &self.embedded {
            embedded.close().await;
        }
        Self::report(&self.ledger, ended?, failed)
    }

    fn report(ledger: &Ledger, ended: pipeline::Ended, failed: bool) -> anyhow::Result<()> {
        let counts = ledger.snapshot();
        info!(
            produced = counts.produced,
            recovered = counts.recovered,
            delivered = counts.delivered,
            dropped = counts.dropped.iter().sum::<u64>(),
            dead_lettered = counts.dead_lettered.iter().sum::<u64>(),
            spooled = counts.spooled,
            in_flight = counts.in_flight,
            "ended"
        );
        if !counts.conserved() || counts.in_flight > 0 {
            return Err(anyhow!(
                "readings are unaccounted for at the end, which is a bug: {counts:?}"
            ));
        }
        if ended.unsaved > 0 {
            error!(
                readings = ended.unsaved,
                "lost: neither the sink nor the spool accepted them within the grace period"
            );
            return Err(anyhow!("{} readings could not be saved", ended.unsaved));
        }
        if ended.spooled > 0 && !failed {
            info!(
                readings = ended.spooled,
                "left in the spool: they are delivered first after the next start"
            );
        }
        Ok(())
    }

    fn reload(&mut self) {
        self.front.notifier.reloading();
        match self.loaded.origin.load() {
            Ok(loaded) => {
                if let Some(sources) = &mut self.sources
                    && let Err(error) = sources.reload(&self.overrides.wanted(&loaded.settings.source))
                {
                    error!("not reloaded, keeping the current settings: {error}");
                    return self.front.notifier.ready();
                }
                let now = Settings {
                    source: loaded.settings.source.clone(),
                    ..self.loaded.settings.clone()
                };
                if now != loaded.settings {
                    warn!("reloaded the sources; the other changes in the configuration need a restart");
                } else {
                    info!("reloaded the sources");
                }
                self.loaded.settings.source = loaded.settings.source;
                self.publish();
            }
            Err(invalid) => error!("not reloaded, keeping the current settings: {invalid}"),
        }
        self.front.notifier.ready();
    }

    /// Publishes the current state of the sources.
    fn publish(&self) {
        let rows = |sources: &Sources| sources.rows(&self.loaded.settings.source, &self.overrides);
        let rows = self.sources.as_ref().map(rows).unwrap_or_default();
        self.status.send_modify(|status| status.sources = rows);
    }

    /// Pings the watchdog only while the pipeline's loop makes progress.
    fn ping(&self, beat: &mut u64) {
        let now = self.heartbeat.load(Ordering::Relaxed);
        if now != *beat {
            *beat = now;
            self.front.notifier.alive();
        }
        if let Some(sources) = &self.sources {
            sources.measure(&self.metrics);
        }
    }

    fn show(&self) {
        if let Some(line) = self.console.as_ref().and_then(|console| console.line()) {
            // A closed standard output is no reason to stop measuring.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    fn tell_status(&mut self) {
        let health = self.health.borrow_and_update().clone();
        let counts = self.ledger.snapshot();
        let waiting = counts.in_flight + counts.spooled;
        self.front
            .notifier
            .status(&match (&health.sink_health, health.draining) {
                (Some(sink_health), _) => format!("waiting, {waiting} readings kept: {sink_health}"),
                (None, true) => format!("draining, {waiting} readings left"),
                (None, false) => format!("delivering, {} readings so far", counts.delivered),
            });
    }
}

fn lanes(settings: &Settings, ledger: Arc<Ledger>, recovered: &delivery::spool::Recovered) -> anyhow::Result<Lanes> {
    let producer = ProducerId(rand::random());
    let kinesis = &settings.kinesis;
    let limits = Limits {
        packing: Packing {
            producer,
            aggregated: settings.aggregation == Aggregation::Kpl,
            target_bytes: kinesis.target_bytes.get(),
            max_record_bytes: MAX_RECORD_BYTES,
        },
        lanes: settings.lanes.get(),
        linger: settings.linger.get(),
        budget: usize::try_from(settings.budget.as_bytes()).context("budget is more than this machine can address")?,
        backoff: Backoff::new(kinesis.backoff_base.get(), kinesis.backoff_cap.get()),
    };
    let mut lanes = Lanes::new(limits, ledger, ChaCha8Rng::seed_from_u64(rand::random()));
    lanes.recover(recovered);
    let recovered = lanes.ledger().snapshot().recovered;
    info!(%producer, lanes = settings.lanes.get(), recovered, "starting");
    Ok(lanes)
}

/// The embedded sink, which has work to do after its last put.
type Closing = Option<Arc<Embedded>>;

fn sink(
    settings: &Settings,
    state_dir: &Path,
    recent: &Arc<RecentReadings>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Arc<dyn Sink>, Closing)> {
    Ok(match settings.sink {
        sink::Kind::Kinesis => {
            let lanes = (settings.aggregation == Aggregation::Kpl).then_some(settings.lanes.get());
            (Arc::new(Kinesis::new(settings.kinesis.target(), lanes)), None)
        }
        sink::Kind::Stdout => (Arc::new(Stdout), None),
        sink::Kind::Embedded => {
            let teller = Terminal::new(std::io::stdout(), std::io::stdout().is_terminal());
            let embedded = Arc::new(Embedded::start(
                state_dir,
                settings.detect.clone(),
                teller,
                recent.clone(),
                metrics.clone(),
            )?);
            (embedded.clone(), Some(embedded))
        }
    })
}

/// Where records go, as dead letters name it.
fn sink_name(settings: &Settings) -> String {
    match settings.sink {
        sink::Kind::Embedded => "embedded".to_owned(),
        sink::Kind::Stdout => "stdout".to_owned(),
        sink::Kind::Kinesis => format!("kinesis {}", settings.kinesis.stream.as_deref().unwrap_or_default()),
    }
}

/// The status of this daemon.
fn status(settings: &Settings, state_dir: &Path, sources: &Sources, overrides: &Overrides) -> Status {
    let embedded = settings.sink == sink::Kind::Embedded;
    let table = |name: &Option<String>| {
        let name = name.clone().filter(|_| settings.sink == sink::Kind::Kinesis)?;
        let beside = settings.kinesis.target();
        Some(Table { name, beside })
    };
    let readings = table(&settings.dashboard.readings_table);
    Status {
        sink: settings.sink,
        stream: settings.kinesis.stream.clone(),
        state_dir: state_dir.to_owned(),
        incidents: match table(&settings.dashboard.incidents_table) {
            _ if embedded => IncidentStore::Folder(state_dir.to_owned()),
            Some(table) => IncidentStore::Table(table),
            None => IncidentStore::Nowhere,
        },
        threshold: (embedded || readings.is_some()).then(|| settings.detect.threshold.get()),
        readings,
        sources: sources.rows(&settings.source, overrides),
    }
}

/// Returns whether readings are accepted now, with any further remark, or why they are not.
fn readiness(health: watch::Receiver<Health>) -> Arc<dyn Fn() -> Result<String, String> + Send + Sync> {
    Arc::new(move || {
        let health = health.borrow();
        match (&health.sink_health, health.full, health.draining) {
            (_, _, true) => Err("draining: accepted readings are being delivered, new ones are refused".to_owned()),
            (Some(sink_health), true, _) => Err(format!(
                "memory and spool are full, and the sink accepts nothing: {sink_health}"
            )),
            (None, true, _) => Err("memory and spool are full: the sink is slower than the sources".to_owned()),
            (Some(sink_health), false, _) => Ok(format!(
                "readings are accepted and buffered, but the sink accepts nothing: {sink_health}"
            )),
            (None, false, _) => Ok("readings are accepted".to_owned()),
        }
    })
}

fn flatten(
    ended: Result<Result<pipeline::Ended, PipelineError>, tokio::task::JoinError>,
) -> anyhow::Result<pipeline::Ended> {
    Ok(ended.context("the pipeline panicked")??)
}
