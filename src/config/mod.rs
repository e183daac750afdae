//! What a person can set. Each module declares its own table; here they are composed, loaded and checked.

mod endpoints;
mod environment;
/// Where the daemon may keep what must outlive it.
pub mod state_dir;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spool::WhenFull;
use values::aws_name::{self, AwsName};
use values::byte_size::ByteSize;
use values::document::Document;
use values::duration::Within;
use values::problem::Problem;

use crate::config::state_dir::{NoStateDirectory, state_dir};
use crate::dashboard;
use crate::sink;
use crate::sink::kinesis::{Role, Target};
use crate::source::Sources;
use crate::source::settings::Kind;
use crate::telemetry::log;

/// The file that is read where none is named.
pub const SYSTEM_FILE: &str = "/etc/temp-ingest/config.toml";

/// What runs where no file is named and there is none in /etc: a simulated house beside a recorded series.
pub const EMBEDDED_DEFAULT: &str = include_str!("../../config/default.toml");

/// The largest record of a stream whose limit was not raised has to fit.
const LEAST_BUDGET: ByteSize = ByteSize::from_mebibytes(1);
const MOST_BUDGET: ByteSize = ByteSize::from_mebibytes(65_536);

/// All settings. Every key has a default; an unknown key is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where records go.
    pub sink: sink::Kind,
    /// How many lanes sensors are spread over.
    pub lanes: Lanes,
    /// How readings become records.
    pub aggregation: Aggregation,
    /// How long a reading may wait for others to share its record.
    pub linger: Within<1, 60_000>,
    /// How many bytes of readings may be in memory.
    pub budget: ByteSize,
    /// How long a drain may take before what is left goes to the spool.
    pub grace: Within<0, 3_600_000>,
    /// The stream, where the sink is Kinesis.
    pub kinesis: Kinesis,
    /// Where readings come from, by name.
    pub source: Sources,
    /// What counts as an anomaly, and when an incident ends: for the embedded handler.
    pub detect: detect::Settings,
    /// The HTTP endpoint of operators.
    pub dashboard: dashboard::Settings,
    /// Log lines.
    pub log: log::Settings,
    /// Where readings wait on disk.
    pub spool: spool::Settings,
}

/// How readings become records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Many readings of one lane in a record, in the KPL's format.
    #[default]
    Kpl,
    /// One reading a record, as plain JSON; every sensor is a lane of its own.
    None,
}

/// A number of lanes: a power of two from 1 to 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Lanes(u32);

/// A number of lanes that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a power of two from 1 to 65536; write 16, or the next power of two above the stream's shards")]
pub struct NotLanes(u32);

/// The `[kinesis]` table. Region, credentials and AWS_ENDPOINT_URL come from where every AWS SDK takes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kinesis {
    /// The stream's name or ARN.
    pub stream: Option<String>,
    /// The region, where it is not the environment's or the ARN's.
    pub region: Option<String>,
    /// FIPS endpoints; as the environment or the AWS profile says where it is not set.
    pub fips: Option<bool>,
    /// Endpoints with IPv6 addresses too; as the environment or the AWS profile says where it is not set.
    pub dual_stack: Option<bool>,
    /// The role in whose name records are put, such as one of the stream's account.
    pub role_arn: Option<String>,
    /// What that role's trust policy asks for, where it does.
    pub external_id: Option<String>,
    /// How long one request may take.
    pub timeout: Within<100, 300_000>,
    /// How many requests may be under way at once.
    pub max_requests: NonZeroU32,
    /// The first wait after a refusal; each further one may be twice as long.
    pub backoff_base: Within<1, 60_000>,
    /// The longest wait after a refusal.
    pub backoff_cap: Within<1, 600_000>,
    /// The size a record is packed up to, in bytes: one PUT payload unit is 25,600.
    pub target_bytes: TargetBytes,
}

/// The size a record is packed up to: from 1 KiB to 1 MiB, the limit of a stream's records unless it was raised.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TargetBytes(u32);

/// A target size that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a size from 1024 to 1048576 bytes; write 25600, one PUT payload unit")]
pub struct NotTargetBytes(u32);

/// Where settings came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(PathBuf),
    /// The default built into the program.
    Embedded,
}

/// Settings that hold, and where they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What is set.
    pub settings: Settings,
    /// The file, or the embedded default. A reload reads the same again.
    pub origin: Origin,
}

/// Everything that is wrong with the settings, each with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(pub Vec<String>);

/// Loads the named file, else the one in /etc, else the embedded default; then the environment; then checks all of it.
pub fn load(named: Option<&Path>) -> Result<Loaded, Invalid> {
    origin(named).load()
}

/// The same without the checks: for who asks a daemon that runs with these settings, and may not read its secrets.
pub fn load_unchecked(named: Option<&Path>) -> Result<Settings, Invalid> {
    origin(named).read(unchecked)
}

fn origin(named: Option<&Path>) -> Origin {
    match named {
        Some(file) => Origin::File(file.into()),
        None if Path::new(SYSTEM_FILE).exists() => Origin::File(SYSTEM_FILE.into()),
        None => Origin::Embedded,
    }
}

impl Origin {
    /// Loads from here, then from the environment, and checks all of it.
    pub fn load(&self) -> Result<Loaded, Invalid> {
        let settings = self.read(checked)?;
        if settings.sink == sink::Kind::Kinesis {
            let problems = endpoints::check(std::env::vars_os());
            if !problems.is_empty() {
                return Err(Invalid(problems));
            }
        }
        Ok(Loaded {
            settings,
            origin: self.clone(),
        })
    }

    fn read(&self, read: Read) -> Result<Settings, Invalid> {
        let variables = environment::Variables::of_process().map_err(Invalid)?;
        match self {
            Self::Embedded => read(&self.to_string(), EMBEDDED_DEFAULT, &variables),
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    Invalid(vec![format!(
                        "{}: reading the configuration: {error}; name a file that exists with --config, \
                         or leave --config out to run the embedded default",
                        path.display()
                    )])
                })?;
                read(&self.to_string(), &text, &variables)
            }
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Embedded => f.write_str("embedded default"),
        }
    }
}

/// Makes settings of a text by this name and of variables.
type Read = fn(&str, &str, &environment::Variables) -> Result<Settings, Invalid>;

fn unchecked(name: &str, text: &str, variables: &environment::Variables) -> Result<Settings, Invalid> {
    Document::new(name, text).parse::<Settings>().map_err(Invalid)?;
    variables.overlay(text).map_err(Invalid)
}

fn checked(name: &str, text: &str, variables: &environment::Variables) -> Result<Settings, Invalid> {
    let settings = unchecked(name, text, variables)?;
    let document = Document::new(name, text);
    let problems = settings.check();
    if problems.is_empty() {
        return Ok(settings);
    }
    Err(Invalid(
        problems
            .iter()
            .map(|problem| match variables.setting(&problem.key) {
                Some(variable) if problem.value.is_empty() => format!("{variable}: {}", problem.remedy),
                Some(variable) => format!("{variable} = {}: {}", problem.value, problem.remedy),
                None => document.describe(problem),
            })
            .collect(),
    ))
}

impl Settings {
    /// All that contradicts each other.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let kinesis = &self.kinesis;
        if !(LEAST_BUDGET..=MOST_BUDGET).contains(&self.budget) {
            let remedy = format!("out of range; write a size from {LEAST_BUDGET} to {MOST_BUDGET}, such as \"32MiB\"");
            problems.push(Problem::new("budget", self.budget, remedy));
        }
        if self.sink == sink::Kind::Kinesis && kinesis.stream.as_deref().is_none_or(str::is_empty) {
            let remedy = "sink = \"kinesis\" needs a stream; write its name or its ARN";
            problems.push(Problem::new("kinesis.stream", "", remedy));
        }
        if kinesis.backoff_base.get() > kinesis.backoff_cap.get() {
            let remedy = format!(
                "longer than kinesis.backoff_cap = {}; shorten it, or lengthen the cap",
                kinesis.backoff_cap
            );
            problems.push(Problem::new("kinesis.backoff_base", kinesis.backoff_base, remedy));
        }
        problems.extend(kinesis.name_problems());
        self.dashboard.check(&mut problems);
        for (name, source) in &self.source {
            if name.is_empty()
                || name.contains("__")
                || name.contains(|letter: char| letter.is_ascii_uppercase() || letter == '.')
            {
                let remedy = "the environment cannot address it; use lower-case letters, digits, - and single _";
                problems.push(Problem::new(format!("source.{name}"), "", remedy));
            }
            source.check(name, &mut problems);
        }
        self.check_ports(&mut problems);
        problems
    }

    /// Finds ports that two parts want.
    fn check_ports(&self, problems: &mut Vec<Problem>) {
        let mut taken = vec![("dashboard.listen".to_owned(), self.dashboard.listen)];
        for (name, source) in &self.source {
            let Some(address) = source.listen.map(|listen| listen.0) else {
                continue;
            };
            let key = format!("source.{name}.listen");
            let clash = taken.iter().find(|(_, other)| clashes(*other, address));
            if let Some((other, _)) = clash {
                let remedy = format!("is the port of {other} too: write another one");
                problems.push(Problem::new(&key, format!("\"{address}\""), remedy));
            }
            taken.push((key, address));
        }
    }

    /// Where the spool lies.
    pub fn spool_dir(&self) -> Result<PathBuf, NoStateDirectory> {
        match &self.spool.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(state_dir()?.join("spool")),
        }
    }

    /// Where everything is kept that outlives the daemon: the folder that the spool's is in.
    pub fn state_dir(&self) -> Result<PathBuf, NoStateDirectory> {
        let spool = self.spool_dir()?;
        Ok(spool.parent().unwrap_or(&spool).to_owned())
    }

    /// What holds, but is hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, source) in &self.source {
            let exposed = source.listen.is_some_and(|listen| !listen.0.ip().is_loopback());
            if exposed && source.tls_certificate.is_none() {
                warnings.push(format!(
                    "source.{name}.listen can be reached from other machines without TLS: tokens and readings travel in the \
                     clear; set tls_certificate and tls_key, unless something before it speaks TLS"
                ));
            }
        }
        let answering = self.source.iter().find(|(_, source)| source.kind == Some(Kind::Http));
        if let Some((name, _)) = answering
            && self.spool.when_full == WhenFull::DropOldest
        {
            warnings.push(format!(
                "spool.when_full = \"drop_oldest\" may give up readings that clients of source.{name} were told are safe; \
                 with \"block\" they are asked to come back instead"
            ));
        }
        if !self.dashboard.listen.ip().is_loopback() && self.dashboard.token_file.is_some() {
            let text = "dashboard.listen can be reached from other machines without TLS: tokens travel in the clear; listen on \
                        127.0.0.1 and use `ssh -L`, or put a proxy with TLS in front of it";
            warnings.push(text.to_owned());
        }
        if self.source.is_empty() {
            let text = "there is no [source.NAME] table: run sends what is in the spool and ends";
            warnings.push(text.to_owned());
        }
        warnings
    }
}

/// True where both addresses cannot be bound at once. Port 0 takes any free one.
fn clashes(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_host
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sink: sink::Kind::default(),
            lanes: Lanes::default(),
            aggregation: Aggregation::default(),
            linger: Within::from_millis(500),
            budget: ByteSize::from_mebibytes(32),
            grace: Within::from_millis(25_000),
            kinesis: Kinesis::default(),
            source: Sources::default(),
            detect: detect::Settings::default(),
            dashboard: dashboard::Settings::default(),
            log: log::Settings::default(),
            spool: spool::Settings::default(),
        }
    }
}

impl Kinesis {
    /// Names that AWS would refuse, or that contradict each other.
    pub fn name_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names = [
            // That it is missing is said where it is needed.
            (
                AwsName::Stream,
                "stream",
                self.stream.as_deref().filter(|stream| !stream.is_empty()),
            ),
            (AwsName::Region, "region", self.region.as_deref()),
            (AwsName::Role, "role_arn", self.role_arn.as_deref()),
            (AwsName::ExternalId, "external_id", self.external_id.as_deref()),
        ];
        for (name, key, text) in names {
            problems.extend(text.and_then(|text| name.problem(&format!("kinesis.{key}"), text)));
        }
        if self.external_id.is_some() && self.role_arn.is_none() {
            let remedy = "there is no role that could ask for it; set kinesis.role_arn, or remove it";
            problems.push(Problem::new("kinesis.external_id", "", remedy));
        }
        let in_arn = self.stream.as_deref().and_then(aws_name::region_of);
        if let (Some(region), Some(in_arn)) = (&self.region, in_arn)
            && region != in_arn
        {
            let remedy = format!("the ARN of kinesis.stream is in {in_arn}; remove this key, or correct one of them");
            problems.push(Problem::new("kinesis.region", format!("{region:?}"), remedy));
        }
        problems
    }

    /// The stream and how it is reached.
    pub fn target(&self) -> Target {
        Target {
            stream: self.stream.clone().unwrap_or_default(),
            region: self.region.clone(),
            timeout: self.timeout.get(),
            fips: self.fips,
            dual_stack: self.dual_stack,
            role: self.role_arn.clone().map(|arn| Role {
                arn,
                external_id: self.external_id.clone(),
            }),
        }
    }
}

impl Default for Kinesis {
    fn default() -> Self {
        Self {
            stream: None,
            region: None,
            fips: None,
            dual_stack: None,
            role_arn: None,
            external_id: None,
            timeout: Within::from_millis(10_000),
            max_requests: NonZeroU32::new(8).expect("eight is not zero"),
            backoff_base: Within::from_millis(100),
            backoff_cap: Within::from_millis(10_000),
            target_bytes: TargetBytes(25_600),
        }
    }
}

impl Lanes {
    /// How many.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self(16)
    }
}

impl TryFrom<u32> for Lanes {
    type Error = NotLanes;

    fn try_from(lanes: u32) -> Result<Self, NotLanes> {
        if lanes.is_power_of_two() && lanes <= 65_536 {
            Ok(Self(lanes))
        } else {
            Err(NotLanes(lanes))
        }
    }
}

impl From<Lanes> for u32 {
    fn from(lanes: Lanes) -> Self {
        lanes.0
    }
}

impl TargetBytes {
    /// How many bytes.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u32> for TargetBytes {
    type Error = NotTargetBytes;

    fn try_from(bytes: u32) -> Result<Self, NotTargetBytes> {
        if (1024..=1_048_576).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(NotTargetBytes(bytes))
        }
    }
}

impl From<TargetBytes> for u32 {
    fn from(bytes: TargetBytes) -> Self {
        bytes.0
    }
}

#[cfg(test)]
mod tests;
