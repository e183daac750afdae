//! The real binary: what it says and how it ends.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kinesis_fake::{Config, Endpoint, Operation, Strategy};

use crate::command::{err, out, temp_ingest};

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
        "completions",
        "man",
    ] {
        let help = temp_ingest(home.path()).args([command, "--help"]).output().unwrap();
        assert_eq!(help.status.code(), Some(0), "{command}");
        assert!(out(&help).contains("Usage: temp-ingest "), "{command}: {}", out(&help));
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let pages = home.path().join("made/man1");
    let written = temp_ingest(home.path())
        .arg("man")
        .arg("--dir")
        .arg(&pages)
        .output()
        .unwrap();
    assert_eq!(written.status.code(), Some(0), "{}", err(&written));
    let shown = out(&temp_ingest(home.path()).arg("man").output().unwrap()).to_owned();
    assert_eq!(fs::read_to_string(pages.join("temp-ingest.1")).unwrap(), shown);
    let named = shown
        .lines()
        .filter(|line| line.starts_with("temp\\-ingest\\-") && line.ends_with("(1)"));
    let named: Vec<_> = named
        .map(|line| line.replace("\\-", "-").replace("(1)", ".1"))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for page in named {
        assert!(pages.join(&page).exists(), "{page}");
    }
    for heading in ["FILES", "SIGNALS"] {
        assert!(shown.contains(&format!(".SH {heading}\n")), "{heading}");
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
    fs::write(
        home.path().join("bad.toml"),
        "lanes = 24\n[dashboard]\nlisten = \"9184\"\n",
    )
    .unwrap();
    let output = temp_ingest(home.path())
        .args(["check", "--config", "bad.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    for place in [
        "bad.toml:1:9: lanes: 24 is not",
        "bad.toml:3:10: dashboard.listen: \"9184\" is not",
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
        .env("TEMP_INGEST__DASHBOARD__LISEN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(variable.status.code(), Some(78));
    assert!(
        err(&variable).starts_with("TEMP_INGEST__DASHBOARD__LISEN: unknown field"),
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
        (Some(0), "embedded default: configuration OK\n")
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
        .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
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
        "ok   endpoint     http://127.0.0.1:",
        "ok   stream       readings has 4 open shards\n",
        "ok   permission   may put records\n",
        "ok   port         dashboard.listen = 127.0.0.1:0 is free\n",
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
fn doctor_says_who_we_are_before_and_after_a_role_is_assumed() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let doctor = || {
        let mut command = doctor(home.path(), &endpoint, "readings");
        command.env(
            "TEMP_INGEST__KINESIS__ROLE_ARN",
            "arn:aws:iam::210987654321:role/put-readings",
        );
        command.output().unwrap()
    };
    let output = doctor();
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    for line in [
        "ok   credentials  arn:aws:sts::123456789012:assumed-role/temp-ingest/i-0123456789abcdef0\n",
        "ok   role         arn:aws:sts::210987654321:assumed-role/put-readings/temp-ingest-",
        "ok   permission   may put records\n",
    ] {
        assert!(out(&output).contains(line), "{line:?} in\n{}", out(&output));
    }
    endpoint
        .apply(kinesis_fake::Command::Deny(vec![Operation::AssumeRole]))
        .unwrap();
    let output = doctor();
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    let told = "BAD  role         arn:aws:iam::210987654321:role/put-readings cannot be assumed: ";
    assert!(out(&output).contains(told), "{}", out(&output));
}

#[test]
fn doctor_says_which_permission_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    endpoint
        .apply(kinesis_fake::Command::Deny(vec![
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
        .env("TEMP_INGEST__DASHBOARD__LISTEN", "127.0.0.1:0")
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
