//! A real broker: Mosquitto, on a port of its own, with what it keeps in a directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::support::PATIENCE;

/// A running broker.
pub struct Broker {
    dir: TempDir,
    port: u16,
    child: Child,
}

impl Broker {
    /// Starts one that lets everybody in. `more` of its configuration follows, for which `{dir}` is its directory.
    pub fn start(more: &str) -> Self {
        Self::prepared(more, |_| {})
    }

    /// Starts one whose directory is made ready first.
    pub fn prepared(more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        // Free a moment ago; nobody else here listens on a port that the system has just given away.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = dir.path().display().to_string();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous true\npersistence true\npersistence_location {shown}/\n\
             max_queued_messages 0\nset_tcp_nodelay true\nlog_dest stderr\n{}",
            more.replace("{dir}", &shown)
        );
        std::fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let child = run(dir.path());
        Self { dir, port, child }
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Ends it as its service manager does: it keeps what it holds.
    pub fn stop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        // Mosquitto says that it runs a moment before it heeds signals, and forgets one that comes in between.
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "mosquitto does not end");
            let stopped = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
            assert!(stopped.success());
        }
    }

    /// Starts it again, with what it kept.
    pub fn start_again(&mut self) {
        self.child = run(self.dir.path());
    }

    /// Publishes each line of a file with quality of service 1. Once it ends, the broker has accepted all.
    pub fn publish(&self, topic: &str, lines: &Path) -> Child {
        let mut command = Command::new("mosquitto_pub");
        command
            .args(["-h", "127.0.0.1", "-q", "1", "-l", "-t", topic, "-p"])
            .arg(self.port.to_string())
            .stdin(File::open(lines).unwrap());
        command.spawn().expect("mosquitto_pub is installed: make tools")
    }

    /// Publishes one message with quality of service 1, and more options.
    pub fn say(&self, topic: &str, message: &str, options: &[&str]) {
        let mut command = Command::new("mosquitto_pub");
        command
            .args(["-h", "127.0.0.1", "-q", "1", "-t", topic, "-m", message, "-p"])
            .arg(self.port.to_string())
            .args(options);
        assert!(
            command
                .status()
                .expect("mosquitto_pub is installed: make tools")
                .success()
        );
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the broker of this directory until it listens.
fn run(dir: &Path) -> Child {
    let mut child = Command::new("mosquitto")
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto is installed: make tools");
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut said = Vec::new();
    let running = lines.by_ref().any(|line| {
        said.push(line);
        said.last().unwrap().contains("running")
    });
    assert!(running, "mosquitto does not start:\n{}", said.join("\n"));
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// A certificate authority in `dir`, and what it has signed: for a server on this machine, and for a client.
pub fn certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(dir)
            .output();
        let output = output.expect("openssl is installed: make tools");
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc";
    openssl(&format!(
        "req -x509 -days 2 {curve} -subj /CN=authority -keyout ca.key -out ca.pem"
    ));
    std::fs::write(
        dir.join("server.txt"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    std::fs::write(
        dir.join("client.txt"),
        "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    for name in ["server", "client"] {
        openssl(&format!(
            "req {curve} -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.txt -out {name}.pem"
        ));
    }
}
