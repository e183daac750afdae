//! Events of the shipped configuration through the real daemon: windows, an incident in the store, and words on the terminal.

use std::process::Command;
use std::sync::Arc;

use simulate::Name;
use simulate::template::{Events, Plan, Template};
use wire::Timestamp;

const START: &str = "2024-01-01T00:00:00Z";
/// 85 minutes.
const COUNT: usize = 40_800;

/// What the source below simulates, but for its faults' truth, which the daemon does not tell.
fn plan() -> Plan {
    Plan {
        template: Arc::new(Template::built_in(Name::Clickstream).unwrap()),
        sensors: 1,
        rate: 8.0,
        seed: 42,
        prefix: "site-".into(),
        group: None,
        datatype: "clickstream".into(),
        faults_per_day: 24.0,
    }
}

#[test]
fn a_change_of_the_click_through_rate_is_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let config = include_str!("../../config/clickstream.toml")
        .replace("sensors = 3", "sensors = 1")
        .replace(
            "seed = 42",
            &format!("seed = 42\nrate = 8.0\nspeed = \"max\"\nstart = \"{START}\"\ncount = {COUNT}"),
        );
    let file = dir.path().join("config.toml");
    std::fs::write(&file, config).unwrap();
    let command = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_temp-ingest"))
            .args(arguments)
            .env_clear()
            .env("HOME", dir.path())
            .env("STATE_DIRECTORY", dir.path().join("state"))
            .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let config = file.to_str().unwrap();
    let told = command(&["run", "--config", config]);

    let (mut events, mut labels) = (Events::new(&plan(), START.parse().unwrap()), Vec::new());
    let last = (0..COUNT).map(|_| events.step(&mut labels)).last().unwrap();
    // An hour is learnt from.
    let learnt: Timestamp = "2024-01-01T01:00:00Z".parse().unwrap();
    let whole = |label: &&simulate::Label| label.start > learnt && label.end < last.time();
    let labels: Vec<_> = labels.iter().filter(whole).collect();
    assert!(!labels.is_empty());
    for label in &labels {
        let site = label.sensor.id();
        let opened = told.lines().any(|line| {
            let since = line.get(..19).and_then(|time| time.parse::<Timestamp>().ok());
            let within =
                since.is_some_and(|since| (label.start..=label.end.saturating_add_micros(20_000_000)).contains(&since));
            within && line.contains(&format!("opened    {site}  ")) && line.contains("  click through rate ")
        });
        assert!(opened, "{site} from {} to {} in\n{told}", label.start, label.end);
    }
    let listed = command(&["incidents", "list", "--config", config]);
    assert!(listed.contains("/click_through_rate"), "{listed}");
}
