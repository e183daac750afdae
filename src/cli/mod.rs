//! The command line: what each command starts, and how its end becomes an exit code. What commands do stands elsewhere.

mod arguments;
/// The command `backtest`: the detectors over a history.
pub mod backtest;
/// The command `cost`: what a load takes of AWS and costs a month.
pub mod cost;
/// The command `doctor`: all the daemon needs, looked at before it is needed.
pub mod doctor;
mod manual;
/// The command `readings`: what a table kept of a sensor.
pub mod readings;
/// The command `simulate`.
pub mod simulate;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use arguments::{
    AboutIncidents, Backtest, Canary, Cli, Command, Config, Cost, DeadLetter, Incidents, Readings, Simulate, State,
};
use clap::Parser;
use tracing::{debug, info, warn};

use self::backtest::plot::Plot;
use self::backtest::progress::Progress;
use self::backtest::{Watched, backtest};
use self::simulate::simulate;
use crate::config::{self, Invalid, Loaded, Origin};
use crate::dead_letter::{DeadLetterError, DeadLetters, list_given_up};
use crate::incidents::{self, Format, IncidentsError};
use crate::telemetry::log;
use crate::{canary, clock, daemon};

/// The exit code of a configuration or a command line that does not hold: EX_CONFIG of sysexits.h. The unit does not
/// start again after it.
const BAD_CONFIGURATION: u8 = 78;

/// How a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The settings do not hold.
    #[error("{0}")]
    Settings(#[from] Invalid),
    /// Anything else.
    #[error("{0:#}")]
    Running(#[from] anyhow::Error),
    /// Something is bad, and it was said what.
    #[error("not healthy")]
    Unhealthy,
}

/// Runs the command of this process's arguments and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where even that cannot be printed, the exit code has to do.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Running(error)) if nobody_reads(&error) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(at) => run_daemon(&at),
        Command::Check(at) => check(&at),
        Command::Doctor(at) => examine(&at),
        Command::Canary(what) => send_canary(&what),
        Command::Simulate(what) => Ok(simulated(&what)?),
        Command::Backtest(what) => of_history(what),
        Command::Incidents(command) => of_incidents(command),
        Command::Readings(what) => of_readings(&what),
        Command::Cost(what) => of_load(what),
        Command::DeadLetter(command) => of_dead_letters(command),
        Command::Completions { shell } => Ok(printed(|out| manual::completions(shell, out))?),
        Command::Man { dir: None } => Ok(printed(|out| manual::page(out))?),
        Command::Man { dir: Some(dir) } => {
            Ok(manual::pages(&dir).with_context(|| format!("writing the manual into {}", dir.display()))?)
        }
    }
}

fn printed(print: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> anyhow::Result<()> {
    print(&mut io::stdout().lock()).context("writing to standard output")
}

fn run_daemon(at: &Config) -> Result<(), Failure> {
    let loaded = prepare(at.config.as_deref())?;
    Ok(runtime()?.block_on(daemon::run(loaded))?)
}

/// Threads for what would hold up others, such as files. The unit allows 64 tasks in all: a thread that cannot be started
/// would end the daemon.
const BLOCKING_THREADS: usize = 32;

/// Two threads do: one for the pipeline, one for the requests under way.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("starting the runtime")
}

fn check(at: &Config) -> Result<(), Failure> {
    let loaded = config::load(at.config.as_deref())?;
    let mut out = io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").context("writing to standard output");
    for warning in loaded.settings.warnings() {
        say(format!("{}: warning: {warning}", loaded.origin))?;
    }
    Ok(say(format!("{}: configuration OK", loaded.origin))?)
}

fn examine(at: &Config) -> Result<(), Failure> {
    let loaded = config::load(at.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let healthy = runtime.block_on(doctor::examine(&loaded, |finding| {
        if written.is_ok() {
            written = writeln!(out, "{finding}");
        }
    }));
    written.context("writing to standard output")?;
    if healthy { Ok(()) } else { Err(Failure::Unhealthy) }
}

fn send_canary(what: &Canary) -> Result<(), Failure> {
    let settings = config::load_unchecked(what.config.config.as_deref())?;
    let answer = canary::ask(settings.dashboard.listen, what.within.get()).map_err(anyhow::Error::from)?;
    Ok(write!(io::stdout(), "{answer}").context("writing to standard output")?)
}

fn simulated(what: &Simulate) -> anyhow::Result<()> {
    let labels = match &what.labels {
        Some(path) => Some(File::create(path).with_context(|| format!("making {}", path.display()))?),
        None => None,
    };
    let mut labels = labels.map(BufWriter::new);
    let mut out = io::stdout().lock();
    simulate(
        &what.profile,
        what.sensors,
        what.count,
        what.seed,
        &mut out,
        labels.as_mut(),
    )
    .context("simulating")?;
    labels
        .map_or(Ok(()), |mut labels| labels.flush())
        .context("writing the labels")
}

fn of_history(what: Backtest) -> Result<(), Failure> {
    let loaded = config::load(what.config.config.as_deref())?;
    // The embedded default is for a person who looks on: its incidents end after seconds.
    let detect = match loaded.origin {
        Origin::File(_) => loaded.settings.detect,
        Origin::Embedded => detect::Settings::default(),
    };
    Ok(judge_history(what, &detect)?)
}

fn judge_history(what: Backtest, detect: &detect::Settings) -> anyhow::Result<()> {
    let (all, json, out, drawing) = (what.all, what.json, what.out.clone(), what.plot.clone());
    let standard = what.file.as_os_str() == "-";
    let (input, size): (Box<dyn Read>, _) = if standard {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&what.file).with_context(|| format!("opening {}", what.file.display()))?;
        let size = file
            .metadata()
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|data| data.len());
        (Box::new(file), size)
    };
    for (flag, written) in [("--out", &out), ("--plot", &drawing)] {
        if let Some(path) = written
            && same_file(path, &what.file)
        {
            anyhow::bail!("{flag} {} is the history itself: name another file", path.display());
        }
    }
    let options = what.into();
    // Where rows go to the same terminal, a line that is written anew would be lost between them.
    let terminal = io::stderr().is_terminal() && (out.is_some() || !io::stdout().is_terminal());
    let progress = terminal.then(|| Progress::new(io::stderr(), size));
    let open = || -> io::Result<Box<dyn Write>> {
        Ok(match &out {
            Some(path) => Box::new(File::create(path)?),
            None => Box::new(io::stdout().lock()),
        })
    };
    let mut plot = drawing.is_some().then(|| Plot::new(detect.threshold.get()));
    let watched = Watched {
        progress,
        plot: plot.as_mut(),
    };
    let summary = backtest(input, &options, detect, watched, open)?;
    if let (Some(plot), Some(path)) = (&plot, &drawing) {
        let written = plot.svg(&summary).and_then(|svg| fs::write(path, svg));
        written.with_context(|| format!("drawing {}", path.display()))?;
    }
    let mut err = io::stderr().lock();
    let told = match json {
        true => serde_json::to_writer(&mut err, &summary)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(err)),
        false => writeln!(err, "{}", summary.text(all)),
    };
    told.context("writing the summary")
}

/// True where both name one file that exists.
fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn of_load(what: Cost) -> Result<(), Failure> {
    let format = what.format;
    let estimate = cost::estimate(&what.into()).map_err(|refused| Invalid(vec![refused.to_string()]))?;
    let written = cost::write(&estimate, format, &mut io::stdout().lock());
    Ok(written.context("writing to standard output")?)
}

fn of_incidents(asked: Incidents) -> Result<(), Failure> {
    let Incidents { table, about } = &asked;
    let runtime = runtime()?;
    let done = match table {
        Some(table) => {
            let store = runtime.block_on(incidents::in_table(table));
            runtime.block_on(about_incidents(about, &store))
        }
        None => {
            let store = incidents::in_store(&about.state().dir()?).map_err(anyhow::Error::from)?;
            runtime.block_on(about_incidents(about, &store))
        }
    };
    Ok(done.map_err(anyhow::Error::from)?)
}

async fn about_incidents(
    about: &AboutIncidents,
    store: &impl processor::incidents::Incidents,
) -> Result<(), IncidentsError> {
    let mut out = io::stdout().lock();
    let format = |json: &bool| if *json { Format::Json } else { Format::Text };
    match about {
        AboutIncidents::List { group, json, .. } => {
            incidents::list(store, group.as_deref(), format(json), &mut out).await
        }
        AboutIncidents::Show { id, json, .. } => incidents::show(store, id, format(json), &mut out).await,
        AboutIncidents::Acknowledge { id, by, .. } => {
            incidents::acknowledge(store, id, by, clock::now(), &mut out).await
        }
        AboutIncidents::Mute { target, duration, .. } => {
            incidents::mute(store, target, duration.get(), clock::now(), &mut out).await
        }
    }
}

fn of_readings(what: &Readings) -> Result<(), Failure> {
    let to = what.to.unwrap_or_else(clock::now);
    let last = i64::try_from(what.last.get().as_micros()).unwrap_or(i64::MAX);
    let from = what.from.unwrap_or_else(|| to.saturating_add_micros(-last));
    let format = if what.csv {
        readings::Format::Csv
    } else {
        readings::Format::Json
    };
    let done = runtime()?.block_on(async {
        let table = readings::in_table(&what.table).await;
        let mut out = BufWriter::new(io::stdout());
        readings::write(&table, &what.sensor, from, to, format, &mut out).await
    });
    Ok(done.map_err(anyhow::Error::from)?)
}

fn of_dead_letters(command: DeadLetter) -> Result<(), Failure> {
    match command {
        DeadLetter::List { state, given_up, json } if given_up.from.is_empty() => {
            Ok(list_dead_letters(&state.dir()?, json)?)
        }
        DeadLetter::List { given_up, json, .. } => {
            let listed = list_given_up(&given_up.from, json, &mut io::stdout().lock());
            Ok(not_all(&listed.map_err(anyhow::Error::from)?)?)
        }
        DeadLetter::Replay { config, given_up } => {
            let loaded = prepare(config.config.as_deref())?;
            if given_up.from.is_empty() {
                Ok(send_dead_letters(loaded)?)
            } else {
                Ok(send_given_up(loaded, &given_up.from)?)
            }
        }
    }
}

fn send_dead_letters(loaded: Loaded) -> anyhow::Result<()> {
    let (readings, files) = runtime()?.block_on(daemon::send_dead_letters(loaded))?;
    let mut out = io::stdout().lock();
    let told = files
        .iter()
        .try_for_each(|file| writeln!(out, "kept as {}", file.display()));
    told.and_then(|()| writeln!(out, "{readings} readings sent again"))
        .context("writing to standard output")
}

fn send_given_up(loaded: Loaded, from: &[PathBuf]) -> anyhow::Result<()> {
    let (readings, problems) = runtime()?.block_on(daemon::send_given_up(loaded, from))?;
    writeln!(io::stdout(), "{readings} readings sent again").context("writing to standard output")?;
    anyhow::ensure!(
        problems == 0,
        "not all could be sent: the log says {problems} times why"
    );
    Ok(())
}

fn list_dead_letters(dir: &Path, json: bool) -> anyhow::Result<()> {
    not_all(&DeadLetters::open(dir, "")?.list(&mut io::stdout().lock(), json)?)
}

/// A failure where something could not be listed.
fn not_all(problems: &[DeadLetterError]) -> anyhow::Result<()> {
    let mut err = io::stderr().lock();
    for problem in problems {
        writeln!(err, "{problem}")?;
        if let Some(cause) = std::error::Error::source(problem) {
            writeln!(err, "  {cause}")?;
        }
    }
    anyhow::ensure!(
        problems.is_empty(),
        "{} times something could not be read",
        problems.len()
    );
    Ok(())
}

/// Loads the settings, starts the log and says once what is in force.
fn prepare(config: Option<&Path>) -> Result<Loaded, Invalid> {
    let loaded = config::load(config)?;
    log::start(&loaded.settings.log).map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        Invalid(vec![format!("{}: {error}{cause}", loaded.origin)])
    })?;
    let (origin, version) = (&loaded.origin, env!("CARGO_PKG_VERSION"));
    info!(%origin, version, "starting");
    // There is nothing secret in the settings: credentials come from where every AWS SDK takes them.
    let effective = serde_json::to_string(&loaded.settings).expect("settings can be written as JSON");
    match origin {
        Origin::File(_) => info!(settings = effective, "settings in force"),
        // Who tries it out for the first time is not met by a wall of text.
        Origin::Embedded => debug!(settings = effective, "settings in force"),
    }
    for warning in loaded.settings.warnings() {
        warn!("{warning}");
    }
    Ok(loaded)
}

/// Says on standard error what went wrong, the whole chain of causes, once.
fn report(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Settings(invalid) => (Some(invalid.to_string()), ExitCode::from(BAD_CONFIGURATION)),
        Failure::Running(error) => (Some(format!("temp-ingest: {error:#}")), ExitCode::FAILURE),
        Failure::Unhealthy => (None, ExitCode::FAILURE),
    };
    if let Some(text) = text {
        let _ = writeln!(io::stderr(), "{text}");
    }
    code
}

/// True if the reader of the output has closed it, as `head` does, which is not a failure.
fn nobody_reads(error: &anyhow::Error) -> bool {
    let mut kinds = error.chain().filter_map(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        io.or_else(|| match cause.downcast_ref::<csv::Error>()?.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        })
    });
    kinds.any(|kind| kind == io::ErrorKind::BrokenPipe)
}

impl AboutIncidents {
    fn state(&self) -> &State {
        match self {
            Self::List { state, .. }
            | Self::Show { state, .. }
            | Self::Acknowledge { state, .. }
            | Self::Mute { state, .. } => state,
        }
    }
}

impl State {
    fn dir(&self) -> Result<PathBuf, Failure> {
        match &self.state_dir {
            Some(dir) => Ok(dir.clone()),
            None => {
                let loaded = config::load(self.config.config.as_deref())?;
                Ok(loaded.settings.state_dir().map_err(anyhow::Error::from)?)
            }
        }
    }
}
