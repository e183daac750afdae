//! What the settings of a broker come to: a configuration without optional parts, or every problem at once.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use values::byte_size::ByteSize;

use super::devices::{Devices, NONE};
use super::rules::Rules;
use super::server::Server;
use super::template::{PAYLOAD, Template};
use super::tls;
use super::topic::Pattern;
use crate::secrets::credential;
use crate::source::settings::Settings;
use crate::source::validate::{ADMISSION, Problems};

/// The keys of `kind = "mqtt"` alone.
pub(in crate::source) const KEYS: &[&str] = &[
    "servers",
    "topics",
    "ignore_topics",
    "devices",
    "qos",
    "protocol",
    "client_id",
    "persistent_session",
    "session_expiry",
    "username",
    "password_file",
    "password_in_clear",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "keep_alive",
    "connection_timeout",
    "max_undelivered_messages",
    "max_message_bytes",
    "format",
    "sensor",
    "fields",
    "ignore_fields",
    "units",
    "text_numbers",
    "booleans",
    "time",
    "zone",
];

const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const DEFAULT_UNDELIVERED: u16 = 1_000;
const DEFAULT_MESSAGE: ByteSize = ByteSize::from_bytes(256 << 10);
const LEAST_MESSAGE: ByteSize = ByteSize::from_bytes(1 << 10);
const MOST_MESSAGE: ByteSize = ByteSize::from_mebibytes(16);

/// The version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Protocol {
    /// What every broker speaks.
    #[default]
    #[serde(rename = "3.1.1")]
    V3,
    /// Sessions that expire, a limit of messages under way, and reasons for what is refused.
    #[serde(rename = "5")]
    V5,
}

/// A subscription to a broker, checked.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::source) struct Config {
    pub servers: Vec<Server>,
    pub protocol: Protocol,
    /// At least once, else at most once.
    pub acknowledged: bool,
    pub client_id: Option<String>,
    pub persistent: bool,
    pub session_expiry: Duration,
    pub login: Option<Login>,
    pub tls: tls::Files,
    pub keep_alive: Duration,
    pub timeout: Duration,
    pub most_undelivered: u16,
    pub max_message_bytes: usize,
    pub rules: Rules,
}

/// Who the broker knows us as.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::source) struct Login {
    pub username: String,
    pub password_file: Option<PathBuf>,
}

impl Settings {
    /// What a table with `kind = "mqtt"` comes to; all that is wrong goes to `problems`.
    pub(in crate::source) fn broker(&self, problems: &mut Problems) -> Config {
        self.refuse_others("kind = \"mqtt\"", &[KEYS, ADMISSION], problems);
        let servers = self.brokers(problems);
        let login = self.login(&servers, problems);
        let size = self.max_message_bytes.unwrap_or(DEFAULT_MESSAGE);
        if !(LEAST_MESSAGE..=MOST_MESSAGE).contains(&size) {
            let remedy = format!("is out of range: use a size from \"{LEAST_MESSAGE}\" to \"{MOST_MESSAGE}\"");
            problems.add("max_message_bytes", format!("\"{size}\""), &remedy);
        }
        match self.qos {
            None | Some(0..=2) => {}
            Some(qos) => problems.add(
                "qos",
                qos,
                "is no quality of service: use 1 (at least once) or 0 (at most once)",
            ),
        }
        let persistent = self.persistent_session.unwrap_or(true);
        if let (Some(_), false) = (self.session_expiry, persistent) {
            problems.add(
                "session_expiry",
                "",
                "has no effect without persistent_session = true: remove it",
            );
        }
        if let (Some(_), Protocol::V3) = (self.session_expiry, self.protocol.unwrap_or_default()) {
            problems.add(
                "session_expiry",
                "",
                "is not in MQTT 3.1.1: set protocol = \"5\", or the broker's own limit",
            );
        }
        Config {
            tls: self.tls_files(&servers, problems),
            servers,
            protocol: self.protocol.unwrap_or_default(),
            acknowledged: self.qos != Some(0),
            client_id: self.client_id(problems),
            persistent,
            session_expiry: self
                .session_expiry
                .map_or(DEFAULT_SESSION_EXPIRY, |expiry| expiry.get()),
            login,
            keep_alive: self
                .keep_alive
                .map_or(DEFAULT_KEEP_ALIVE, |keep_alive| keep_alive.get()),
            timeout: self.connection_timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.get()),
            most_undelivered: self.max_undelivered_messages.map_or(DEFAULT_UNDELIVERED, Into::into),
            max_message_bytes: size.as_bytes() as usize,
            rules: self.rules(problems),
        }
    }

    fn brokers(&self, problems: &mut Problems) -> Vec<Server> {
        let servers = self.servers.as_deref().unwrap_or_default();
        if servers.is_empty() {
            problems.add(
                "servers",
                "",
                "is missing: name a broker, such as [\"tcp://127.0.0.1:1883\"]",
            );
        }
        let mut parsed = Vec::new();
        for server in servers {
            match Server::parse(server) {
                Ok(server) => parsed.push(server),
                Err(remedy) => problems.add("servers", "", &remedy),
            }
        }
        parsed
    }

    fn login(&self, servers: &[Server], problems: &mut Problems) -> Option<Login> {
        if let Some(file) = &self.password_file {
            let shown = format!("{:?}", file.display().to_string());
            if let Err(error) = credential::text(file) {
                let remedy = format!("cannot be used ({error}): name a file with the password and nothing else");
                problems.add("password_file", &shown, &remedy);
            }
            if self.username.is_none() {
                problems.add("password_file", &shown, "is of nobody: set username as well");
            }
            let open = servers.iter().find(|server| !server.tls && !server.is_here());
            if let (Some(server), false) = (open, self.password_in_clear.unwrap_or(false)) {
                let remedy = format!(
                    "would go to {server} for anybody on the way to read: use ssl://, or set password_in_clear = true \
                     where you trust the network"
                );
                problems.add("password_file", &shown, &remedy);
            }
        }
        self.username.clone().map(|username| Login {
            username,
            password_file: self.password_file.clone(),
        })
    }

    fn tls_files(&self, servers: &[Server], problems: &mut Problems) -> tls::Files {
        let files = tls::Files {
            ca: self.tls_ca.clone(),
            certificate: self.tls_cert.clone(),
            key: self.tls_key.clone(),
        };
        let named = [
            ("tls_ca", &files.ca),
            ("tls_cert", &files.certificate),
            ("tls_key", &files.key),
        ];
        let given = named.into_iter().find_map(|(key, file)| Some((key, file.as_ref()?)));
        match given {
            None => {}
            Some((key, file)) if !servers.iter().any(|server| server.tls) => {
                let remedy = "has no effect without TLS: write servers as ssl://HOST:8883, or remove it";
                problems.add(key, format!("{:?}", file.display().to_string()), remedy);
            }
            Some(_) => {
                if let Err(error) = tls::client(&files) {
                    let key = error.key();
                    problems.add(key, "", &format!("{error}: name a file in PEM that can be read"));
                }
            }
        }
        files
    }

    fn client_id(&self, problems: &mut Problems) -> Option<String> {
        let id = self.client_id.clone()?;
        if id.is_empty() || id.len() > 65_535 || id.contains('\0') {
            problems.add(
                "client_id",
                format!("{id:?}"),
                "is no name: use some letters and digits, or leave it out",
            );
        }
        Some(id)
    }

    fn rules(&self, problems: &mut Problems) -> Rules {
        let defaults = self.devices.map_or(NONE, Devices::defaults);
        let or = |given: &Option<Vec<String>>, defaults: &[&str]| {
            given
                .clone()
                .unwrap_or_else(|| defaults.iter().map(ToString::to_string).collect())
        };
        let patterns = |key, texts: Vec<String>, problems: &mut Problems| {
            let mut patterns = Vec::new();
            for text in texts {
                match Pattern::parse(&text) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(remedy) => problems.add(key, format!("{text:?}"), &remedy),
                }
            }
            patterns
        };
        let topics = patterns("topics", or(&self.topics, defaults.topics), problems);
        if topics.is_empty() && self.topics.as_ref().is_none_or(Vec::is_empty) {
            let remedy = "is missing: name topics, such as [\"sensors/#\"], or set devices to zigbee2mqtt, tasmota or \
                          home_assistant";
            problems.add("topics", "", remedy);
        }
        let zone = self.zone.as_ref().and_then(|name| {
            let zone = TimeZone::get(name);
            zone.map_err(|_| {
                problems.add(
                    "zone",
                    format!("{name:?}"),
                    "is no time zone: write it as \"Europe/Berlin\"",
                )
            })
            .ok()
        });
        let unit_defaults = || {
            defaults
                .units
                .iter()
                .map(|(field, unit)| (field.to_string(), unit.to_string()))
        };
        Rules {
            sensor: template("sensor", self.sensor.as_deref(), &topics, problems),
            group: template("group", self.group.as_deref(), &topics, problems),
            datatype: template("datatype", self.datatype.as_deref(), &topics, problems),
            topics,
            ignore_topics: patterns(
                "ignore_topics",
                or(&self.ignore_topics, defaults.ignore_topics),
                problems,
            ),
            format: self.format.unwrap_or(defaults.format),
            unit: self.unit.clone(),
            units: match &self.units {
                Some(units) => units.clone().into_iter().collect(),
                None => unit_defaults().collect(),
            },
            fields: self.fields.clone(),
            ignore_fields: or(&self.ignore_fields, defaults.ignore_fields),
            text_numbers: self.text_numbers.unwrap_or(false),
            booleans: self.booleans.unwrap_or(false),
            time: self.time.clone(),
            zone,
        }
    }
}

/// A template whose every gap can be filled from each topic or from payloads.
fn template(key: &str, text: Option<&str>, topics: &[Pattern], problems: &mut Problems) -> Option<Template> {
    let text = text?;
    let shown = format!("{text:?}");
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(remedy) => {
            problems.add(key, shown, &remedy);
            return None;
        }
    };
    for gap in template.gaps() {
        if ["field", "topic"].contains(&gap) || gap.strip_prefix(PAYLOAD).is_some_and(|field| !field.is_empty()) {
            continue;
        }
        let lacking = topics
            .iter()
            .find(|topic| !topic.names().iter().any(|name| name == gap));
        if let Some(topic) = lacking {
            let remedy = format!(
                "asks for {{{gap}}}, which the topic {:?} does not name: use names of its levels, {{topic}}, {{field}}, \
                 or {{payload.FIELD}}",
                topic.to_string()
            );
            problems.add(key, &shown, &remedy);
        }
    }
    Some(template)
}

#[cfg(test)]
#[path = "mqtt_config_tests.rs"]
mod tests;
