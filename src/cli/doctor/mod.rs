//! The command `doctor`: what the daemon needs outside itself, one line each, ok or how to mend it. It changes nothing.

mod cloud;
mod endpoint;

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use values::byte_size::ByteSize;

use crate::config::{Loaded, Settings};
use crate::http_server::ALIVE;
use crate::sink;

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found; where it is not good, how to mend it.
    pub text: String,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The daemon will run, but a person should know.
    Warning,
    /// The daemon will not do its work.
    Bad,
}

/// Looks at everything these settings need and tells each finding as it is made. True where none is bad.
pub async fn examine(loaded: &Loaded, tell: impl FnMut(&Finding)) -> bool {
    let settings = &loaded.settings;
    let mut report = Report { tell, healthy: true };
    report.add(Finding::ok("config", format!("{} holds", loaded.origin)));
    for finding in directories(settings) {
        report.add(finding);
    }
    report.add(port(
        "dashboard.listen",
        settings.dashboard.listen,
        settings.dashboard.listen,
    ));
    for (name, source) in &settings.source {
        if let Some(listen) = source.listen {
            report.add(port(
                &format!("source.{name}.listen"),
                listen.0,
                settings.dashboard.listen,
            ));
        }
    }
    if settings.sink == sink::Kind::Kinesis {
        cloud::examine(settings, &mut report).await;
    }
    report.healthy
}

struct Report<Tell> {
    tell: Tell,
    healthy: bool,
}

impl<Tell: FnMut(&Finding)> Report<Tell> {
    fn add(&mut self, finding: Finding) {
        self.healthy &= finding.verdict != Verdict::Bad;
        (self.tell)(&finding);
    }
}

impl Finding {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            subject,
            text: text.into(),
        }
    }

    fn warning(subject: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            subject,
            text: text.into(),
        }
    }

    fn bad(subject: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            subject,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "warn",
            Verdict::Bad => "BAD ",
        };
        write!(f, "{verdict} {:<12} {}", self.subject, self.text.replace('\n', " "))
    }
}

/// Enough for the embedded store of a house.
const STATE_ROOM: ByteSize = ByteSize::from_mebibytes(64);

fn directories(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![match settings.spool_dir() {
        Ok(dir) => directory("spool", &dir, settings.spool.max_bytes, "spool.dir"),
        Err(error) => Finding::bad("spool", error.to_string()),
    }];
    if settings.sink == sink::Kind::Embedded {
        // Without one the spool's finding has said so.
        if let Ok(dir) = settings.state_dir() {
            findings.push(directory("state", &dir, STATE_ROOM, "spool.dir"));
        }
    }
    findings
}

fn directory(subject: &'static str, dir: &Path, wanted: ByteSize, key: &str) -> Finding {
    let existing = existing(dir);
    if let Err(error) = try_writing(&existing) {
        let remedy = format!("make it writable for this user, or set {key} to another directory");
        return Finding::bad(subject, format!("writing in {}: {error}; {remedy}", existing.display()));
    }
    let made = if existing == dir { "is writable" } else { "can be made" };
    match free_bytes(&existing) {
        Ok(free) if free >= wanted.as_bytes() => {
            Finding::ok(subject, format!("{} {made}, {} MiB free", dir.display(), free >> 20))
        }
        Ok(free) => Finding::warning(
            subject,
            format!(
                "{} {made}, but its disk has {} MiB free where up to {wanted} may be kept; free some, or set {key} to a larger disk",
                dir.display(),
                free >> 20
            ),
        ),
        Err(error) => Finding::warning(
            subject,
            format!("{} {made}; asking for free space: {error}", dir.display()),
        ),
    }
}

/// The directory itself, or the nearest one above it that exists.
fn existing(dir: &Path) -> PathBuf {
    let dir = if dir.is_absolute() {
        dir.to_owned()
    } else {
        Path::new(".").join(dir)
    };
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(&dir).to_owned()
}

fn try_writing(dir: &Path) -> io::Result<()> {
    let file = dir.join(format!(".temp-ingest-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(&file)
}

/// What an ordinary user may still write.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The port of `key`. A daemon that holds it is asked at `dashboard`, where it always speaks plainly.
fn port(key: &str, address: SocketAddr, dashboard: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok("port", format!("{key} = {address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours(dashboard).unwrap_or(false) => Finding::ok(
            "port",
            format!("{key} = {address} is used by a temp-ingest that is alive"),
        ),
        Err(error) => Finding::bad("port", format!("binding {address}: {error}; set {key} to a free one")),
    }
}

fn is_ours(address: SocketAddr) -> io::Result<bool> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    // Somebody else's endless answer is not read to its end.
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer.ends_with(ALIVE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_directory_that_can_be_made_is_ok_and_stays_unmade() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("a/b");
        let finding = directory("spool", &spool, ByteSize::from_bytes(1), "spool.dir");
        assert_eq!(finding.verdict, Verdict::Ok, "{finding}");
        assert!(finding.text.contains("can be made"), "{finding}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_little_room_is_a_warning_and_a_file_in_the_way_is_bad() {
        let dir = tempfile::tempdir().unwrap();
        let finding = directory("spool", dir.path(), ByteSize::from_bytes(u64::MAX), "spool.dir");
        assert_eq!(finding.verdict, Verdict::Warning, "{finding}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let finding = directory("spool", &file, ByteSize::from_bytes(1), "spool.dir");
        assert_eq!(finding.verdict, Verdict::Bad, "{finding}");
        assert!(finding.text.contains("set spool.dir to another directory"), "{finding}");
    }

    #[test]
    fn a_port_of_a_running_daemon_is_ok() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut asking, _) = taken.accept().unwrap();
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{}", ALIVE);
            // The question is read, for what is unread turns the close into a reset.
            asking.read_exact(&mut [0; 25]).unwrap();
            asking.write_all(answer.as_bytes()).unwrap();
        });
        let finding = port("dashboard.listen", address, address);
        daemon.join().unwrap();
        assert_eq!(finding.verdict, Verdict::Ok, "{finding}");
        assert!(
            finding.text.contains("used by a temp-ingest that is alive"),
            "{finding}"
        );
    }

    #[test]
    fn a_port_of_somebody_else_is_bad_and_a_free_one_is_ok() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        // Closes what connects without an answer.
        let closing = std::thread::spawn(move || drop(taken.accept()));
        let finding = port("source.posts.listen", address, address);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(
            finding.text.ends_with("set source.posts.listen to a free one"),
            "{finding}"
        );
        closing.join().unwrap();
        assert_eq!(port("source.posts.listen", address, address).verdict, Verdict::Ok);
    }
}
