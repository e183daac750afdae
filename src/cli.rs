//! The command line: what each command takes, and how its end becomes an exit code. What commands do stands elsewhere.

use std::env;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tracing::{debug, info, warn};

use crate::dead_letter::DeadLetters;
use crate::duration::Within;
use crate::incidents::{self, Format};
use crate::settings::{self, Invalid, Loaded, Origin};
use crate::simulate::simulate;
use crate::{clock, daemon, doctor, log, profile};

/// The exit code of a configuration or a command line that does not hold: EX_CONFIG of sysexits.h. The unit does not
/// start again after it.
const BAD_CONFIGURATION: u8 = 78;

/// Takes readings from many sensors, puts them into Kinesis in order, tells of anomalies, loses nothing.
///
/// Without a configuration it runs a simulated house on this machine alone: temp-ingest run
#[derive(Debug, Parser)]
#[command(name = "temp-ingest", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 clean, 1 failed while running, 78 bad configuration or command line.\n\
    Environment: TEMP_INGEST__SECTION__KEY overrides a key of the configuration, such as TEMP_INGEST__ADMIN__LISTEN.";

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon: take readings, deliver them, tell of incidents
    ///
    /// Ends on SIGTERM and SIGINT, or when every source is spent, after delivering or spooling all it took. SIGHUP reloads
    /// the sources.
    Run(Config),
    /// Load and validate the configuration; print every problem with its file, line and remedy
    ///
    /// Touches no network. Exits with 78 where something is wrong.
    Check(Config),
    /// Look at all the daemon needs: credentials, stream, permission, clock, directories, ports
    ///
    /// One line each: ok, or how to mend it. Writes no reading. Exits with 1 where something is bad.
    Doctor(Config),
    /// Readings of a profile as JSON lines on standard output; the same arguments give the same bytes
    Simulate(Simulate),
    /// List, show, acknowledge and mute incidents of the embedded store
    #[command(subcommand)]
    Incidents(Incidents),
    /// What could not be delivered, and why
    #[command(subcommand)]
    DeadLetter(DeadLetter),
}

#[derive(Debug, Args)]
struct Config {
    /// The configuration. Without it: /etc/temp-ingest/config.toml where that exists, else the embedded default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Simulate {
    /// What is measured: temperature or wind
    #[arg(long, value_name = "NAME")]
    profile: profile::Name,
    /// How many sensors
    #[arg(long, value_name = "N", default_value = "1")]
    sensors: NonZeroU32,
    /// How many readings of all sensors together. Without it: until nobody reads on
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Another seed gives other readings
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where the truth about injected faults goes, as JSON lines
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct State {
    /// The folder where the daemon keeps its state. Without it: the one of the configuration
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Incidents {
    /// All incidents, open ones first
    List {
        #[command(flatten)]
        state: State,
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// One incident with its moments and its latest anomalies
    Show {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        state: State,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Note that somebody has seen an incident
    Acknowledge {
        /// Its id, or the beginning of it
        id: String,
        /// Who has seen it
        #[arg(long, value_name = "NAME", default_value_t = user())]
        by: String,
        #[command(flatten)]
        state: State,
    },
    /// Send no messages about a sensor or an incident for a while; both are kept all the same
    Mute {
        /// A sensor's id, or an incident's id or the beginning of it
        target: String,
        /// For how long, such as 2h or 90m
        #[arg(long = "for", value_name = "DURATION")]
        duration: Mute,
        #[command(flatten)]
        state: State,
    },
}

/// From a second to a year: a mute has an end.
type Mute = Within<1_000, 31_536_000_000>;

#[derive(Debug, Subcommand)]
enum DeadLetter {
    /// All dead letters: when, how many readings, and why
    List {
        #[command(flatten)]
        state: State,
        /// The lines of the file instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Send everything again through the configured sink, under new identities; ends when all is delivered
    Replay(Config),
}

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
    Told,
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
        Command::Simulate(what) => Ok(simulated(&what)?),
        Command::Incidents(command) => of_incidents(command),
        Command::DeadLetter(command) => of_dead_letters(command),
    }
}

fn run_daemon(at: &Config) -> Result<(), Failure> {
    let loaded = prepare(at.config.as_deref())?;
    Ok(runtime()?.block_on(daemon::run(loaded))?)
}

/// Two threads do: one for the pipeline, one for the requests under way.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")
}

fn check(at: &Config) -> Result<(), Failure> {
    let loaded = settings::load(at.config.as_deref())?;
    let mut out = io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").context("writing to standard output");
    for warning in loaded.settings.warnings() {
        say(format!("{}: warning: {warning}", loaded.origin))?;
    }
    Ok(say(format!("{}: the settings hold", loaded.origin))?)
}

fn examine(at: &Config) -> Result<(), Failure> {
    let loaded = settings::load(at.config.as_deref())?;
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
    if healthy { Ok(()) } else { Err(Failure::Told) }
}

fn simulated(what: &Simulate) -> anyhow::Result<()> {
    let labels = match &what.labels {
        Some(path) => Some(File::create(path).with_context(|| format!("making {}", path.display()))?),
        None => None,
    };
    let mut labels = labels.map(BufWriter::new);
    let mut out = io::stdout().lock();
    simulate(
        what.profile,
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

fn of_incidents(command: Incidents) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let format = |json| if json { Format::Json } else { Format::Text };
    let done = match command {
        Incidents::List { state, json } => incidents::list(&state.dir()?, format(json), &mut out),
        Incidents::Show { id, state, json } => incidents::show(&state.dir()?, &id, format(json), &mut out),
        Incidents::Acknowledge { id, by, state } => {
            incidents::acknowledge(&state.dir()?, &id, &by, clock::now(), &mut out)
        }
        Incidents::Mute {
            target,
            duration,
            state,
        } => incidents::mute(&state.dir()?, &target, duration.get(), clock::now(), &mut out),
    };
    Ok(done.map_err(anyhow::Error::from)?)
}

fn of_dead_letters(command: DeadLetter) -> Result<(), Failure> {
    match command {
        DeadLetter::List { state, json } => Ok(list_dead_letters(&state.dir()?, json)?),
        DeadLetter::Replay(at) => {
            let loaded = prepare(at.config.as_deref())?;
            let (readings, files) = runtime()?.block_on(daemon::send_dead_letters(loaded))?;
            let mut out = io::stdout().lock();
            let told = files
                .iter()
                .try_for_each(|file| writeln!(out, "kept as {}", file.display()));
            let told = told.and_then(|()| writeln!(out, "{readings} readings sent again"));
            Ok(told.context("writing to standard output")?)
        }
    }
}

fn list_dead_letters(dir: &Path, json: bool) -> anyhow::Result<()> {
    let malformed = DeadLetters::open(dir, "")?.list(&mut io::stdout().lock(), json)?;
    for error in &malformed {
        writeln!(io::stderr(), "{error}")?;
    }
    anyhow::ensure!(malformed.is_empty(), "{} lines are no dead letters", malformed.len());
    Ok(())
}

/// Loads the settings, starts the log and says once what is in force.
fn prepare(config: Option<&Path>) -> Result<Loaded, Invalid> {
    let loaded = settings::load(config)?;
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
        Failure::Told => (None, ExitCode::FAILURE),
    };
    if let Some(text) = text {
        let _ = writeln!(io::stderr(), "{text}");
    }
    code
}

/// True where whoever read the output has gone, as `head` does: that is no failure.
fn nobody_reads(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

impl State {
    fn dir(self) -> Result<PathBuf, Failure> {
        match self.state_dir {
            Some(dir) => Ok(dir),
            None => {
                let loaded = settings::load(self.config.config.as_deref())?;
                Ok(loaded.settings.state_dir().map_err(anyhow::Error::from)?)
            }
        }
    }
}

fn user() -> String {
    env::var("USER")
        .or_else(|_| env::var("LOGNAME"))
        .unwrap_or_else(|_| "operator".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
