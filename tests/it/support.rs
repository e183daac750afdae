//! The real daemon, started, asked and ended as an operator would.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_temp-ingest");
/// Longer than anything here takes; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A running daemon and what it logs.
pub struct Daemon {
    pub child: Child,
    lines: Receiver<String>,
    /// What it has logged so far.
    pub log: Vec<String>,
}

impl Daemon {
    /// Starts it with this configuration, state in `dir`, and an endpoint where there is one.
    pub fn start(dir: &Path, config: &str, endpoint: Option<&str>, environment: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(PROGRAM), dir, config, endpoint, environment)
    }

    /// The same by a command that becomes [`PROGRAM`] with the arguments added here.
    pub fn start_by(
        mut command: Command,
        dir: &Path,
        config: &str,
        endpoint: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Self {
        let file = dir.join("config.toml");
        std::fs::write(&file, config).unwrap();
        command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", dir)
            .env("STATE_DIRECTORY", dir.join("state"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "eu-central-1");
        command
            .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
            .envs(endpoint.map(|url| ("AWS_ENDPOINT_URL", url)));
        command.envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            lines,
            log: Vec::new(),
        }
    }

    /// Waits until it logs a line with these words, and returns it.
    pub fn logged(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(_) => panic!("never logged {words:?}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// Where it serves HTTP.
    pub fn address(&mut self) -> String {
        let words = "metrics=http://";
        // A source may say where it listens before that or after it.
        let said = self.log.iter().find(|line| line.contains(words)).cloned();
        let line = said.unwrap_or_else(|| self.logged(words));
        line.split("metrics=http://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end; what it still logged is in `log`.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("never ended:\n{}", self.log.join("\n")),
            }
        }
    }

    /// The counts of its last line.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let line = self
            .log
            .iter()
            .find(|line| line.contains(" ended produced="))
            .expect("it says what became of readings");
        let fields = line.split_whitespace().filter_map(|field| field.split_once('='));
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP GET: the status line and the body.
pub fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// The sum of a metric over its labels.
pub fn metric(scrape: &str, name: &str) -> f64 {
    let samples = scrape
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// True where every reading of a scrape is in exactly one place.
pub fn conserved(scrape: &str) -> bool {
    let total = |name: &str| metric(scrape, &format!("temp_ingest_readings_{name}"));
    total("produced_total") + total("recovered_total")
        == total("delivered_total")
            + total("dropped_total")
            + total("dead_lettered_total")
            + total("spooled")
            + total("in_flight")
}

/// Writes so many readings of `sensors` simulated sensors to a file of JSON lines.
pub fn write_readings(path: &Path, sensors: u32, count: u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let sensors = std::num::NonZeroU32::new(sensors).unwrap();
    let profile = "temperature".parse().unwrap();
    temp_ingest::cli::simulate::simulate(&profile, sensors, Some(count), 7, &mut file, None::<&mut Vec<u8>>).unwrap();
    file.flush().unwrap();
}

/// Lets the independent reader judge a ledger: it exits with 1 where anything was lost, invented or out of order.
pub fn check_ledger(ledger: &Path, expected: &Path, options: &[&str]) -> serde_json::Value {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ledger_check.py");
    let output = Command::new(python)
        .arg(script)
        .arg(ledger)
        .arg("--expected")
        .arg(expected)
        .args(options)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&report).unwrap()
}
