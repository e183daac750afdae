//! The command line, declared: commands, their arguments and what `--help` says of them.

use std::env;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use values::duration::Within;
use wire::Timestamp;

use crate::cli::backtest::Options;
use crate::cli::backtest::columns::Wanted;
use crate::cli::backtest::table::Described;
use crate::cli::backtest::time_format::{TimeFormat, Zone};
use crate::cli::cost::{Format, Load};

/// Takes readings from many sensors, puts them into Kinesis in order, tells of anomalies, loses nothing.
///
/// Without a configuration it runs a simulated house on this machine alone: temp-ingest run
#[derive(Debug, Parser)]
#[command(name = "temp-ingest", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 clean, 1 failed while running, 78 bad configuration or command line.\n\
    Environment: TEMP_INGEST__SECTION__KEY overrides a key of the configuration, such as TEMP_INGEST__DASHBOARD__LISTEN.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    /// Send one reading through the running daemon, and wait until its sink has it
    ///
    /// Asks the daemon that listens at dashboard.listen, so that the reading goes the way of all others: the same process, the
    /// same credentials, the same stream. A reading that only reached the spool is not delivered, and another is tried.
    /// The reading is of a sensor named canary- and a number, and of the kind "canary". Exits with 1 where none arrives.
    Canary(Canary),
    /// Readings of a profile as JSON lines on standard output; the same arguments give the same bytes
    Simulate(Simulate),
    /// The detectors over your own history, in one pass without looking ahead
    ///
    /// Reads CSV, or readings in JSON lines, and finds out how it is written by the first rows: what stands between columns,
    /// which are times, values and sensors, and how times are written. It says what it found; what could mean two things it
    /// asks for. Writes timestamp,value,anomaly_score,incident to standard output, a row for each row, and a summary to
    /// standard error. A score of 2 is an alert. Where rows name their sensors, the name is the second column.
    Backtest(Backtest),
    /// List, show, acknowledge and mute incidents, of the embedded store or of the functions in AWS
    Incidents(Incidents),
    /// What the functions in AWS kept of a sensor's readings, with the score of each
    Readings(Readings),
    /// What a load takes of AWS and costs a month, aggregated and plain, provisioned and on demand
    ///
    /// The prices are those of us-east-1 and of the day that is printed. What had to be guessed is printed too.
    Cost(Cost),
    /// What could not be delivered, and why
    #[command(subcommand)]
    DeadLetter(DeadLetter),
    /// Completions of the command line for a shell, on standard output
    Completions {
        /// For which
        shell: Shell,
    },
    /// The manual, on standard output: temp-ingest man | man -l -
    Man {
        /// Write it into this directory instead, a page for each command
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Config {
    /// The configuration. Without it: /etc/temp-ingest/config.toml where that exists, else the embedded default
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Canary {
    #[command(flatten)]
    pub(super) config: Config,
    /// How long to wait for the delivery
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) within: Within<1_000, 3_600_000>,
}

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// What is simulated: temperature, wind, clickstream, app_log, or a profile file
    #[arg(long, value_name = "NAME")]
    pub(super) profile: simulate::Choice,
    /// How many sensors
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) sensors: NonZeroU32,
    /// How many readings of all sensors together. Without it: until nobody reads on
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Another seed gives other readings
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
    /// Where the truth about injected faults goes, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(super) labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Readings {
    /// Its name, as incidents show it
    pub(super) sensor: String,
    /// The table of readings: the output ReadingsTableName of the stack of data.yaml
    #[arg(long, value_name = "NAME")]
    pub(super) table: String,
    /// How far back
    #[arg(long, value_name = "DURATION", default_value = "1h", conflicts_with_all = ["from", "to"])]
    pub(super) last: Within<1_000, 315_360_000_000>,
    /// From this instant on, such as 2024-05-01T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<Timestamp>,
    /// Before this instant. Without it: until now
    #[arg(long, value_name = "TIME", requires = "from")]
    pub(super) to: Option<Timestamp>,
    /// CSV with the columns timestamp, value and anomaly_score. Without it: JSON, a reading a line, which replay reads
    #[arg(long)]
    pub(super) csv: bool,
}

#[derive(Debug, Args)]
pub(super) struct Backtest {
    /// The history; - reads standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The column of the time, by name or number from 1; given twice, a date and a time of day
    #[arg(long, value_name = "COLUMN")]
    pub(super) time: Vec<String>,
    /// The column of the value; given several times, they are judged together as one vector
    #[arg(long, value_name = "COLUMN")]
    pub(super) value: Vec<String>,
    /// The column of the sensor's name
    #[arg(long, value_name = "COLUMN")]
    pub(super) sensor: Option<String>,
    /// The column of the sensor's group, such as a room or a site
    #[arg(long, value_name = "COLUMN")]
    pub(super) group: Option<String>,
    /// What stands between columns: one character, or tab
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(super) delimiter: Option<u8>,
    /// How times are written: strptime directives, or iso8601, rfc2822, unix, unix-ms, unix-us or unix-ns
    #[arg(long, value_name = "FORMAT")]
    pub(super) time_format: Option<TimeFormat>,
    /// The zone of times that name none, such as Europe/Berlin
    ///
    /// A time that the clocks skip in spring is read as much later as they are set forward. One that they show twice in
    /// autumn is the one nearer to the row before it.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(super) zone: Zone,
    /// Where the scored rows go instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Draw it: values, what was expected, scores and incidents
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Tell all incidents in the order they opened, not only the worst
    #[arg(long)]
    pub(super) all: bool,
    /// The summary as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// What was measured: temperature or wind. Without it: what the column is called
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<simulate::Name>,
    /// The configuration whose [detect] table is used
    #[command(flatten)]
    pub(super) config: Config,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r') => {
            Ok(*byte)
        }
        _ => Err("use one character that is neither a letter, a digit nor a quote, or: tab".into()),
    }
}

#[derive(Debug, Args)]
pub(super) struct Cost {
    /// Readings a second, of all sensors together
    #[arg(long, value_name = "READINGS_PER_S")]
    pub(super) rate: f64,
    /// Bytes of a reading as JSON
    #[arg(long, value_name = "BYTES")]
    pub(super) size: u32,
    /// How many sensors. Without it: as many as give a reading a second each
    #[arg(long, value_name = "N")]
    pub(super) sensors: Option<u64>,
    /// Lanes of the daemon. Without it: 16, or 4 to a shard
    #[arg(long, value_name = "N")]
    pub(super) lanes: Option<u32>,
    /// Milliseconds a reading may wait for others to share its record
    #[arg(long, value_name = "MS", default_value_t = Load::default().linger_ms)]
    pub(super) linger: u32,
    /// Most records an invocation
    #[arg(long, value_name = "RECORDS", default_value_t = Load::default().batch_size)]
    pub(super) batch_size: u32,
    /// Seconds that records are gathered for an invocation
    #[arg(long, value_name = "S", default_value_t = Load::default().batch_window)]
    pub(super) batch_window: u32,
    /// Invocations of a shard at once
    #[arg(long, value_name = "N", default_value_t = Load::default().parallelization)]
    pub(super) parallelization: u32,
    /// Memory of each function
    #[arg(long, value_name = "MB", default_value_t = Load::default().memory)]
    pub(super) memory: u32,
    /// Anomalies of all sensors together. Without it: one a sensor
    #[arg(long, value_name = "N")]
    pub(super) anomalies_per_day: Option<f64>,
    /// Email subscriptions of the topic
    #[arg(long, value_name = "N", default_value_t = Load::default().emails)]
    pub(super) emails: u32,
    /// SMS subscriptions of the topic
    #[arg(long, value_name = "N", default_value_t = Load::default().sms)]
    pub(super) sms: u32,
    /// Days that every reading is kept in a table; 0: none is
    #[arg(long, value_name = "DAYS", default_value_t = Load::default().readings_days)]
    pub(super) readings_days: u32,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct State {
    /// The folder where the daemon keeps its state. Without it: the one of the configuration
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: Config,
}

#[derive(Debug, Args)]
pub(super) struct Incidents {
    /// The DynamoDB table the functions keep incidents in. Without it: the embedded store of this machine
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) table: Option<String>,
    #[command(subcommand)]
    pub(super) about: AboutIncidents,
}

#[derive(Debug, Subcommand)]
pub(super) enum AboutIncidents {
    /// All incidents, open ones first
    List {
        /// Only those of the sensors of this group (room, site, gateway)
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
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
pub(super) type Mute = Within<1_000, 31_536_000_000>;

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetter {
    /// All dead letters: when, how many readings, and why
    List {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        given_up: GivenUp,
        /// JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Send everything again through the configured sink, under new identities; ends when all is delivered
    ///
    /// Dead letters of the daemon are sent once. Objects named by --from stay as they are: sent twice, the second time their
    /// readings are late, which is counted and changes nothing.
    Replay {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        given_up: GivenUp,
    },
}

/// What Lambda gave up, instead of the daemon's own dead letters.
#[derive(Debug, Args)]
pub(super) struct GivenUp {
    /// Objects of the functions' failure destination, or folders of them, instead of the daemon's own dead letters
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) from: Vec<PathBuf>,
}

impl From<Backtest> for Options {
    fn from(backtest: Backtest) -> Self {
        let standard = backtest.file.as_os_str() == "-";
        let name = backtest.file.file_stem().unwrap_or_default().to_string_lossy();
        Self {
            path: if standard {
                "standard input".into()
            } else {
                backtest.file.display().to_string()
            },
            wanted: Wanted {
                time: backtest.time,
                value: backtest.value,
                sensor: backtest.sensor,
                group: backtest.group,
                delimiter: backtest.delimiter,
                time_format: backtest.time_format,
            },
            described: Described {
                sensor: if standard { "history".into() } else { name.into_owned() },
                kind: backtest.profile.map(|profile| profile.as_str().to_owned()),
            },
            zone: backtest.zone,
        }
    }
}

impl From<Cost> for Load {
    fn from(cost: Cost) -> Self {
        Self {
            rate: cost.rate,
            size: cost.size,
            sensors: cost.sensors,
            lanes: cost.lanes,
            linger_ms: cost.linger,
            batch_size: cost.batch_size,
            batch_window: cost.batch_window,
            parallelization: cost.parallelization,
            memory: cost.memory,
            anomalies_per_day: cost.anomalies_per_day,
            emails: cost.emails,
            sms: cost.sms,
            readings_days: cost.readings_days,
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
    use std::sync::Arc;

    use clap::Parser;
    use detect::{Change, Kinds, Transition, Worst};
    use processor::Message;
    use processor::episodes::{Group, Notification};
    use wire::{Sensor, Timestamp, Value};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_a_message_says_can_be_typed() {
        let transition = Transition {
            sensor: Arc::new(Sensor::new("DHT_001", "Temperature")),
            since: Timestamp::default(),
            number: 1,
            change: Change::Opened,
            kinds: Kinds::ABOVE,
            now: Kinds::ABOVE,
            value: Value::Scalar(104.2),
            expected: None,
            lasting: None,
            peak: 3.0,
            worst: Worst {
                time: Timestamp::default(),
                kinds: Kinds::ABOVE,
                value: Value::Scalar(104.2),
                expected: None,
                lasting: None,
            },
            anomalies: 1,
            time: Timestamp::default(),
        };
        let mut other = transition.clone();
        other.sensor = Arc::new(Sensor::new("DHT_002", "Temperature"));
        let tellings = Group::default().take(&[(&transition, false), (&other, false)]).pop();
        let Some(Notification::Group(report)) = tellings else {
            panic!("two at once are told together")
        };
        for prefix in ["temp-ingest incidents", "temp-ingest incidents --table incidents-1"] {
            let one = Message::of(&transition, prefix).text;
            let several = Message::of_group("hall", &report, prefix).text;
            let commands = |text: &str| -> Vec<String> {
                let found = text
                    .lines()
                    .filter_map(|line| line.find(prefix).map(|at| line[at..].to_owned()));
                found.collect()
            };
            assert_eq!(
                (commands(&one).len(), commands(&several).len()),
                (3, 1),
                "{one}{several}"
            );
            for command in commands(&one).into_iter().chain(commands(&several)) {
                let parsed = Cli::try_parse_from(command.split(' '));
                assert!(
                    parsed.is_ok(),
                    "{command}: {}",
                    parsed.err().map(|error| error.to_string()).unwrap_or_default()
                );
            }
        }
    }
}
