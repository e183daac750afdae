//! The validated settings of an `http` source: its address, its tokens and every limit.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use values::byte_size::ByteSize;
use wire::json::BatchLimits;

use super::bodies::BodyLimits;
use super::keys::Bounds;
use super::tls;
use crate::http_server::{ConnectionLimit, Timeouts};
use crate::secrets::tokens::Tokens;
use crate::source::settings::{Kind, Settings};
use crate::source::validate::{ADMISSION, Problems};

/// The keys of `kind = "http"`.
pub(in crate::source) const KEYS: &[&str] = &[
    "listen",
    "token_file",
    "tls_certificate",
    "tls_key",
    "reply_timeout",
    "header_timeout",
    "body_timeout",
    "idle_timeout",
    "max_body",
    "max_bodies",
    "max_readings",
    "max_headers",
    "max_connections",
    "max_client_connections",
    "idempotency_keys",
    "idempotency_time",
];

/// The default maximum size of a record, less the bytes that packing a reading takes.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MAX_READING_BYTES: usize = (1 << 20) - 1024;

/// The default maximum of connections.
const CONNECTIONS: u32 = 1_024;

/// A validated `http` source.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The token file; `None` admits everybody.
    pub token_file: Option<PathBuf>,
    /// The files of the certificate and its key; `None` for plain connections.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// All limits.
    pub limits: Limits,
}

/// The limits of an `http` source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a client waits for its answer.
    pub reply_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// How long a client may keep a connection waiting.
    pub timeouts: Timeouts,
    /// The limits of bodies in bytes.
    pub room: BodyLimits,
    /// The limits of the readings of a request.
    pub batch: BatchLimits,
    /// The most bytes of request headers.
    pub headers: usize,
    /// The limits of connections.
    pub connections: ConnectionLimit,
    /// The limits of Idempotency-Keys.
    pub keys: Bounds,
}

/// An address and port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(pub SocketAddr);

impl Settings {
    /// Returns the most connections that the source's port accepts; `None` if it has no port.
    pub fn max_connections(&self) -> Option<u32> {
        let connections = self.max_connections.map_or(CONNECTIONS, NonZeroU32::get);
        (self.kind == Some(Kind::Http)).then_some(connections)
    }

    pub(in crate::source) fn http(&self, problems: &mut Problems) -> Option<Config> {
        self.refuse_others("kind = \"http\"", &[KEYS, ADMISSION], problems);
        let limits = self.http_limits(problems);
        let tls = match (self.tls_certificate.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(certificate), None) => {
                problems.add(
                    "tls_certificate",
                    shown(&certificate),
                    "needs its key: set tls_key as well",
                );
                None
            }
            (None, Some(key)) => {
                problems.add(
                    "tls_key",
                    shown(&key),
                    "needs its certificate: set tls_certificate as well",
                );
                None
            }
        };
        if let Some((certificate, key)) = &tls
            && let Err(error) = tls::acceptor(certificate, key)
        {
            problems.add("tls_certificate", shown(certificate), &error.to_string());
        }
        if let Some(file) = &self.token_file
            && let Err(error) = Tokens::read(file)
        {
            problems.add("token_file", shown(file), &error.to_string());
        }
        let Some(Listen(listen)) = self.listen else {
            let remedy = "is missing: write an address with a port such as \"127.0.0.1:9185\"";
            problems.add("listen", "", remedy);
            return None;
        };
        if !listen.ip().is_loopback() && self.token_file.is_none() {
            let remedy = "can be reached from other machines: set token_file, or listen on 127.0.0.1";
            problems.add("listen", format!("\"{listen}\""), remedy);
        }
        Some(Config {
            listen,
            token_file: self.token_file.clone(),
            tls,
            limits,
        })
    }

    fn http_limits(&self, problems: &mut Problems) -> Limits {
        let mebibytes = ByteSize::from_mebibytes;
        let body = size(
            problems,
            "max_body",
            self.max_body,
            mebibytes(1),
            1 << 10,
            mebibytes(64),
        );
        // One client may use half of it, and a body exists twice while it is unpacked.
        let least = 4 * body as u64;
        Limits {
            reply_timeout: self.reply_timeout.map_or(Duration::from_secs(30), |time| time.get()),
            body_timeout: self.body_timeout.map_or(Duration::from_secs(30), |time| time.get()),
            timeouts: Timeouts {
                headers: self.header_timeout.map_or(Duration::from_secs(10), |time| time.get()),
                idle: self.idle_timeout.map_or(Duration::from_secs(75), |time| time.get()),
            },
            room: BodyLimits {
                body,
                all: size(
                    problems,
                    "max_bodies",
                    self.max_bodies,
                    mebibytes(64),
                    least,
                    mebibytes(4096),
                ),
            },
            batch: BatchLimits {
                readings: count(problems, "max_readings", self.max_readings, 10_000, 1_000_000),
                reading_bytes: MAX_READING_BYTES,
            },
            headers: size(
                problems,
                "max_headers",
                self.max_headers,
                KIBIBYTES_16,
                1 << 10,
                mebibytes(1),
            ),
            connections: ConnectionLimit {
                all: count(problems, "max_connections", self.max_connections, CONNECTIONS, 100_000),
                per_address: count(
                    problems,
                    "max_client_connections",
                    self.max_client_connections,
                    64,
                    100_000,
                ),
            },
            keys: Bounds {
                keys: count(problems, "idempotency_keys", self.idempotency_keys, 10_000, 1_000_000),
                time: self
                    .idempotency_time
                    .map_or(Duration::from_secs(600), |time| time.get()),
            },
        }
    }
}

const KIBIBYTES_16: ByteSize = ByteSize::from_bytes(16 << 10);

fn size(
    problems: &mut Problems,
    key: &str,
    set: Option<ByteSize>,
    default: ByteSize,
    least: u64,
    most: ByteSize,
) -> usize {
    let size = set.unwrap_or(default);
    if !(least..=most.as_bytes()).contains(&size.as_bytes()) {
        let least = ByteSize::from_bytes(least);
        problems.add(
            key,
            size,
            &format!("is out of range: write a size from {least} to {most}, such as \"{default}\""),
        );
    }
    size.as_bytes() as usize
}

fn count(problems: &mut Problems, key: &str, set: Option<NonZeroU32>, default: u32, most: u32) -> usize {
    let count = set.map_or(default, NonZeroU32::get);
    if count > most {
        problems.add(key, count, &format!("is too many: use at most {most}"));
    }
    count as usize
}

fn shown(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "{text:?} is not an address with a port: write one such as \"127.0.0.1:9185\", or \"0.0.0.0:9185\" to be \
                 reached from other machines"
            )
        })
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::source::validate::Validated;

    fn config(text: &str) -> Result<Config, Vec<String>> {
        let settings: Settings = toml::from_str(&format!("kind = \"http\"\n{text}")).unwrap();
        match settings.validate("posts") {
            Ok(Validated::Http(config)) => Ok(config),
            Ok(other) => panic!("{other:?}"),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn only_the_address_is_required() {
        assert_eq!(
            config("").unwrap_err(),
            ["source.posts.listen: is missing: write an address with a port such as \"127.0.0.1:9185\""]
        );
        let config = config("listen = \"127.0.0.1:9185\"").unwrap();
        assert_eq!((config.tls, config.token_file), (None, None));
        assert_eq!((config.limits.room.body, config.limits.room.all), (1 << 20, 64 << 20));
    }

    #[test]
    fn beyond_this_machine_a_token_is_needed() {
        for open in ["0.0.0.0:9185", "192.0.2.1:9185", "[::]:9185"] {
            let problems = config(&format!("listen = \"{open}\"")).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(
                problems[0].starts_with(&format!("source.posts.listen = \"{open}\": ")),
                "{problems:?}"
            );
            assert!(problems[0].contains("set token_file"), "{problems:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::write(&tokens, "secret\n").unwrap();
        assert!(config(&format!("listen = \"0.0.0.0:9185\"\ntoken_file = {tokens:?}")).is_ok());
        assert!(config("listen = \"[::1]:9185\"").is_ok());
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_their_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file.pem");
        std::fs::write(&file, "nothing\n").unwrap();
        let text = format!(
            "listen = \"127.0.0.1:0\"\ntoken_file = \"/none/tokens\"\ntls_certificate = {file:?}\ntls_key = {file:?}"
        );
        let problems = config(&text).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].starts_with("source.posts.tls_certificate = "),
            "{problems:?}"
        );
        assert!(
            problems[0].contains("file.pem holds no certificate in PEM: there is none in it"),
            "{problems:?}"
        );
        assert!(
            problems[1].contains("token_file = \"/none/tokens\": reading /none/tokens: "),
            "{problems:?}"
        );
        for (key, other) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
            let problems = config(&format!("listen = \"127.0.0.1:0\"\n{key} = {file:?}")).unwrap_err();
            assert!(problems[0].contains(&format!("set {other} as well")), "{problems:?}");
        }
    }

    #[test]
    fn limits_out_of_range_are_all_told() {
        let problems = config(
            "listen = \"127.0.0.1:0\"\nmax_body = \"100B\"\nmax_bodies = \"100B\"\nmax_headers = \"2MiB\"\n\
             max_readings = 2000000\nmax_connections = 200000\nmax_client_connections = 200000\n\
             idempotency_keys = 2000000",
        )
        .unwrap_err();
        let keys: Vec<_> = problems
            .iter()
            .filter_map(|problem| problem.split(" = ").next())
            .collect();
        let expected = [
            "max_body",
            "max_bodies",
            "max_readings",
            "max_headers",
            "max_connections",
            "max_client_connections",
            "idempotency_keys",
        ];
        assert_eq!(keys, expected.map(|key| format!("source.posts.{key}")));
        assert!(
            problems[0].contains("write a size from 1KiB to 64MiB, such as \"1MiB\""),
            "{problems:?}"
        );
        let problems = config("listen = \"127.0.0.1:0\"\nmax_body = \"4MiB\"\nmax_bodies = \"15MiB\"").unwrap_err();
        assert!(problems[0].contains("from 16MiB to"), "{problems:?}");
    }
}
