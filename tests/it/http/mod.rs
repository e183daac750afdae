//! Readings by POST: the real daemon, clients of every kind, and a Kinesis endpoint that misbehaves on demand.

mod answers;
mod client;
mod limits;
mod overload;
mod safety;
mod sensors;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kinesis_fake::{Accepted, Config, Endpoint};
use tempfile::TempDir;
use wire::aggregate::deaggregate;

use crate::support::{Daemon, PATIENCE};

/// Sensors share one lane, so that the endpoint can hold all of them up by one key.
const LANE: &str = "1/0";

/// A daemon with an `http` source, and the endpoint it delivers to.
struct Trial {
    dir: TempDir,
    endpoint: Endpoint,
    daemon: Daemon,
    address: SocketAddr,
    more: String,
}

impl Trial {
    /// `more` follows the keys of the source.
    fn new(more: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), more)
    }

    /// With files that are in `dir` already.
    fn with(dir: TempDir, more: &str) -> Self {
        let endpoint = Endpoint::start(Config::default()).unwrap();
        let (daemon, address) = start(&dir, &endpoint, more);
        let more = more.to_owned();
        Self {
            dir,
            endpoint,
            daemon,
            address,
            more,
        }
    }

    /// Kills the daemon and starts it again on the same state.
    fn kill_and_start(&mut self) {
        self.daemon.child.kill().unwrap();
        self.daemon.child.wait().unwrap();
        (self.daemon, self.address) = start(&self.dir, &self.endpoint, &self.more);
    }

    /// The readings the endpoint has, as JSON, in the order it took them.
    fn delivered(&self) -> Vec<String> {
        readings(&self.endpoint.accepted())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn start(dir: &TempDir, endpoint: &Endpoint, more: &str) -> (Daemon, SocketAddr) {
    // As systemd gives it.
    let credentials = [("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())];
    let mut daemon = Daemon::start(dir.path(), &config(more), Some(&endpoint.url()), &credentials);
    let address = listening(&mut daemon);
    (daemon, address)
}

fn config(more: &str) -> String {
    format!(
        "sink = \"kinesis\"\nlanes = 1\nlinger = \"5ms\"\nbudget = \"1MiB\"\n[log]\nlevel = \"debug\"\n[kinesis]\n\
         stream = \"readings\"\ntimeout = \"60s\"\nbackoff_base = \"5ms\"\nbackoff_cap = \"50ms\"\n[source.posts]\n\
         kind = \"http\"\nlisten = \"127.0.0.1:0\"\n{more}\n"
    )
}

/// Where a daemon takes readings.
fn listening(daemon: &mut Daemon) -> SocketAddr {
    let line = daemon.logged("taking readings over HTTP");
    let address = line.split("address=").nth(1).unwrap();
    address.split(' ').next().unwrap().parse().unwrap()
}

/// Waits for what comes soon; only a hang takes longer than the patience of these tests.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never was so that {what}");
    }
}

fn readings(accepted: &[Arc<Accepted>]) -> Vec<String> {
    let mut readings = Vec::new();
    for record in accepted {
        let record = deaggregate(&record.data).unwrap();
        for reading in record.records() {
            readings.push(String::from_utf8(reading.unwrap().data.to_vec()).unwrap());
        }
    }
    readings
}
