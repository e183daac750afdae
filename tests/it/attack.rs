//! Hostile clients at the daemon's ports, while it runs within the limits of its systemd unit: an honest client is served
//! throughout, from the very address that attacks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::control_group::ControlGroup;
use crate::support::{Daemon, PROGRAM, metric};

/// What the dashboard once took as a form from anybody, all but the last bytes.
const WITHHELD: usize = (256 << 10) - 10;

/// Threads of an attacker.
const THREADS: usize = 4;

/// The honest client comes again each time one of them has made so many connections.
const STEP: usize = 50;

/// An honest client connects again this often.
const TRIES: usize = 20;

/// And waits this long for an answer.
const GIVE_UP: Duration = Duration::from_secs(30);

const CONFIG: &str =
    "sink = \"embedded\"\nlinger = \"5ms\"\n[source.posts]\nkind = \"http\"\nlisten = \"127.0.0.1:0\"\n";

/// A daemon in a control group of the unit's size; `None` without root.
struct Trial {
    dir: tempfile::TempDir,
    daemon: Daemon,
    dashboard: SocketAddr,
    posts: SocketAddr,
    /// Removed last, when nothing runs in it any more.
    group: ControlGroup,
}

impl Trial {
    fn start() -> Option<Self> {
        let group = ControlGroup::with_limits_of_unit()?;
        raise_limit_of_open_files();
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::write(&tokens, "a-token-of-the-test\n").unwrap();
        let config = format!("{CONFIG}[dashboard]\ntoken_file = {tokens:?}\n");
        let mut daemon = Daemon::start_by(group.command(PROGRAM), dir.path(), &config, None, &[]);
        let line = daemon.logged("taking readings over HTTP");
        let address = line.split("address=").nth(1).unwrap();
        let posts = address.split(' ').next().unwrap().parse().unwrap();
        let dashboard = daemon.address().parse().unwrap();
        Some(Self {
            dir,
            daemon,
            dashboard,
            posts,
            group,
        })
    }

    /// Lets so many connections attack, and an honest client scrape and post meanwhile; ends the daemon afterwards.
    fn withstand(mut self, connections: usize, attack: impl Fn(usize) -> Option<TcpStream> + Sync) {
        let (dashboard, posts) = (self.dashboard, self.posts);
        let (progress, steps) = channel();
        let (served, held) = thread::scope(|scope| {
            let honest = scope.spawn(move || {
                let mut rounds = 0;
                steps.iter().for_each(|()| {
                    be_served(dashboard, posts, rounds);
                    rounds += 1;
                });
                // Once more when all attackers are there.
                be_served(dashboard, posts, rounds);
            });
            let attackers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (attack, progress) = (&attack, progress.clone());
                    let attacker = move |number: usize| {
                        if number.is_multiple_of(STEP) {
                            let _ = progress.send(());
                        }
                        attack(number)
                    };
                    scope.spawn(move || -> Vec<_> { (0..connections / THREADS).map(attacker).collect() })
                })
                .collect();
            drop(progress);
            // They keep what they hold until the honest client was served once more.
            let held: Vec<_> = attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect();
            (honest.join(), held)
        });
        assert_eq!(self.group.oom_kills(), 0, "the daemon was killed for want of memory");
        assert!(served.is_ok(), "an honest client was not served");
        let scrape = request(self.dashboard, "GET /metrics HTTP/1.1\r\nhost: localhost\r\n", "").unwrap();
        assert!(
            metric(&scrape, "temp_ingest_http_connections_closed_total") > 0.0,
            "{scrape}"
        );
        drop(held);
        self.daemon.signal("TERM");
        assert!(self.daemon.ended().success(), "{}", self.daemon.log.join("\n"));
        self.dir.close().unwrap();
    }
}

/// What an honest client does: it scrapes and posts a reading, and connects again where it was slower to ask than others were
/// to take its place.
fn be_served(dashboard: SocketAddr, posts: SocketAddr, number: u32) {
    let ask = |address, head: &str, body: &str| (0..TRIES).find_map(|_| request(address, head, body));
    let scrape = ask(dashboard, "GET /metrics HTTP/1.1\r\nhost: localhost\r\n", "");
    assert!(
        scrape.is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")),
        "no metrics"
    );
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    let reading = format!(
        "{{\"sensor\":\"honest\",\"time\":\"2026-05-01T{hour:02}:{minute:02}:{second:02}Z\",\"kind\":\"k\",\"value\":1}}"
    );
    let posted = ask(posts, "POST /readings HTTP/1.1\r\nhost: localhost\r\n", &reading);
    assert!(
        posted.is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")),
        "readings not taken"
    );
}

/// The answer to a request on a connection of its own; `None` where the connection breaks.
fn request(address: SocketAddr, head: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(GIVE_UP)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A connection on which so much was sent; `None` where the daemon has closed it meanwhile.
fn attacker(address: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

/// Thousands of connections need as many descriptors on this side too.
fn raise_limit_of_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// More than the unit's memory, were it read.
#[test]
fn log_ins_that_withhold_their_last_bytes() {
    let Some(trial) = Trial::start() else { return };
    let head = "POST /log-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 262144\r\n\r\n";
    let bytes = [head.as_bytes(), &[b'a'; WITHHELD]].concat();
    let dashboard = trial.dashboard;
    trial.withstand(1_600, |_| attacker(dashboard, &bytes));
}

/// More connections than the unit's limit of open files, which end in their headers or in a small form.
#[test]
fn half_requests_at_the_dashboard() {
    let Some(trial) = Trial::start() else { return };
    let dashboard = trial.dashboard;
    let halves: [&[u8]; 2] = [
        b"GET / HTTP/1.1\r\nhost: localh",
        b"POST /log-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 400\r\n\r\ntoken=",
    ];
    trial.withstand(8_400, |number| attacker(dashboard, halves[number % 2]));
}

/// Requests whose bodies do not come, at a source that knows no tokens.
#[test]
fn half_requests_at_a_source() {
    let Some(trial) = Trial::start() else { return };
    let posts = trial.posts;
    let half: &[u8] = b"POST /readings HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    trial.withstand(1_000, |_| attacker(posts, half));
}
