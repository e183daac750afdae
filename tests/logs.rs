//! An application's log through the real daemon, as config/app_log.toml has it: a line never seen is an incident that is
//! stored and told.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/app_log.toml");

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

fn run(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_temp-ingest"))
        .args(arguments)
        .args(["--config", CONFIG])
        .env_clear()
        .env("HOME", dir)
        .env("STATE_DIRECTORY", dir.join("state"))
        .env("TEMP_INGEST__ADMIN__LISTEN", "127.0.0.1:0")
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
    let told = run(dir.path(), &["run"], &log());
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(told.status.success(), "{said}");
    assert_eq!(said.matches("house  Novel  lines of").count(), 1, "{said}");
    let listed = run(dir.path(), &["incidents", "list", "--json"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.matches("\"house/lines\"").count(), 1, "{listed}");
}
