//! The real binary: what it says and how it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use endpoint::{Config, Endpoint, Operation, Strategy};

/// The binary in an environment of its own: no configuration, no credentials, no state of this machine.
fn temp_ingest(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_temp-ingest"));
    command
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(home);
    command
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_and_version_are_everywhere() {
    let home = tempfile::tempdir().unwrap();
    let version = temp_ingest(home.path()).arg("--version").output().unwrap();
    assert_eq!(out(&version), concat!("temp-ingest ", env!("CARGO_PKG_VERSION"), "\n"));
    for command in [
        "run",
        "check",
        "doctor",
        "simulate",
        "backtest",
        "incidents",
        "cost",
        "dead-letter",
    ] {
        let help = temp_ingest(home.path()).args([command, "--help"]).output().unwrap();
        assert_eq!(help.status.code(), Some(0), "{command}");
        assert!(out(&help).contains("Usage: temp-ingest "), "{command}: {}", out(&help));
    }
}

#[test]
fn a_wrong_command_line_exits_with_78() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["chekc"][..],
        &["check", "--confg", "x"],
        &["incidents", "mute", "sensor"],
        &[],
    ] {
        let output = temp_ingest(home.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert!(err(&output).contains("Usage: temp-ingest"), "{}", err(&output));
    }
}

#[test]
fn check_says_every_problem_with_its_line_and_exits_with_78() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("bad.toml"), "lanes = 24\n[admin]\nlisten = \"9184\"\n").unwrap();
    let output = temp_ingest(home.path())
        .args(["check", "--config", "bad.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    for place in [
        "bad.toml:1:9: lanes: 24 is not",
        "bad.toml:3:10: admin.listen: \"9184\" is not",
    ] {
        assert!(err(&output).contains(place), "{}", err(&output));
    }
    let missing = temp_ingest(home.path())
        .args(["check", "--config", "gone.toml"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(78));
    assert!(err(&missing).starts_with("gone.toml: "), "{}", err(&missing));
    let variable = temp_ingest(home.path())
        .arg("check")
        .env("TEMP_INGEST__ADMIN__LISEN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(variable.status.code(), Some(78));
    assert!(
        err(&variable).starts_with("TEMP_INGEST__ADMIN__LISEN: unknown field"),
        "{}",
        err(&variable)
    );
}

#[test]
fn check_accepts_what_is_shipped() {
    let home = tempfile::tempdir().unwrap();
    let embedded = temp_ingest(home.path()).arg("check").output().unwrap();
    assert_eq!(
        (embedded.status.code(), out(&embedded)),
        (Some(0), "embedded default: the settings hold\n")
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/config.toml");
    let commented = temp_ingest(home.path())
        .args(["check", "--config", file])
        .output()
        .unwrap();
    assert_eq!(commented.status.code(), Some(0), "{}", err(&commented));
    assert!(
        out(&commented).contains("no [source.NAME] table"),
        "{}",
        out(&commented)
    );
}

#[test]
fn lists_of_a_new_user_are_empty_or_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let letters = temp_ingest(home.path()).args(["dead-letter", "list"]).output().unwrap();
    assert_eq!(letters.status.code(), Some(0), "{}", err(&letters));
    assert!(out(&letters).starts_with("no dead letters in "), "{}", out(&letters));
    let incidents = temp_ingest(home.path()).args(["incidents", "list"]).output().unwrap();
    assert_eq!(incidents.status.code(), Some(1));
    assert!(
        err(&incidents).starts_with("temp-ingest: there is no store "),
        "{}",
        err(&incidents)
    );
}

#[test]
fn simulate_writes_readings_and_the_truth_about_their_faults() {
    let home = tempfile::tempdir().unwrap();
    let arguments = [
        "simulate",
        "--profile",
        "wind",
        "--sensors",
        "3",
        "--seed",
        "7",
        "--labels",
        "truth.jsonl",
    ];
    let simulated = || {
        temp_ingest(home.path())
            .args(arguments)
            .args(["--count", "20000"])
            .output()
            .unwrap()
    };
    let output = simulated();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let mut decoder = wire::json::Decoder::new();
    assert_eq!(
        out(&output)
            .lines()
            .filter(|line| decoder.decode(line.as_bytes()).is_ok())
            .count(),
        20_000
    );
    let truth = fs::read_to_string(home.path().join("truth.jsonl")).unwrap();
    assert!(
        truth.lines().all(|line| line.starts_with('{')) && !truth.is_empty(),
        "{truth}"
    );
    assert_eq!(simulated().stdout, output.stdout);

    // Nobody reads on, as with `head`: that is a clean end.
    let mut endless = temp_ingest(home.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(endless.stdout.take());
    assert_eq!(endless.wait().unwrap().code(), Some(0));
}

/// The binary's `doctor` against an endpoint of our own.
fn doctor(home: &Path, endpoint: &Endpoint, stream: &str) -> Command {
    let mut command = temp_ingest(home);
    command
        .arg("doctor")
        .env("TEMP_INGEST__SINK", "kinesis")
        .env("TEMP_INGEST__KINESIS__STREAM", stream)
        .env("TEMP_INGEST__ADMIN__LISTEN", "127.0.0.1:0")
        .env("AWS_ENDPOINT_URL", endpoint.url())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAFIRST")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

#[test]
fn doctor_finds_everything_well_and_puts_nothing() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config {
        shards: 4,
        ..Config::default()
    })
    .unwrap();
    let output = doctor(home.path(), &endpoint, "readings").output().unwrap();
    let told = out(&output);
    assert_eq!(output.status.code(), Some(0), "{told}{}", err(&output));
    for line in [
        "ok   config       embedded default holds\n",
        "ok   region       eu-central-1\n",
        "ok   credentials  arn:aws:",
        "ok   stream       readings has 4 open shards\n",
        "ok   permission   may put records\n",
        "ok   port         127.0.0.1:0 is free\n",
    ] {
        assert!(told.contains(line), "{line:?} in\n{told}");
    }
    assert!(told.contains("ok   spool "), "{told}");
    assert_eq!(endpoint.stop().accepted, 0);
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        0,
        "doctor leaves something behind"
    );
}

#[test]
fn doctor_says_what_is_wrong_with_a_stream() {
    let home = tempfile::tempdir().unwrap();
    let auto = Config {
        shards: 32,
        strategy: Strategy::Auto,
        ..Config::default()
    };
    let endpoint = Endpoint::start(auto).unwrap();
    let output = doctor(home.path(), &endpoint, "readings").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = out(&output);
    assert!(
        told.contains("BAD  strategy     stream readings has the record distribution strategy AUTO"),
        "{told}"
    );
    assert!(
        told.contains("warn lanes        16 lanes cannot use 32 shards; set lanes = 32"),
        "{told}"
    );

    let output = doctor(home.path(), &endpoint, "raedings").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("BAD  stream       raedings does not exist"),
        "{}",
        out(&output)
    );
}

#[test]
fn doctor_says_where_credentials_and_region_come_from() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let nobody = doctor(home.path(), &endpoint, "readings")
        .env_remove("AWS_ACCESS_KEY_ID")
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(out(&nobody).contains("BAD  credentials "), "{}", out(&nobody));
    let nowhere = doctor(home.path(), &endpoint, "readings")
        .env_remove("AWS_REGION")
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        out(&nowhere).contains("BAD  region       none is set; set kinesis.region"),
        "{}",
        out(&nowhere)
    );
}

#[test]
fn doctor_says_which_permission_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    endpoint
        .apply(endpoint::Command::Deny(vec![
            Operation::PutRecords,
            Operation::DescribeStreamSummary,
        ]))
        .unwrap();
    let output = doctor(home.path(), &endpoint, "readings").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = out(&output);
    assert!(told.contains("warn stream       may not be described"), "{told}");
    assert!(
        told.contains("BAD  permission   may not put; allow kinesis:PutRecords"),
        "{told}"
    );
}

#[test]
fn the_embedded_default_shows_an_incident_open_and_resolve_within_three_minutes() {
    let home = tempfile::tempdir().unwrap();
    let output = temp_ingest(home.path())
        .arg("run")
        .env("TEMP_INGEST__ADMIN__LISTEN", "127.0.0.1:0")
        // Three minutes of ten sensors, and the whole series, as fast as the pipeline takes them.
        .env("TEMP_INGEST__SOURCE__HOUSE__SPEED", "max")
        .env("TEMP_INGEST__SOURCE__HOUSE__COUNT", "1800")
        .env("TEMP_INGEST__SOURCE__HOUSE__START", "2026-03-01T12:00:00Z")
        .env("TEMP_INGEST__SOURCE__SERVER__SPEED", "max")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let changes = |change: &str| {
        let house = |line: &&str| line.starts_with("2026-03-01 12:0") && line.contains(change);
        out(&output).lines().filter(house).count()
    };
    assert!(changes(" opened ") >= 1, "{}", out(&output));
    assert!(changes(" resolved ") >= 1, "{}", out(&output));
    let list = temp_ingest(home.path()).args(["incidents", "list"]).output().unwrap();
    assert!(out(&list).contains("house-0"), "{}", out(&list));
}

#[test]
fn backtest_scores_every_row_and_sums_up() {
    let home = tempfile::tempdir().unwrap();
    // Noise around 20 that never repeats, and one value far off.
    let row = |minute: u32| match minute {
        900 => 60.0,
        _ => 20.0 + f64::from(minute * 7 % 11) / 10.0 + f64::from(minute) / 1e5,
    };
    let rows: Vec<_> = (0..1_000)
        .map(|minute| format!("2024-01-01 {:02}:{:02}:00,{}", minute / 60, minute % 60, row(minute)))
        .collect();
    fs::write(
        home.path().join("house.csv"),
        format!("timestamp,value\n{}\n", rows.join("\n")),
    )
    .unwrap();
    let output = temp_ingest(home.path())
        .args(["backtest", "house.csv", "--profile", "temperature"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let mut scored = out(&output).lines();
    assert_eq!(scored.next(), Some("timestamp,value,anomaly_score,incident"));
    let scored: Vec<_> = scored.collect();
    assert_eq!(scored.len(), rows.len());
    assert!(
        scored
            .iter()
            .zip(&rows)
            .all(|(scored, row)| scored.starts_with(row.as_str()))
    );
    assert!(scored[900].ends_with(",1"), "{}", scored[900]);
    let told = err(&output);
    assert!(
        told.starts_with(
            "house.csv: 1,000 rows from 2024-01-01 00:00:00 to 2024-01-01 16:39:00 UTC, usually every 1m\n\
            read as time timestamp (ISO 8601, UTC where it names no zone), value value; separated by commas\n\n1 incident"
        ),
        "{told}"
    );
    let incident = told.lines().last().unwrap();
    assert!(
        incident.starts_with("  1  2024-01-01 15:00:00  ") && incident.contains("  60  "),
        "{told}"
    );

    // Nobody reads on: more rows than a pipe holds.
    let long = format!("timestamp,value\n{}", "2024-01-01 00:00:00,1\n".repeat(10_000));
    fs::write(home.path().join("long.csv"), long).unwrap();
    let mut unread = temp_ingest(home.path())
        .args(["backtest", "long.csv"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(unread.stdout.take());
    assert_eq!(unread.wait().unwrap().code(), Some(0));

    let missing = temp_ingest(home.path())
        .args(["backtest", "gone.csv"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        err(&missing).starts_with("temp-ingest: opening gone.csv: "),
        "{}",
        err(&missing)
    );
}

#[test]
fn backtest_reads_what_people_have() {
    let home = tempfile::tempdir().unwrap();
    let backtest = |arguments: &[&str], input: &str| {
        let mut command = temp_ingest(home.path());
        command.arg("backtest").args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What refuses its command line reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let german = "Zeit;Raum;Temperatur [°C]\r\n01.05.2024 12:00;Küche;21,5\r\n13.05.2024 12:00;Küche;\r\n";
    let asked = ["-", "--zone", "Europe/Berlin", "--sensor", "raum"];
    let output = backtest(&asked, german);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(
        out(&output),
        "timestamp,sensor,value,anomaly_score,incident\n\
        01.05.2024 12:00,Küche,\"21,5\",0,\n\
        13.05.2024 12:00,Küche,,0,\n"
    );
    assert!(
        err(&output).starts_with(
            "standard input: 2 rows of 1 sensor from 2024-05-01 12:00:00 to 2024-05-01 12:00:00 Europe/Berlin"
        ),
        "{}",
        err(&output)
    );
    assert!(
        err(&output).contains("written with score 0: 1 missing\n"),
        "{}",
        err(&output)
    );

    // To a file, with the summary as JSON.
    let output = backtest(&["-", "--out", "scored.csv", "--json"], "1714557600,1\n1714557660,2\n");
    assert_eq!((output.status.code(), out(&output)), (Some(0), ""), "{}", err(&output));
    let summary: serde_json::Value = serde_json::from_str(err(&output)).unwrap();
    assert_eq!(
        (&summary["rows"], &summary["span"][0]),
        (&2.into(), &"2024-05-01T10:00:00.000000Z".into())
    );
    let scored = fs::read_to_string(home.path().join("scored.csv")).unwrap();
    assert_eq!(
        scored,
        "timestamp,value,anomaly_score,incident\n1714557600,1,0,\n1714557660,2,0,\n"
    );

    // A drawing.
    let output = backtest(
        &["-", "--plot", "drawn.svg", "--time-format", "unix"],
        "0,1\n60,2\n120,3\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let svg = fs::read_to_string(home.path().join("drawn.svg")).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("<title id=\"title\">standard input: 3 rows, 0 incidents</title>")
    );

    // What could mean two things is asked for, and the history itself is never written over.
    let output = backtest(&["-"], "date,value\n01/05/2024,1\n");
    assert_eq!((output.status.code(), out(&output)), (Some(1), ""));
    assert!(
        err(&output).starts_with("temp-ingest: standard input:1: the times of column \"date\" are ambiguous: "),
        "{}",
        err(&output)
    );
    let output = backtest(&["scored.csv", "--out", "./scored.csv"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("is the history itself"), "{}", err(&output));
    assert_eq!(fs::read_to_string(home.path().join("scored.csv")).unwrap(), scored);
    for (arguments, told) in [
        (&["-", "--zone", "Europe/Berln"][..], "\"Europe/Berln\" is no time zone"),
        (
            &["-", "--time-format", "%H:%M"],
            "year, month and day must be among them",
        ),
        (&["-", "--delimiter", "::"], "use one character"),
    ] {
        let output = backtest(arguments, "");
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert!(err(&output).contains(told), "{}", err(&output));
    }
}

#[test]
fn backtest_reads_what_simulate_writes() {
    let home = tempfile::tempdir().unwrap();
    let simulated = temp_ingest(home.path())
        .args([
            "simulate",
            "--profile",
            "temperature",
            "--sensors",
            "3",
            "--count",
            "3000",
        ])
        .output()
        .unwrap();
    fs::write(home.path().join("house.jsonl"), &simulated.stdout).unwrap();
    let output = temp_ingest(home.path())
        .args(["backtest", "house.jsonl"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(
        err(&output).starts_with("house.jsonl: 3,000 rows of 3 sensors from 2024-01-01 00:00:00 to "),
        "{}",
        err(&output)
    );
    let second = out(&output).lines().nth(2).unwrap();
    assert!(
        second.starts_with("2024-01-01T00:00:00.000000Z,temperature-002,"),
        "{second}"
    );
}

#[test]
fn cost_answers_or_says_what_it_takes() {
    let home = tempfile::tempdir().unwrap();
    let cost = |arguments: &[&str]| temp_ingest(home.path()).arg("cost").args(arguments).output().unwrap();
    let text = cost(&["--rate", "1000", "--size", "100"]);
    assert_eq!(text.status.code(), Some(0), "{}", err(&text));
    assert!(
        out(&text).contains("$ a month") && out(&text).contains("Taken for granted:"),
        "{}",
        out(&text)
    );
    let json = cost(&["--rate", "0.5", "--size", "100", "--sensors", "20", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["load"]["sensors"], 20.0);
    let refused = cost(&["--rate", "0", "--size", "100"]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        err(&refused).starts_with("--rate 0: write a number from 0.001 to "),
        "{}",
        err(&refused)
    );
}
