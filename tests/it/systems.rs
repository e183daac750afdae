//! Each example configuration, from its readings to an incident that is told and kept.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::command::{err, out, temp_ingest};
use crate::mosquitto::Broker;
use crate::support::{Daemon, PATIENCE};

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// `temp-ingest incidents list` over the state of a daemon that ran here.
fn incidents(dir: &Path) -> String {
    let mut list = temp_ingest(dir);
    list.args(["incidents", "list", "--state-dir"]).arg(dir.join("state"));
    out(&list.output().unwrap()).to_owned()
}

#[test]
fn check_accepts_every_example() {
    let home = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut examples = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let checked = temp_ingest(home.path())
                .args(["check", "--config"])
                .arg(&path)
                .output()
                .unwrap();
            assert_eq!(checked.status.code(), Some(0), "{}: {}", path.display(), err(&checked));
            examples += 1;
        }
    }
    assert!(examples >= 4);
}

/// What people are told names site, speed, score and the usual range; what is kept is as told.
#[test]
fn a_wind_farm() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("wind_farm.toml");
    std::fs::write(&config, example("wind_farm.toml")).unwrap();
    let mut run: Command = temp_ingest(home.path());
    run.args(["run", "--config"]).arg(&config);
    // An hour of thirty turbines, as fast as the pipeline takes it.
    let output = run
        .env("STATE_DIRECTORY", home.path().join("state"))
        .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
        .env("TEMP_INGEST__SOURCE__FARM__SPEED", "max")
        .env("TEMP_INGEST__SOURCE__FARM__COUNT", "108000")
        .env("TEMP_INGEST__SOURCE__FARM__START", "2026-03-01T12:00:00Z")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let told = |line: &&str| {
        let site = line.contains(" opened ") && line.contains(" in site-") && line.contains(" m/s where ");
        site && line.contains(" is usual ") && line.contains(" score ")
    };
    let line = out(&output).lines().find(told);
    let line = line.unwrap_or_else(|| panic!("{}", out(&output)));
    let turbine = line.split_whitespace().find(|word| word.starts_with("farm-0")).unwrap();
    let kept = incidents(home.path());
    assert!(kept.contains(turbine), "{line}\n{kept}");
}

/// A house of devices over MQTT, one of which gets far too warm.
#[test]
fn a_smart_home() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start("");
    let config = example("smart_home.toml").replace("tcp://127.0.0.1:1883", &broker.url("tcp"));
    let config = config.replace("sink = \"embedded\"", "sink = \"embedded\"\nlinger = \"20ms\"");
    let mut daemon = Daemon::start(dir.path(), &config, None, &[]);
    daemon.logged("connected to the broker");
    // A device a minute apart: an hour and a half of a room of about 21 °C, then a fire.
    let message = |minute: i64, value: f64| {
        let at = wire::Timestamp::from_micros(1_772_366_400_000_000 + minute * 60_000_000).unwrap();
        format!("{{\"temperature\":{value:.2},\"linkquality\":90,\"last_seen\":\"{at}\"}}\n")
    };
    let calm = (0..90).map(|minute| message(minute, 21.0 + ((minute * 37 % 11) as f64 - 5.0) * 0.02));
    let fire = (90..93).map(|minute| message(minute, 58.0 + (minute - 90) as f64));
    let file = dir.path().join("messages");
    std::fs::write(&file, calm.chain(fire).collect::<String>()).unwrap();
    assert!(broker.publish("zigbee2mqtt/kitchen", &file).wait().unwrap().success());
    let deadline = Instant::now() + PATIENCE;
    while !incidents(dir.path()).contains("kitchen") {
        assert!(Instant::now() < deadline, "{}", daemon.log.join("\n"));
    }
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let kept = incidents(dir.path());
    assert!(kept.contains("58 °C"), "{kept}");
}
