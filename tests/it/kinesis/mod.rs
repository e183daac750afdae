//! The daemon and its stream: a wrong configuration, credentials, roles, resharding, a stream made again, a long outage.

mod configuration;
mod credentials;
mod outage;
mod role;
mod stream;

use std::path::{Path, PathBuf};

use kinesis_fake::{Config, Endpoint};
use tempfile::TempDir;

use crate::support::write_readings;

/// Readings, an endpoint, and the ledger of what it took.
struct Scene {
    dir: TempDir,
    readings: PathBuf,
    ledger: PathBuf,
    endpoint: Endpoint,
}

impl Scene {
    fn new(sensors: u32, readings: u64, config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (file, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
        write_readings(&file, sensors, readings);
        let endpoint = Endpoint::start(Config {
            ledger: Some(ledger.clone()),
            keep: false,
            ..config
        });
        Self {
            dir,
            readings: file,
            ledger,
            endpoint: endpoint.unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Small records, so that there are many requests; `kinesis` and `top` are further keys.
    fn config(&self, top: &str, kinesis: &str) -> String {
        let stream = if kinesis.contains("stream =") {
            ""
        } else {
            "stream = \"readings\"\n"
        };
        format!(
            "sink = \"kinesis\"\nlinger = \"20ms\"\n{top}\n[kinesis]\n{stream}timeout = \"2s\"\n\
             target_bytes = 2048\nbackoff_base = \"5ms\"\nbackoff_cap = \"100ms\"\n{kinesis}\n\
             [source.file]\nkind = \"replay\"\npath = {:?}\nspeed = \"max\"\n",
            self.readings
        )
    }
}
