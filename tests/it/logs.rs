//! An application's log through the real daemon, as config/app_log.toml and config/journal.toml have it: lines never seen
//! are an incident that is stored and told.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::json;
use simulate::Name;
use simulate::template::{Events, Plan, Template};
use wire::Timestamp;

const JOURNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/journal.toml");
const START: &str = "2024-01-01T00:00:00Z";
/// Of one application, about 67 minutes.
const COUNT: usize = 20_000;

/// About five lines a second, and one at the end that the program never wrote before.
fn log() -> String {
    let line = |number: u64| match number * 7 % 11 {
        _ if number == 2_000 => "panicked at src/main.rs: index out of bounds".to_owned(),
        0..6 => format!("GET /rooms/{number} took {} ms", number % 90),
        6..9 => format!("POST /rooms/{}/temperature took {} ms", number % 9, number % 70),
        _ => format!("cache refreshed: {number} entries"),
    };
    let event = |number: u64| {
        let millis = number * 200 + number * 31 % 97;
        let time = format!(
            "2024-05-01T10:{:02}:{:02}.{:03}Z",
            millis / 60_000,
            millis / 1_000 % 60,
            millis % 1_000
        );
        let event = json!({"message": line(number), "log_stream": "i-1", "id": number.to_string()});
        format!(
            "{}\n",
            json!({"sensor": "house", "kind": "log", "time": time, "event": event})
        )
    };
    (0..=2_000).map(event).collect()
}

fn run(dir: &Path, config: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_temp-ingest"))
        .args(arguments)
        .args(["--config", config])
        .env_clear()
        .env("HOME", dir)
        .env("STATE_DIRECTORY", dir.join("state"))
        .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    output
}

#[test]
fn a_line_never_seen_is_stored_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = run(dir.path(), JOURNAL, &["run"], &log());
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(told.status.success(), "{said}");
    assert_eq!(
        said.matches("house  Novel  a line unlike those before: 1 in 2001 has its template")
            .count(),
        1,
        "{said}"
    );
    let listed = run(dir.path(), JOURNAL, &["incidents", "list", "--json"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.matches("\"house/lines\"").count(), 1, "{listed}");
}

/// What the source simulates, but for its faults' truth, which the daemon does not tell.
fn plan() -> Plan {
    Plan {
        template: Arc::new(Template::built_in(Name::AppLog).unwrap()),
        sensors: 1,
        rate: 5.0,
        seed: 42,
        prefix: "app-".into(),
        group: None,
        datatype: "log".into(),
        faults_per_day: 48.0,
    }
}

#[test]
fn the_first_panic_of_the_shipped_application_is_told() {
    let (mut events, mut labels) = (Events::new(&plan(), START.parse().unwrap()), Vec::new());
    (0..COUNT).for_each(|_| drop(events.step(&mut labels)));
    let first = labels.first().expect("an application panics within the hour");
    let dir = tempfile::tempdir().unwrap();
    let more = format!("seed = 42\nspeed = \"max\"\nstart = \"{START}\"\ncount = {COUNT}");
    let config = include_str!("../../config/app_log.toml");
    let config = config.replace("sensors = 2", "sensors = 1").replace("seed = 42", &more);
    let file = dir.path().join("config.toml");
    std::fs::write(&file, config).unwrap();
    let told = run(dir.path(), file.to_str().unwrap(), &["run"], "");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).unwrap();
    let opened = told.lines().filter(|line| line.contains("opened    app-001  "));
    let opened: Vec<Timestamp> = opened.filter_map(|line| line.get(..19)?.parse().ok()).collect();
    let within = (first.start.saturating_add_micros(-1_000_000)..=first.end).contains(&opened[0]);
    assert!(within, "{} to {} in\n{told}", first.start, first.end);
}
