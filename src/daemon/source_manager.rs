//! All running sources: started, stopped and, on a reload, exchanged one by one.

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
    /// What a reload wants to run under a name whose source has not ended yet.
    waiting: BTreeMap<String, Settings>,
    tasks: JoinSet<(String, Joined)>,
    /// Lines each source could not read, over all its restarts.
    malformed: BTreeMap<String, Arc<Malformed>>,
    /// Readings of each source, over all its restarts.
    produced: BTreeMap<String, Produced>,
    /// New sensors of each source whose sensors are named by others, over all its restarts.
    admissions: BTreeMap<String, Arc<Admission>>,
    listeners: Listeners,
    slots: Slots,
}

/// What every source is given. Once it is gone and the sources have ended, the pipeline's input closes.
#[derive(Debug)]
pub struct SourceManagerContext {
    /// Where batches go.
    pub handover: handover::Sender,
    /// Where readings are counted.
    pub ledger: Arc<Ledger>,
    /// What else is counted.
    pub metrics: Arc<Metrics>,
    /// What the ports of sources must leave room in.
    pub open_files: OpenFiles,
    /// Where positions are kept.
    pub state_dir: PathBuf,
    /// Shows what is measured, where a person looks on.
    pub console: Option<Arc<Console>>,
    /// Keeps what is measured, where a person looks on and the sink does not keep it with its scores.
    pub recent: Option<Arc<RecentReadings>>,
}

type Joined = Result<Result<Ended, SourceError>, JoinError>;

#[derive(Debug)]
struct Running {
    settings: watch::Sender<Settings>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// True where it goes on: with the same settings, or with others that it takes up.
    fn can_become(&self, wanted: &Settings) -> bool {
        let settings = self.settings.borrow();
        *settings == *wanted || settings.can_become(wanted)
    }
}

/// The ports of sources could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// One of them.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// They may take more connections than there can be.
    #[error(transparent)]
    TooManyConnections(#[from] TooManyConnections),
}

/// A source that ended and should not have.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// It failed.
    #[error(transparent)]
    Failed(#[from] SourceError),
    /// It panicked.
    #[error("source {0:?} broke: {1}")]
    Broken(String, JoinError),
}

impl Sources {
    /// Starts them all. When it returns, their ports are bound.
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

    /// Brings the running sources to what is set now: unchanged ones go on undisturbed. Where a port cannot be bound,
    /// nothing overrides.
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
                // Also where nothing has changed here: files that it names may have.
                Some(running) if !*running.stop.borrow() => {
                    running.settings.send_replace(wanted.clone());
                    self.admission(name, wanted);
                }
                Some(_) => drop(self.waiting.insert(name.clone(), wanted.clone())),
            }
        }
        Ok(())
    }

    /// Brings one source to what is wanted of it now: to run so, or not at all. `all` is what is wanted of every source, whose
    /// ports stay bound.
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

    /// Asks them all to stop.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.listeners.free();
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
    }

    /// Waits until one ends, and starts what a reload wants in its place. `None` once all have ended: every one was finite, or
    /// was asked to stop.
    pub async fn ended(&mut self) -> Result<Option<()>, SourcesError> {
        let Some(ended) = self.tasks.join_next().await else {
            return Ok(None);
        };
        let (name, ended) = ended.expect("a source is joined inside its task, and the task itself does not panic");
        self.running.remove(&name);
        match ended {
            Ok(Ok(Ended::Spent)) => info!(source = name, "the source is spent"),
            Ok(Ok(Ended::Stopped)) => info!(source = name, "the source has stopped"),
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => return Err(SourcesError::Broken(name, error)),
        }
        if let Some(settings) = self.waiting.remove(&name) {
            self.spawn(&name, &settings);
        }
        Ok(Some(()))
    }

    /// Brings what each source could not read, and what it refused, into the metrics.
    pub fn measure(&self, metrics: &Metrics) {
        for (name, admission) in &self.admissions {
            metrics.refused(name, admission.refused());
        }
        for (name, malformed) in &self.malformed {
            metrics.malformed(name, malformed.count());
        }
    }

    /// How many run now.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Each of these, and whether it runs.
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

    /// Where one more source may hand its readings over; it is not asked to stop.
    pub fn output(&self) -> Output {
        let context = &self.context;
        Output::new(
            context.handover.clone(),
            watch::channel(false).1,
            context.ledger.clone(),
        )
    }

    /// What admits new sensors of this source, by the limit that is set now.
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
