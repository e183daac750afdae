//! The running daemon: builds every part, watches over them, and ends them in order. A part that ends before it was asked
//! ends the daemon: half-dead is worse than restarted.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};
use wire::{ProducerId, Reading};

use crate::admin::{Server, Shown};
use crate::backoff::Backoff;
use crate::canary::Canary;
use crate::dead_letter::{DeadLetterError, DeadLetters, Redrive};
use crate::lane::Packing;
use crate::lanes::{Lanes, Limits};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::{self, Parts, PipelineError, Status};
use crate::screen::Screen;
use crate::settings::{Aggregation, Loaded, Origin, Settings};
use crate::sink::Sink;
use crate::sink::embedded::{Embedded, Terminal};
use crate::sink::kinesis::Kinesis;
use crate::sink::stdout::Stdout;
use crate::source::{Batch, Output};
use crate::sources::{Sources, Wiring};
use crate::spool::Spool;
use crate::systemd::Notifier;
use crate::{settings, spool};

/// Batches that wait for the pipeline: enough to keep it busy, too few to matter beside the budget.
const BATCHES: usize = 16;
/// The largest record a stream takes unless it was raised.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// So often a person who looks on is shown what is measured.
const SCREEN_INTERVAL: Duration = Duration::from_secs(5);

/// Dead letters are sent so many at a time.
const DEAD_LETTER_BATCH: usize = 256;

/// Runs until the sources are spent or a signal asks for the end. An error is a failure while running.
pub async fn run(loaded: Loaded) -> anyhow::Result<()> {
    let mut daemon = Daemon::start(loaded).await?;
    let failed = daemon.watch().await;
    let drained = daemon.drain(failed.is_err()).await;
    failed.and(drained)
}

/// Sends dead letters again, under new identities. Says how many readings went, and which files they were in.
pub async fn send_dead_letters(loaded: Loaded) -> anyhow::Result<(u64, Vec<PathBuf>)> {
    let settings = &loaded.settings;
    let replay = DeadLetters::open(&settings.state_dir()?, &sink_name(settings))?.replay()?;
    let (replay, readings) = send(loaded, replay).await?;
    Ok((readings, replay.finish()?))
}

/// Sends what Lambda gave up again, under new identities. Says how many readings went, and of how much it had to be said that
/// it could not.
pub async fn send_given_up(loaded: Loaded, paths: &[PathBuf]) -> anyhow::Result<(u64, u64)> {
    let (redrive, readings) = send(loaded, Redrive::open(paths)?).await?;
    Ok((readings, redrive.problems()))
}

/// Sends readings through a daemon of their own that may run beside the real one.
async fn send<R>(mut loaded: Loaded, readings: R) -> anyhow::Result<(R, u64)>
where
    R: Iterator<Item = Result<Reading, DeadLetterError>> + Send + 'static,
{
    let settings = &mut loaded.settings;
    settings.spool.dir = Some(settings.state_dir()?.join("dead-letter-spool"));
    settings.source.clear();
    settings.admin.listen.set_port(0);
    let mut daemon = Daemon::start(loaded).await?;
    let output = daemon.sources.as_ref().expect("just started").output();
    let feeding = tokio::spawn(feed(readings, output));
    let failed = daemon.watch().await;
    let drained = daemon.drain(failed.is_err()).await;
    failed.and(drained)?;
    feeding.await.context("reading what is to be sent again")?
}

async fn feed<R>(mut replay: R, output: Output) -> anyhow::Result<(R, u64)>
where
    R: Iterator<Item = Result<Reading, DeadLetterError>>,
{
    let mut sent = 0;
    loop {
        let mut readings = Vec::with_capacity(DEAD_LETTER_BATCH);
        while readings.len() < DEAD_LETTER_BATCH
            && let Some(reading) = replay.next()
        {
            match reading {
                Ok(reading) => readings.push(reading),
                Err(error) => warn!("not sent, and left where it is: {:#}", anyhow!(error)),
            }
        }
        if readings.is_empty() {
            return Ok((replay, sent));
        }
        sent += readings.len() as u64;
        output
            .send(Batch {
                readings,
                receipt: None,
            })
            .await?;
    }
}

struct Daemon {
    loaded: Loaded,
    sources: Option<Sources>,
    pipeline: JoinHandle<Result<pipeline::Ended, PipelineError>>,
    ended: Option<anyhow::Result<pipeline::Ended>>,
    embedded: Closing,
    stop: watch::Sender<bool>,
    status: watch::Receiver<Status>,
    heartbeat: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    admin: JoinHandle<std::io::Result<()>>,
    /// Ends the HTTP endpoint once it is dropped.
    ends_admin: oneshot::Sender<()>,
    signals: Signals,
    screen: Option<Arc<Screen>>,
    notifier: Notifier,
}

impl Daemon {
    async fn start(loaded: Loaded) -> anyhow::Result<Self> {
        let settings = &loaded.settings;
        let signals = Signals::listen()?;
        let ledger = Arc::new(Ledger::default());
        let metrics = Arc::new(Metrics::new(ledger.clone()));
        let (status_sender, status) = watch::channel(Status::default());
        let server = Server::bind(&settings.admin).await?;
        let address = server.address();
        let dir = settings.spool.dir()?;
        let (spool, recovered) = Spool::open(&dir, settings.spool.max_bytes, settings.spool.when_full)?;
        let state_dir = settings.state_dir()?;
        let dead_letters = DeadLetters::open(&state_dir, &sink_name(settings))?;
        let lanes = lanes(settings, ledger.clone(), &recovered)?;
        let (sink, embedded) = sink(settings, &state_dir)?;
        let (batches, input) = mpsc::channel(BATCHES);
        let (pressure, pressed) = watch::channel(false);
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
            pressure,
            status: status_sender,
            heartbeat: heartbeat.clone(),
        };
        let pipeline = tokio::spawn(pipeline::run(parts, input, stopped));
        let looked_on = std::io::stdout().is_terminal() || loaded.origin == Origin::Embedded;
        let screen = (settings.sink == settings::Sink::Embedded && looked_on).then(Arc::<Screen>::default);
        let wiring = Wiring {
            batches,
            pressure: pressed,
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            state_dir: state_dir.clone(),
            screen: screen.clone(),
        };
        let canary = Canary::new(
            &wiring.batches,
            wiring.pressure.clone(),
            ledger.clone(),
            sink_name(settings),
        );
        let sources = Some(Sources::start(wiring, &settings.source)?);
        let (ends, ended) = oneshot::channel::<()>();
        let shown = Shown {
            metrics: metrics.clone(),
            ready: readiness(status.clone()),
            canary: Arc::new(canary),
        };
        let admin = tokio::spawn(server.serve(shown, async { drop(ended.await) }));
        let notifier = Notifier::new();
        info!(metrics = %format_args!("http://{address}/metrics"), state = %state_dir.display(), "ready");
        notifier.ready();
        Ok(Self {
            loaded,
            sources,
            pipeline,
            ended: None,
            embedded,
            stop,
            status,
            heartbeat,
            ledger,
            metrics,
            admin,
            ends_admin: ends,
            signals,
            screen,
            notifier,
        })
    }

    /// Watches over all parts until it is time to end.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut watchdog = tokio::time::interval(self.notifier.keep_alive().unwrap_or(Duration::from_secs(5)));
        let mut screen = tokio::time::interval(SCREEN_INTERVAL);
        let mut beat = 0;
        loop {
            let sources = self.sources.as_mut();
            tokio::select! {
                _ = self.signals.terminate.recv() => return Ok(()),
                _ = self.signals.interrupt.recv() => return Ok(()),
                _ = self.signals.hangup.recv() => self.reload(),
                _ = watchdog.tick() => self.ping(&mut beat),
                _ = screen.tick(), if self.screen.is_some() => self.show(),
                ended = &mut self.admin => return Err(admin_ended(ended)),
                ended = &mut self.pipeline => {
                    self.ended = Some(flatten(ended));
                    return Ok(());
                }
                ended = async { sources.expect("checked below").ended().await }, if sources.is_some() => {
                    if ended?.is_none() {
                        info!("all sources are spent: delivering what is left");
                        // With its last sender the pipeline's input closes, and it ends when all is delivered.
                        self.sources = None;
                    }
                }
                changed = self.status.changed() => if changed.is_ok() { self.tell_status() },
            }
        }
    }

    /// Ends sources, pipeline and sink in this order, within the grace.
    async fn drain(mut self, failed: bool) -> anyhow::Result<()> {
        self.notifier.stopping();
        if self.ended.is_none() {
            let counts = self.ledger.snapshot();
            info!(
                in_flight = counts.in_flight,
                spooled = counts.spooled,
                "stopping: delivering what is in memory"
            );
        }
        self.stop.send_replace(true);
        let ending = self.sources.take().map(|mut sources| {
            sources.stop();
            tokio::spawn(async move { while matches!(sources.ended().await, Ok(Some(()))) {} })
        });
        let mut watchdog = tokio::time::interval(self.notifier.keep_alive().unwrap_or(Duration::from_secs(5)));
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
            // Sources that wait for their last receipts have them now.
            ending.await.context("ending the sources")?;
        }
        if let Some(embedded) = &self.embedded {
            embedded.close().await;
        }
        drop(self.ends_admin);
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
                "lost: neither the sink nor the spool took them before the grace ended"
            );
            return Err(anyhow!("{} readings could not be saved", ended.unsaved));
        }
        if ended.spooled > 0 && !failed {
            info!(
                readings = ended.spooled,
                "in the spool: they go first after the next start"
            );
        }
        Ok(())
    }

    fn reload(&mut self) {
        self.notifier.reloading();
        match self.loaded.origin.load() {
            Ok(loaded) => {
                if let Some(sources) = &mut self.sources
                    && let Err(error) = sources.reload(&loaded.settings.source)
                {
                    error!("not reloaded, going on with the settings in force: {error}");
                    return self.notifier.ready();
                }
                let now = Settings {
                    source: loaded.settings.source.clone(),
                    ..self.loaded.settings.clone()
                };
                if now != loaded.settings {
                    warn!("reloaded the sources; what else has changed in the configuration takes a restart");
                } else {
                    info!("reloaded the sources");
                }
                self.loaded.settings.source = loaded.settings.source;
            }
            Err(invalid) => error!("not reloaded, going on with the settings in force: {invalid}"),
        }
        self.notifier.ready();
    }

    /// The watchdog hears from the daemon only while the pipeline's loop turns.
    fn ping(&self, beat: &mut u64) {
        let now = self.heartbeat.load(Ordering::Relaxed);
        if now != *beat {
            *beat = now;
            self.notifier.alive();
        }
        if let Some(sources) = &self.sources {
            sources.measure(&self.metrics);
        }
    }

    fn show(&self) {
        if let Some(line) = self.screen.as_ref().and_then(|screen| screen.line()) {
            // Nobody to show it to is no reason to stop measuring.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    fn tell_status(&mut self) {
        let status = self.status.borrow_and_update().clone();
        let counts = self.ledger.snapshot();
        let waiting = counts.in_flight + counts.spooled;
        self.notifier.status(&match (&status.trouble, status.draining) {
            (Some(trouble), _) => format!("waiting, {waiting} readings kept: {trouble}"),
            (None, true) => format!("draining, {waiting} readings left"),
            (None, false) => format!("delivering, {} readings so far", counts.delivered),
        });
    }
}

fn lanes(settings: &Settings, ledger: Arc<Ledger>, recovered: &spool::Recovered) -> anyhow::Result<Lanes> {
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
    let recovered = lanes.ledger.snapshot().recovered;
    info!(%producer, lanes = settings.lanes.get(), recovered, "starting");
    Ok(lanes)
}

/// The embedded sink has more to do after its last put.
type Closing = Option<Arc<Embedded>>;

fn sink(settings: &Settings, state_dir: &Path) -> anyhow::Result<(Arc<dyn Sink>, Closing)> {
    Ok(match settings.sink {
        settings::Sink::Kinesis => {
            let lanes = (settings.aggregation == Aggregation::Kpl).then_some(settings.lanes.get());
            (Arc::new(Kinesis::new(settings.kinesis.target(), lanes)), None)
        }
        settings::Sink::Stdout => (Arc::new(Stdout), None),
        settings::Sink::Embedded => {
            let teller = Terminal::new(std::io::stdout(), std::io::stdout().is_terminal());
            let embedded = Arc::new(Embedded::start(state_dir, settings.detect.clone(), teller)?);
            (embedded.clone(), Some(embedded))
        }
    })
}

/// Where records go, as a dead letter names it.
fn sink_name(settings: &Settings) -> String {
    match settings.sink {
        settings::Sink::Embedded => "embedded".to_owned(),
        settings::Sink::Stdout => "stdout".to_owned(),
        settings::Sink::Kinesis => format!("kinesis {}", settings.kinesis.stream.as_deref().unwrap_or_default()),
    }
}

/// Why no more readings can be taken now; the pipeline says when they can.
fn readiness(status: watch::Receiver<Status>) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
    Arc::new(move || {
        let status = status.borrow();
        match (&status.trouble, status.full, status.draining) {
            (_, _, true) => Err("draining: what came in is being delivered, and nothing more is taken".to_owned()),
            (Some(trouble), true, _) => Err(format!(
                "memory and spool are full, and the sink takes nothing: {trouble}"
            )),
            (None, true, _) => Err("memory is full: the sink is slower than the sources".to_owned()),
            _ => Ok(()),
        }
    })
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

fn admin_ended(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("the HTTP endpoint ended before it was asked to"),
        Ok(Err(error)) => anyhow::Error::new(error).context("serving HTTP"),
        Err(error) => anyhow::Error::new(error).context("the HTTP endpoint broke"),
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("listening for signal {}", kind.as_raw_value()))
}

fn flatten(
    ended: Result<Result<pipeline::Ended, PipelineError>, tokio::task::JoinError>,
) -> anyhow::Result<pipeline::Ended> {
    Ok(ended.context("the pipeline broke")??)
}
