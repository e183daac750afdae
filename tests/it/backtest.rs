//! `temp-ingest backtest` over the files that people have.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::command::{err, out, temp_ingest};

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
