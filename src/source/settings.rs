//! One source's table in the configuration. One flat table for all kinds, so that every error keeps its line; which keys
//! belong to which kind is checked here, and what comes out is a configuration without optional parts.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use values::byte_size::ByteSize;
use values::duration::Within;
use values::number::{Amount, Correlation, Interval, Level, Shape, Speed};
use values::problem::Problem;
use wire::Timestamp;

use crate::source::admission;
use crate::source::http::Listen;
use crate::source::mqtt::{Devices, Format, Protocol};

/// The table `[source.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the source is. Required.
    pub kind: Option<Kind>,

    /// simulate: what is measured, or a profile file: a template of events. Required.
    pub profile: Option<simulate::Choice>,
    /// simulate: how many sensors. Default 1.
    pub sensors: Option<NonZeroU32>,
    /// simulate: the event time between two readings of a sensor. Default `"1s"`.
    pub interval: Option<Interval>,
    /// simulate, events: how many a second of each sensor. Default: the profile's.
    pub rate: Option<simulate::template::Rate>,
    /// simulate: the same seed and sensor id give the same series. Default 0.
    pub seed: Option<u64>,
    /// simulate: end after so many readings of all sensors together. Default: never.
    pub count: Option<NonZeroU64>,
    /// simulate: event time of the first reading. Default: now.
    pub start: Option<Start>,
    /// simulate: what sensor ids begin with, before their number. Default: the source's name and a dash.
    pub prefix: Option<String>,
    /// simulate: injected faults a sensor and day of healthy event time. Default 0. Of a profile file: what it says under
    /// `[anomaly]`, if anything.
    pub faults: Option<Amount>,
    /// simulate: the JSON form of the readings. `"device"` is the DHT record, and makes its figures the profile's defaults.
    pub form: Option<Form>,
    /// simulate: digits after the decimal point. Default: the profile's.
    pub decimals: Option<Decimals>,
    /// simulate: values below are anomalies.
    pub lowest: Option<Level>,
    /// simulate: values above are anomalies.
    pub highest: Option<Level>,
    /// simulate: how much of one reading's noise is in the next.
    pub correlation: Option<Correlation>,
    /// simulate, temperature: the value around which all swings.
    pub mean: Option<Level>,
    /// simulate, temperature: the standard deviation of the noise.
    pub noise: Option<Amount>,
    /// simulate, temperature: how far the day swings either way, warmest at 15:00 UTC.
    pub daily: Option<Amount>,
    /// simulate, temperature: how far the year swings either way, warmest in mid July.
    pub yearly: Option<Amount>,
    /// simulate, temperature: the standard deviation of the fixed offset of each device.
    pub spread: Option<Amount>,
    /// simulate, wind: the scale of the Weibull distribution, in m/s.
    pub scale: Option<Amount>,
    /// simulate, wind: the shape of the Weibull distribution.
    pub shape: Option<Shape>,
    /// simulate, wind: gusts an hour.
    pub gusts: Option<Amount>,

    /// replay: the file, or `example:NAME` for one that is built in. Required.
    pub path: Option<PathBuf>,
    /// replay: what becomes of event times. Default: `"shift"` at a factor, `"keep"` at `"max"`.
    pub times: Option<Times>,

    /// http: the address and port readings are posted to. Required. Beyond this machine it needs `token_file`.
    pub listen: Option<Listen>,
    /// http: a file of bearer tokens, one a line. Default: everybody is let in.
    pub token_file: Option<PathBuf>,
    /// http: the certificate of TLS and those that vouch for it, as PEM. Default: plain connections.
    pub tls_certificate: Option<PathBuf>,
    /// http: the key of `tls_certificate`, as PEM. mqtt: the key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// http: how long a client waits until its readings are safe. Default `"30s"`.
    pub reply_timeout: Option<Within<100, 600_000>>,
    /// http: how long the headers of a request may take. Default `"10s"`.
    pub header_timeout: Option<Within<100, 600_000>>,
    /// http: how long the body of a request may take. Default `"30s"`.
    pub body_timeout: Option<Within<100, 600_000>>,
    /// http: how long a connection stays open between two requests. Default `"75s"`.
    pub idle_timeout: Option<Within<100, 3_600_000>>,
    /// http: bytes of a body, unpacked. Default `"1MiB"`.
    pub max_body: Option<ByteSize>,
    /// http: bytes of all bodies under way; one client may have half of them. Default `"64MiB"`.
    pub max_bodies: Option<ByteSize>,
    /// http: readings of a request. Default 10,000.
    pub max_readings: Option<NonZeroU32>,
    /// http: bytes of the headers of a request. Default `"16KiB"`.
    pub max_headers: Option<ByteSize>,
    /// http: connections in all. Default 1,024.
    pub max_connections: Option<NonZeroU32>,
    /// http: connections of one client address, or of one IPv6 network of 64 bits. Default 64.
    pub max_client_connections: Option<NonZeroU32>,
    /// http: Idempotency-Keys that are remembered. Default 10,000.
    pub idempotency_keys: Option<NonZeroU32>,
    /// http: how long they are remembered. Default `"10m"`.
    pub idempotency_time: Option<Within<1_000, 86_400_000>>,

    /// http, mqtt and stdin: sensors that were not heard before, an hour; readings of others are refused. Default 10,000.
    pub max_new_sensors_per_hour: Option<NonZeroU32>,

    /// mqtt: the brokers, tried in turn: `"tcp://HOST:1883"`, or `"ssl://HOST:8883"` for TLS. Required.
    pub servers: Option<Vec<String>>,
    /// mqtt: whose topics and payloads are the defaults of the other keys.
    pub devices: Option<Devices>,
    /// mqtt: topic filters, whose levels may have names: `"{site}/{device}"`. Required without `devices`.
    pub topics: Option<Vec<String>>,
    /// mqtt: topic filters of messages to pass over.
    pub ignore_topics: Option<Vec<String>>,
    /// mqtt: 1 (default) is acknowledged once a reading is safe, 0 never; 2 is taken as 1.
    pub qos: Option<u8>,
    /// mqtt: `"3.1.1"` (default) or `"5"`.
    pub protocol: Option<Protocol>,
    /// mqtt: what the broker knows the session by. Default: one drawn at the first start, and kept.
    pub client_id: Option<String>,
    /// mqtt: the broker keeps messages while the daemon is away. Default true.
    pub persistent_session: Option<bool>,
    /// mqtt, protocol 5: for how long. Default a week.
    pub session_expiry: Option<Within<1_000, 31_536_000_000>>,
    /// mqtt: the name to log in with.
    pub username: Option<String>,
    /// mqtt: the file with its password; a relative one is of the unit's credentials, where there are any.
    pub password_file: Option<PathBuf>,
    /// mqtt: the password may leave this machine without TLS. Default false.
    pub password_in_clear: Option<bool>,
    /// mqtt: who signs brokers' certificates, in PEM. Default: the system's authorities.
    pub tls_ca: Option<PathBuf>,
    /// mqtt: the certificate that shows who we are, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// mqtt: the longest silence before the broker is asked whether it is there. Default `"60s"`.
    pub keep_alive: Option<Within<1_000, 3_600_000>>,
    /// mqtt: how long connecting may take, and each answer. Default `"30s"`.
    pub connection_timeout: Option<Within<100, 300_000>>,
    /// mqtt: messages that may wait for their acknowledgement. Default 1000.
    pub max_undelivered_messages: Option<NonZeroU16>,
    /// mqtt: the largest message; larger ones are passed over. Default `"256KiB"`.
    pub max_message_bytes: Option<ByteSize>,
    /// mqtt: what payloads look like. Default `"auto"`.
    pub format: Option<Format>,
    /// mqtt: the fields of an object that are readings, `*` for any text. Default: all numbers.
    pub fields: Option<Vec<String>>,
    /// mqtt: fields that are none.
    pub ignore_fields: Option<Vec<String>>,
    /// mqtt: the units of fields, by their names.
    pub units: Option<BTreeMap<String, String>>,
    /// mqtt: numbers written as text are numbers too. Default false.
    pub text_numbers: Option<bool>,
    /// mqtt: on, open and true are 1, off, closed and false are 0. Default false: they are no readings.
    pub booleans: Option<bool>,
    /// mqtt: the field with the time. Default: `last_seen`, `Time`, `timestamp`, `time` or `ts`, else the time of arrival.
    pub time: Option<String>,
    /// mqtt: the time zone of times that do not name theirs. Default: such times do not count.
    pub zone: Option<String>,

    /// simulate and replay: a factor of real time, or `"max"`. Default 1. Simulated event times step by the interval at any
    /// speed: faster than 1 they run ahead of the clock, and after a restart they are late until they have caught up.
    pub speed: Option<Speed>,
    /// simulate: what groups (rooms, sites) begin with. replay and stdin: the group of sensors in CSV. mqtt: the group, with
    /// `{names}` of the topic's levels. Default there: a level named group, site, room, area or gateway, else the device.
    pub group: Option<String>,
    /// replay and stdin: the sensor of CSV without a column `sensor`. Default: the source's name. mqtt: the sensor, with
    /// `{names}`. Default there: the named levels, else the topic, and the field.
    pub sensor: Option<String>,
    /// What the sensors measure. Default: the profile's; `value` in CSV; the field in messages.
    pub datatype: Option<String>,
    /// The unit of the values. Default: the profile's; none in CSV.
    pub unit: Option<String>,
}

/// All `[source.NAME]` tables, by name.
pub type Sources = BTreeMap<String, Settings>;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    /// Simulated sensors of a profile.
    Simulate,
    /// A file of readings, at a pace.
    Replay,
    /// Readings on standard input.
    Stdin,
    /// Readings by POST.
    Http,
    /// Messages of an MQTT broker.
    Mqtt,
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "simulate" => Ok(Self::Simulate),
            "replay" => Ok(Self::Replay),
            "stdin" => Ok(Self::Stdin),
            "http" => Ok(Self::Http),
            "mqtt" => Ok(Self::Mqtt),
            _ => Err(format!(
                "kind {text:?} is not known: use simulate, replay, stdin, http or mqtt"
            )),
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().into()
    }
}

impl Kind {
    /// As settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Replay => "replay",
            Self::Stdin => "stdin",
            Self::Http => "http",
            Self::Mqtt => "mqtt",
        }
    }
}

/// What becomes of the event times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Times {
    /// Each reading gets the time at which it is due: the first is now, the rest follow at the replay's pace. So a series
    /// replayed at a factor never runs ahead of live sensors beside it, which would look silent then.
    Shift,
    /// As the file has them.
    Keep,
}

/// The JSON form of simulated readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The general form.
    General,
    /// The DHT record.
    Device,
}

/// Digits after the decimal point: 0 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Decimals(u8);

impl TryFrom<u8> for Decimals {
    type Error = String;

    fn try_from(digits: u8) -> Result<Self, String> {
        match digits {
            0..=9 => Ok(Self(digits)),
            _ => Err(format!("{digits} decimals are too many: use 0 to 9")),
        }
    }
}

impl From<Decimals> for u8 {
    fn from(decimals: Decimals) -> Self {
        decimals.0
    }
}

/// An instant in the settings, as [`Timestamp`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Start(pub Timestamp);

impl TryFrom<String> for Start {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let instant: jiff::Timestamp = text
            .parse()
            .map_err(|error| format!("{text:?} is no instant: {error}"))?;
        Ok(Self(
            Timestamp::from_micros(instant.as_microsecond()).ok_or("outside the years 0 to 9999")?,
        ))
    }
}

impl From<Start> for String {
    fn from(start: Start) -> Self {
        start.0.to_string()
    }
}

impl Settings {
    /// True where a running source of these settings can take up `others` while it runs.
    pub fn can_become(&self, others: &Self) -> bool {
        self.kind == Some(Kind::Http) && others.kind == self.kind && others.listen == self.listen
    }

    /// How many new sensors it admits an hour; `None` where the operator chose its sensors, in a file or a simulation.
    pub fn new_sensors_per_hour(&self) -> Option<NonZeroU32> {
        match self.kind {
            Some(Kind::Http | Kind::Mqtt | Kind::Stdin) => {
                Some(self.max_new_sensors_per_hour.unwrap_or(admission::DEFAULT_LIMIT))
            }
            Some(Kind::Simulate | Kind::Replay) | None => None,
        }
    }

    /// Adds everything that is wrong with the table `[source.name]` to `problems`.
    pub fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        if let Err(found) = self.validate(name) {
            problems.extend(found);
        }
    }
}
