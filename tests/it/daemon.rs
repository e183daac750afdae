//! The daemon as its operators and its service manager see it.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::support::{Daemon, conserved, get, metric};

const HOUSE: &str = "sink = \"embedded\"\nlinger = \"20ms\"\n[source.house]\nkind = \"simulate\"\nprofile = \"temperature\"\n\
                     interval = \"20ms\"\nsensors = 5\n";

/// What the service manager hears, until a message that begins like this.
fn heard(socket: &UnixDatagram, beginning: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = [0; 4096];
    socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    loop {
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no {beginning:?}: {error}: {messages:?}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        messages.push(message.clone());
        if message.lines().any(|line| line.starts_with(beginning)) {
            return messages;
        }
    }
}

/// Guarantee 7: READY once it can accept, WATCHDOG while it lives, RELOADING around a reload, STOPPING at the drain; and a
/// reload loses no reading.
#[test]
fn the_service_manager_hears_of_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let mut daemon = Daemon::start(dir.path(), HOUSE, None, &environment);
    heard(&socket, "READY=1");
    let address = daemon.address();
    assert_eq!(get(&address, "/readyz").0, "HTTP/1.1 200 OK");
    assert_eq!(get(&address, "/healthz").0, "HTTP/1.1 200 OK");
    heard(&socket, "WATCHDOG=1");
    let more = format!("{HOUSE}[source.garden]\nkind = \"simulate\"\nprofile = \"wind\"\ninterval = \"20ms\"\n");
    std::fs::write(dir.path().join("config.toml"), more).unwrap();
    daemon.signal("HUP");
    let messages = heard(&socket, "RELOADING=1");
    assert!(messages.last().unwrap().contains("MONOTONIC_USEC="), "{messages:?}");
    heard(&socket, "READY=1");
    daemon.logged("the source has started source=\"garden\"");
    std::fs::write(dir.path().join("config.toml"), "snik = \"stdout\"\n").unwrap();
    daemon.signal("HUP");
    let said = daemon.logged("keeping the current settings");
    assert!(said.contains("config.toml:1"), "{said}");
    daemon.signal("TERM");
    heard(&socket, "STOPPING=1");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let counts = daemon.counts();
    assert_eq!(counts["produced"], counts["delivered"] + counts["spooled"]);
    assert_eq!(counts["in_flight"], 0);
}

/// What Prometheus scrapes is what promtool calls correct, and the law of conservation holds in it.
#[test]
fn promtool_finds_nothing_wrong_with_a_live_scrape() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(dir.path(), HOUSE, None, &[]);
    let address = daemon.address();
    let mut scrape = String::new();
    while metric(&scrape, "temp_ingest_readings_delivered_total") < 50.0 {
        scrape = get(&address, "/metrics").1;
        assert!(conserved(&scrape), "{scrape}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed: make tools");
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{scrape}");
}

/// docs/metrics.md lists every metric, and no other.
#[test]
fn every_metric_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `temp_ingest_")?.split('`').next());
    let mut listed: Vec<_> = rows.map(|name| format!("temp_ingest_{name}")).collect();
    let mut known: Vec<_> = temp_ingest::telemetry::metrics::ALL
        .iter()
        .map(|metric| metric.name.to_owned())
        .collect();
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}

/// A malformed line is counted, told with its number, and passed over; the others are delivered.
#[test]
fn a_malformed_line_is_told_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("history.csv");
    std::fs::write(
        &csv,
        "timestamp,value\n2024-05-01 10:00:00,1.5\n2024-05-01 10:01:00,warm\n2024-05-01 10:02:00,2.5\n",
    )
    .unwrap();
    let config = format!("sink = \"stdout\"\n[source.history]\nkind = \"replay\"\npath = {csv:?}\nspeed = \"max\"\n");
    let mut daemon = Daemon::start(dir.path(), &config, None, &[]);
    let said = daemon.logged("malformed line");
    assert!(said.contains("line=3") && said.contains("history.csv"), "{said}");
    assert!(daemon.ended().success());
    assert_eq!(daemon.counts()["delivered"], 2);
}

/// What can never be delivered is kept for people, and sent again on their word.
#[test]
fn a_dead_letter_is_listed_and_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let letters = temp_ingest::dead_letter::DeadLetters::open(&state, "kinesis readings").unwrap();
    let data = br#"{"sensor":"a","time":"2024-05-01T10:00:00Z","kind":"temperature","value":21.5}"#;
    let record = delivery::record::Record {
        lane: std::sync::Arc::new(delivery::record::LaneKey {
            name: "a".into(),
            slice: 0..=0,
        }),
        identity: wire::Identity {
            producer: wire::ProducerId(1),
            number: 1,
        },
        readings: 1,
        since: wire::Timestamp::default(),
        data: data.to_vec(),
        receipts: Vec::new(),
    };
    letters
        .append(&record, delivery::ledger::DeadLetter::Rejected, "no")
        .unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "sink = \"stdout\"\n[log]\nlevel = \"warn\"\n").unwrap();
    let command = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temp-ingest"));
        command
            .args(["dead-letter", name, "--config"])
            .arg(&config)
            .env("STATE_DIRECTORY", &state);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(command("list").contains("rejected"));
    let replayed = command("replay");
    assert!(
        replayed.contains("\"sensor\":\"a\"") && replayed.contains("1 readings sent again"),
        "{replayed}"
    );
    assert!(command("list").contains("no dead letters"));
}
