//! The running sources: starts and stops them and, on a reload, replaces them one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use delivery::ledger::Ledger;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::info;

use crate::control::overrides::Overrides;
use crate::control::status::{Row, State};
use crate::daemon::open_files::{OpenFiles, TooManyConnections};
use crate::source::Produced;
use crate::source::listeners::BindError;
use crate::source::{
    self, Admission, Ended, Listeners, Malformed, Output, Settings, Slots, SourceContext, SourceError, handover,
};
use crate::telemetry::console::Console;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recent_readings::RecentReadings;

/// The sources of a running daemon.
#[derive(Debug)]
pub struct Sources {
    context: SourceManagerContext,
    running: BTreeMap<String, Running>,
    /// Sources that a reload wants under a name whose current source has not ended yet.
    waiting: BTreeMap<String, Settings>,
    tasks: JoinSet<(String, Joined)>,
    /// Lines that each source could not read, over all its restarts.
    malformed: BTreeMap<String, Arc<Malformed>>,
    /// Readings of each source, over all its restarts.
    produced: BTreeMap<String, Produced>,
    /// Admission of new sensors for each source whose clients name the sensors, over all its restarts.
    admissions: BTreeMap<String, Arc<Admission>>,
    listeners: Listeners,
    slots: Slots,
}

/// What every source needs. Once it is dropped and the sources have ended, the pipeline's input closes.
#[derive(Debug)]
pub struct SourceManagerContext {
    /// Where batches go.
    pub handover: handover::Sender,
    /// Where readings are counted.
    pub ledger: Arc<Ledger>,
    /// The other metrics.
    pub metrics: Arc<Metrics>,
    /// The limit on open files that the ports of sources must stay within.
    pub open_files: OpenFiles,
    /// The folder that positions are kept in.
    pub state_dir: PathBuf,
    /// Prints measured values for a person at the terminal.
    pub console: Option<Arc<Console>>,
    /// Keeps recent readings, while someone watches the dashboard and if the sink does not keep them with their scores.
    pub recent: Option<Arc<RecentReadings>>,
}

type Joined = Result<Result<Ended, SourceError>, JoinError>;

#[derive(Debug)]
struct Running {
    settings: watch::Sender<Settings>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Returns whether the source can keep running with the wanted settings: they are the same, or it can adopt them.
    fn can_become(&self, wanted: &Settings) -> bool {
        let settings = self.settings.borrow();
        *settings == *wanted || settings.can_become(wanted)
    }
}

/// The ports of sources could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// A port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The ports may accept more connections than the system allows.
    #[error(transparent)]
    TooManyConnections(#[from] TooManyConnections),
}

/// A source ended unexpectedly.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// It failed.
    #[error(transparent)]
    Failed(#[from] SourceError),
    /// It panicked.
    #[error("source {0:?} panicked: {1}")]
    Broken(String, JoinError),
}

impl Sources {
    /// Starts all sources. When it returns, their ports are bound.
    pub fn start(context: SourceManagerContext, settings: &source::Sources) -> Result<Self, PortsError> {
        context.open_files.check(settings)?;
        let (running, waiting) = Default::default();
        let mut listeners = Listeners::default();
        listeners.bind(settings)?;
        let mut sources = Self {
            context,
            running,
            waiting,
            tasks: JoinSet::new(),
            malformed: BTreeMap::new(),
            produced: BTreeMap::new(),
            admissions: BTreeMap::new(),
            listeners,
            slots: Slots::default(),
        };
        for (name, settings) in settings {
            sources.spawn(name, settings);
        }
        Ok(sources)
    }

    /// Applies new settings to the running sources; unchanged ones keep running. If a port cannot be bound, nothing
    /// changes.
    pub fn reload(&mut self, settings: &source::Sources) -> Result<(), PortsError> {
        self.bind(settings)?;
        self.waiting.clear();
        for (name, running) in &self.running {
            if !settings.get(name).is_some_and(|wanted| running.can_become(wanted)) {
                running.stop.send_replace(true);
            }
        }
        for (name, wanted) in settings {
            match self.running.get(name) {
                None => self.spawn(name, wanted),
                // Also if its settings are unchanged: the files that they name may have changed.
                Some(running) if !*running.stop.borrow() => {
                    running.settings.send_replace(wanted.clone());
                    self.admission(name, wanted);
                }
                Some(_) => drop(self.waiting.insert(name.clone(), wanted.clone())),
            }
        }
        Ok(())
    }

    /// Applies the wanted settings to one source: it runs with them, or not at all. `all` holds the wanted settings of
    /// every source, whose ports stay bound.
    pub fn set(&mut self, name: &str, all: &source::Sources) -> Result<(), PortsError> {
        self.bind(all)?;
        self.waiting.remove(name);
        match (self.running.get(name), all.get(name)) {
            (None, None) => {}
            (None, Some(wanted)) => self.spawn(name, wanted),
            (Some(running), None) => drop(running.stop.send_replace(true)),
            (Some(running), Some(wanted)) if !*running.stop.borrow() && running.can_become(wanted) => {
                running.settings.send_replace(wanted.clone());
                self.admission(name, wanted);
            }
            (Some(running), Some(wanted)) => {
                running.stop.send_replace(true);
                self.waiting.insert(name.to_owned(), wanted.clone());
            }
        }
        Ok(())
    }

    /// Binds the ports of these sources, or changes nothing.
    fn bind(&mut self, settings: &source::Sources) -> Result<(), PortsError> {
        self.context.open_files.check(settings)?;
        Ok(self.listeners.bind(settings)?)
    }

    /// Asks all sources to stop.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.listeners.free();
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
    }

    /// Waits until a source ends, and starts the one that a reload wants in its place. Returns `None` once all have
    /// ended, because they were finite or were asked to stop.
    pub async fn ended(&mut self) -> Result<Option<()>, SourcesError> {
        let Some(ended) = self.tasks.join_next().await else {
            return Ok(None);
        };
        let (name, ended) = ended.expect("a source is joined inside its task, and the task itself does not panic");
        self.running.remove(&name);
        match ended {
            Ok(Ok(Ended::Spent)) => info!(source = name, "the source has ended"),
            Ok(Ok(Ended::Stopped)) => info!(source = name, "the source has stopped"),
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => return Err(SourcesError::Broken(name, error)),
        }
        if let Some(settings) = self.waiting.remove(&name) {
            self.spawn(&name, &settings);
        }
        Ok(Some(()))
    }

    /// Copies the counts of malformed lines and refused readings of each source into the metrics.
    pub fn measure(&self, metrics: &Metrics) {
        for (name, admission) in &self.admissions {
            metrics.refused(name, admission.refused());
        }
        for (name, malformed) in &self.malformed {
            metrics.malformed(name, malformed.count());
        }
    }

    /// The number of running sources.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// The status of each of these sources.
    pub fn rows(&self, settings: &source::Sources, overrides: &Overrides) -> Vec<Row> {
        let row = |(name, settings): (&String, &Settings)| Row {
            name: name.clone(),
            settings: settings.clone(),
            changed: overrides.differs(name),
            state: match self.running.get(name) {
                Some(running) if *running.stop.borrow() => State::Stopping,
                Some(_) => State::Running,
                None => State::Stopped,
            },
            produced: self.produced.get(name).cloned().unwrap_or_default(),
        };
        overrides.all(settings).iter().map(row).collect()
    }

    /// The output for one more source, which is never asked to stop.
    pub fn output(&self) -> Output {
        let context = &self.context;
        Output::new(
            context.handover.clone(),
            watch::channel(false).1,
            context.ledger.clone(),
        )
    }

    /// The admission of new sensors of this source, under its current limit.
    fn admission(&mut self, name: &str, settings: &Settings) -> Option<Arc<Admission>> {
        let limit = settings.new_sensors_per_hour()?;
        let admission = self.admissions.entry(name.to_owned());
        let admission = admission.or_insert_with(|| Arc::new(Admission::new(name, limit)));
        admission.set_limit(limit);
        Some(admission.clone())
    }

    fn spawn(&mut self, name: &str, settings: &Settings) {
        let admission = self.admission(name, settings);
        let (stop, stopped) = watch::channel(false);
        let context = &self.context;
        let output = Output::new(context.handover.clone(), stopped, context.ledger.clone())
            .shown_on(context.console.clone())
            .traced_in(context.recent.clone())
            .counted_in(self.produced.entry(name.to_owned()).or_default().clone())
            .admitting(admission);
        let malformed = self.malformed.entry(name.to_owned()).or_default().clone();
        let changing = watch::Sender::new(settings.clone());
        let of_source = SourceContext {
            state_dir: context.state_dir.clone(),
            malformed,
            metrics: context.metrics.clone(),
            listener: self.listeners.of(name, settings),
            slots: self.slots.clone(),
            settings: changing.subscribe(),
        };
        let task = source::spawn(name, settings, output, of_source);
        self.running.insert(
            name.to_owned(),
            Running {
                settings: changing,
                stop,
            },
        );
        let name = name.to_owned();
        info!(source = name, "the source has started");
        self.tasks.spawn(async move { (name, task.await) });
    }
}
