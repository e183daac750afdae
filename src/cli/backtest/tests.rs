#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn options() -> Options {
    Options {
        path: "history.csv".into(),
        wanted: Wanted::default(),
        described: Described {
            sensor: "history".into(),
            kind: None,
        },
        zone: Zone::UTC,
    }
}

fn run(input: &[u8], options: &Options) -> Result<(Summary, String), BacktestError> {
    let mut out = Vec::new();
    let mut plot = Plot::new(2.0);
    let watched = Watched {
        progress: None::<Progress<Vec<u8>>>,
        plot: Some(&mut plot),
    };
    let summary = backtest(input, options, &Settings::default(), watched, || Ok(&mut out))?;
    assert!(plot.svg(&summary).unwrap().ends_with("</svg>\n"));
    Ok((summary, String::from_utf8(out).unwrap()))
}

fn judged(input: &str) -> (Summary, String) {
    run(input.as_bytes(), &options()).unwrap()
}

fn refused(input: &[u8], options: &Options) -> String {
    run(input, options).map(|_| ()).unwrap_err().to_string()
}

fn with(wanted: Wanted) -> Options {
    Options { wanted, ..options() }
}

/// A value a minute, noise around 20 that never repeats, with what `at` puts elsewhere.
fn series(minutes: u32, at: impl Fn(u32) -> Option<f64>) -> String {
    let mut text = String::from("timestamp,value\n");
    for minute in 0..minutes {
        let noise = 20.0 + f64::from(minute * 7 % 11) / 10.0 + f64::from(minute) / 1e5;
        let (day, hour) = (1 + minute / 1_440, minute / 60 % 24);
        let value = at(minute).unwrap_or(noise);
        writeln!(text, "2024-05-{day:02} {hour:02}:{:02}:00,{value}", minute % 60).unwrap();
    }
    text
}

#[test]
fn every_row_gives_a_row_as_it_was() {
    let (summary, out) = judged(
        "note,value,timestamp\n\
        a,5.50,2024-05-01 10:00:00\n\
        b,warm,2024-05-01 10:00:01\n\
        c,15,2024-05-01T10:00:02Z\n\
        d,5,2024-05-01 10:00:02\n\
        e\n\
        f,nan,2024-05-01 10:00:03\n\
        \"g, h\",5,2024-05-01T12:00:03.5+02:00\n",
    );
    let expected = "timestamp,value,anomaly_score,incident\n\
        2024-05-01 10:00:00,5.50,0,\n\
        2024-05-01 10:00:01,warm,0,\n\
        2024-05-01T10:00:02Z,15,0,\n\
        2024-05-01 10:00:02,5,0,\n\
        ,,0,\n\
        2024-05-01 10:00:03,nan,0,\n\
        2024-05-01T12:00:03.5+02:00,5,0,\n";
    assert_eq!(out, expected);
    assert_eq!(
        (summary.rows, summary.late, summary.missing, summary.malformed),
        (7, 1, 1, 2)
    );
    let told: Vec<_> = summary
        .reasons
        .iter()
        .map(|(line, reason)| (*line, reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, "value \"warm\" is not a number"),
            (6, "timestamp is not there: the row has 1 columns")
        ]
    );
}

#[test]
fn an_incident_is_numbered_and_lasts_over_rows_that_are_none() {
    let history = series(1_200, |minute| (minute == 1_000).then_some(60.0));
    let line = "2024-05-01 16:41:00,20";
    let place = history.find(line).unwrap();
    let history = format!(
        "{}2024-05-01 16:40:30,warm\n,\n{}",
        &history[..place],
        &history[place..]
    );
    let (summary, out) = judged(&history);
    let rows: Vec<_> = out.lines().skip(1).collect();
    assert!(
        rows[1_000].starts_with("2024-05-01 16:40:00,60,") && rows[1_000].ends_with(",1"),
        "{}",
        rows[1_000]
    );
    assert_eq!(rows[1_001], "2024-05-01 16:40:30,warm,0,1");
    assert_eq!(rows[1_002], ",,0,1");
    assert!(rows[999].ends_with(',') && rows[1_100].ends_with(','));
    let [incident] = summary.incidents.as_slice() else {
        panic!("{}", summary.text(true))
    };
    assert_eq!(incident.value, wire::Value::Scalar(60.0));
    assert!(incident.peak >= 2.0 && incident.end.is_some());
    let (lowest, highest) = incident.expected.unwrap();
    assert!(lowest < highest && highest < 60.0, "{lowest} to {highest}");
}

#[test]
fn no_row_is_judged_by_a_later_one() {
    let history = series(1_000, |minute| (minute == 700).then_some(28.0));
    let (_, whole) = judged(&history);
    let half: String = history.split_inclusive('\n').take(601).collect();
    let (_, part) = judged(&half);
    assert!(whole.starts_with(&part) && part.lines().count() == 601);
}

#[test]
fn however_a_table_is_written_the_same_is_found() {
    let expected = judged("timestamp,value\n2024-05-13 10:00:00,1234.5\n2024-05-13 10:01:00,-2.5\n")
        .0
        .span;
    assert!(expected.is_some());
    for (input, read_as) in [
        (
            "\u{feff}timestamp,value\r\n2024-05-13 10:00:00,1234.5\r\n2024-05-13 10:01:00,-2.5\r\n",
            "time timestamp (ISO 8601",
        ),
        (
            "Time;Temperature (°C)\n13.05.2024 10:00;1.234,5\n13.05.2024 10:01;-2,5\n",
            "%d.%m.%Y %H:%M",
        ),
        (
            "sep=;\r\nDate;T\r\n13/05/2024 10:00;1234,5\r\n13/05/2024 10:01;-2,5",
            "decimal comma",
        ),
        (
            "ts\tvalue\n1715594400\t1234.5\n1715594460\t-2.5\n",
            "Unix seconds), value value; separated by tabs",
        ),
        (
            "1715594400000,1234.5\n1715594460000,-2.5\n",
            "time column 1 (Unix milliseconds), value column 2; separated by commas, no header",
        ),
        (
            "\"Date\",\"Time\",\"CO\"\n\"05/13/2024\",\"10:00:00 AM\",\"1234.5\"\n\"05/13/2024\",\"10:01:00 AM\",\"-2.5\"\n",
            "time Date + Time (%m/%d/%Y %I:%M:%S %p",
        ),
        (",T\n2024-05-13 10:00:00,1234.5\n2024-05-13 10:01:00,-2.5\n", "ISO 8601"),
        (
            "id,when,reading,note\n7,13 May 2024 10:00,1234.5,a\n8,13 May 2024 10:01,-2.5,b\n",
            "none",
        ),
        (
            "note;Zeitstempel;Wert\nx;2024-05-13T10:00:00Z;1234,5\ny;2024-05-13T10:01:00Z;-2,5\n",
            "value Wert",
        ),
    ] {
        if read_as == "none" {
            // Two columns of numbers: that must be said.
            assert!(
                refused(input.as_bytes(), &options()).contains("several columns hold numbers, \"id\", \"reading\"")
            );
            continue;
        }
        let (summary, out) = judged(input);
        assert_eq!(summary.span, expected, "{input}: {}", summary.read_as);
        assert!(summary.read_as.contains(read_as), "{input}: {}", summary.read_as);
        assert_eq!(
            (summary.rows, summary.malformed, out.lines().count()),
            (2, 0, 3),
            "{input}: {out}"
        );
    }
}

#[test]
fn columns_are_taken_as_they_are_named() {
    let table = "id,made,sent,low,high\n1,2024-05-01 10:00:00,2024-05-01 10:00:09,1,2\n1,2024-05-01 10:01:00,2024-05-01 10:01:09,3,4\n";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert!(
        refused(table.as_bytes(), &options())
            .contains("several columns look like times, \"made\", \"sent\": say which it is with --time")
    );
    let wanted = Wanted {
        time: names(&["Made"]),
        value: names(&["low", "5"]),
        ..Wanted::default()
    };
    let (summary, out) = run(table.as_bytes(), &with(wanted.clone())).unwrap();
    assert_eq!(
        out,
        "timestamp,low,high,anomaly_score,incident\n2024-05-01 10:00:00,1,2,0,\n2024-05-01 10:01:00,3,4,0,\n"
    );
    assert_eq!((summary.rows, summary.interval), (2, Some(60_000_000)));
    let several = Wanted {
        value: names(&["low"]),
        sensor: Some("id".into()),
        ..wanted.clone()
    };
    let (summary, out) = run(table.as_bytes(), &with(several)).unwrap();
    assert!(
        out.starts_with("timestamp,sensor,value,anomaly_score,incident\n2024-05-01 10:00:00,1,1,0,\n"),
        "{out}"
    );
    assert_eq!(summary.sensors, 1);
    let misspelt = Wanted {
        value: names(&["lwo"]),
        ..wanted
    };
    let told = refused(table.as_bytes(), &with(misspelt));
    assert!(
        told.starts_with("history.csv:1: --value \"lwo\" names no column: there are \"id\", \"made\","),
        "{told}"
    );
}

#[test]
fn sensors_of_one_table_are_judged_each_by_itself() {
    let mut table = String::from("time,device,value\n");
    for minute in 0..1_200 {
        let noise = f64::from(minute * 7 % 11) / 10.0 + f64::from(minute) / 1e5;
        let (hour, minute) = (minute / 60, minute % 60);
        let far = if (hour, minute) == (16, 40) { 40.0 } else { 0.0 };
        writeln!(
            table,
            "2024-05-01 {hour:02}:{minute:02}:00,kitchen,{}",
            20.0 + noise + far
        )
        .unwrap();
        // It falls silent after 15 hours.
        if hour < 15 {
            writeln!(table, "2024-05-01 {hour:02}:{minute:02}:00,cellar,{}", 8.0 + noise).unwrap();
        }
    }
    table += "2024-05-01 19:59:30,kitchen,broken\n2024-05-01 19:59:30,,3\n";
    let (summary, out) = judged(&table);
    assert!(out.starts_with("timestamp,sensor,value,anomaly_score,incident\n2024-05-01 00:00:00,kitchen,20,0,\n"));
    let found: Vec<_> = summary
        .incidents
        .iter()
        .map(|incident| (incident.sensor.as_str(), incident.kinds.contains(&"Silent")))
        .collect();
    assert_eq!(found, [("cellar", true), ("kitchen", false)], "{}", summary.text(true));
    assert_eq!((summary.sensors, summary.malformed), (2, 2));
    let row = out
        .lines()
        .find(|line| line.starts_with("2024-05-01 16:40:00,kitchen,"))
        .unwrap();
    assert!(row.ends_with(",2"), "{row}");
}

#[test]
fn readings_in_json_lines_are_known_by_their_first_character() {
    let lines = "{\"sensor\":\"a, b\",\"time\":\"2024-05-01T10:00:00Z\",\"kind\":\"load\",\"value\":1.5}\n\
        \n\
        {\"sensor\":\"a, b\",\"time\":\"2024-05-01T10:00:01Z\",\"kind\":\"load\",\"value\":[1,2.5]}\n\
        {\"sensor\":\"a, b\",\"time\":\"2024-05-01T10:00:02Z\",\"kind\":\"load\",\"value\":null}\n\
        {\"sensor\":\n";
    let (summary, out) = judged(lines);
    assert_eq!(
        out,
        "timestamp,sensor,value,anomaly_score,incident\n\
        2024-05-01T10:00:00.000000Z,\"a, b\",1.5,0,\n\
        2024-05-01T10:00:01.000000Z,\"a, b\",\"[1,2.5]\",0,\n\
        ,,,0,\n\
        ,,,0,\n"
    );
    assert_eq!((summary.rows, summary.missing, summary.malformed), (4, 1, 1));
    assert_eq!(summary.reasons[0].0, 5);
    let named = with(Wanted {
        time: vec!["time".into()],
        ..Wanted::default()
    });
    assert!(refused(lines.as_bytes(), &named).contains("leave --time"));
}

#[test]
fn a_zone_moves_times_that_name_none() {
    let table = "time,value\n01.05.2024 12:00,1\n13.05.2024 12:00,1\n";
    let berlin = Options {
        zone: "Europe/Berlin".parse().unwrap(),
        ..options()
    };
    let (summary, _) = run(table.as_bytes(), &berlin).unwrap();
    assert_eq!(summary.span.unwrap().0.to_string(), "2024-05-01T10:00:00.000000Z");
    let told = summary.text(false).to_string();
    assert!(
        told.contains("from 2024-05-01 12:00:00 to 2024-05-13 12:00:00 Europe/Berlin"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_told_is_refused_with_a_remedy() {
    let wanted = Wanted::default();
    let format = |format: &str| Wanted {
        time_format: Some(format.parse().unwrap()),
        ..Wanted::default()
    };
    for (input, wanted, told) in [
        (&b""[..], wanted.clone(), "history.csv:1: there is nothing in it"),
        (
            b"timestamp\n",
            wanted.clone(),
            "one column, \"timestamp\", is not enough",
        ),
        (b"1.5\n2.5\n", wanted.clone(), "one column"),
        (
            b"a,b\nx,y\n",
            wanted.clone(),
            "no column looks like a time: say which of \"a\", \"b\"",
        ),
        (
            b"time,b\n2024-05-01,y\n",
            wanted.clone(),
            "no column of numbers: say which of \"b\"",
        ),
        (
            b"time,value\nnoon,1\n",
            wanted.clone(),
            "column \"time\" is in no time format known here; its first text is \"noon\"",
        ),
        (
            b"time,value\n0,1\n1,2\n",
            wanted.clone(),
            "in no time format known here; its first text is \"0\": say how it is written with --time-format",
        ),
        (
            b"time,value\n01/05/2024,1\n02/05/2024,1\n",
            wanted.clone(),
            "\"01/05/2024\" is 2024-05-01T00:00 by %d/%m/%Y and 2024-01-05T00:00 by %m/%d/%Y; say which with --time-format \"%d/%m/%Y\" or --time-format \"%m/%d/%Y\"",
        ),
        (
            b"time,value\n01/05/2024,1\n",
            format("%Y-%m-%d"),
            "no time of column \"time\" is written as %Y-%m-%d; the first is \"01/05/2024\"",
        ),
        (
            b"sep=;\ntime;b\n2024-05-01;y\n",
            wanted.clone(),
            "history.csv:2: no column of numbers",
        ),
        (b"\xff\xfet\0i\0m\0e\0", wanted.clone(), "it is UTF-16"),
        (b"PK\x03\x04", wanted.clone(), "a workbook: save the sheet as CSV"),
        (b"[{}]", wanted, "a JSON array"),
    ] {
        let error = refused(input, &with(wanted));
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(run(b"time,value\n01/05/2024,1\n", &with(format("%m/%d/%Y"))).is_ok());
    assert!(run(b"time,value\n0,1\n0.5,2\n", &with(format("unix"))).is_ok());
}

#[test]
fn a_later_row_decides_what_the_first_leave_open() {
    let mut table = String::from("time,value\n");
    // More than is looked at first, all of days that could be months.
    for row in 0..10_000 {
        writeln!(
            table,
            "{:02}/06/2024 {:02}:{:02},1",
            1 + row / 1_440,
            row / 60 % 24,
            row % 60
        )
        .unwrap();
    }
    assert!(table.len() > 2 * (64 << 10));
    assert!(refused(table.as_bytes(), &options()).contains("ambiguous"));
    table += "13/06/2024 00:00,1\n";
    let (summary, _) = judged(&table);
    assert_eq!((summary.rows, summary.late, summary.malformed), (10_001, 0, 0));
}

#[test]
fn an_empty_history_has_no_incident() {
    let (summary, out) = judged("timestamp,value\n");
    assert!(
        summary
            .text(false)
            .to_string()
            .starts_with("history.csv: 0 rows\nread as ")
    );
    assert!(summary.text(false).to_string().ends_with("\nno incident"));
    assert_eq!(out, "timestamp,value,anomaly_score,incident\n");
}

#[test]
fn the_worst_incidents_are_told_first() {
    let history = series(20_000, |minute| {
        ((900..19_000).contains(&minute) && minute % 600 == 0).then(|| 60.0 + f64::from(minute))
    });
    let (summary, _) = judged(&history);
    let count = summary.incidents.len();
    assert!(count > 21, "{count}");
    let told = summary.text(false).to_string();
    assert!(
        told.contains(&format!("\n\n{count} incidents; the worst 20 first\n")),
        "{told}"
    );
    assert!(
        told.ends_with(&format!(
            "\n{} more of lower scores are not shown: --all shows them",
            count - 20
        )),
        "{told}"
    );
    let all = summary.text(true).to_string();
    assert_eq!(all.lines().filter(|line| line.contains("2024-05-")).count(), count + 1);
    let scores: Vec<f64> = told
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.parse().ok())
        .collect();
    assert_eq!(scores.len(), 20);
    assert!(scores.is_sorted_by(|one, other| one >= other), "{scores:?}");
    let json: serde_json::Value = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["incidents"].as_array().unwrap().len(), count);
    assert_eq!(json["interval_us"], 60_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_never_panics_and_gives_a_row_for_each(
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
        near in "(([0-9]{1,4}[-/. :T]?){0,6}[,;\t][-+0-9.,e\"a-z{}]{0,9}[\r\n]{1,2}){0,12}",
    ) {
        let _ = run(&garbage, &options());
        for head in ["", "timestamp,value\n", "time;value\n", "{"] {
            if let Ok((summary, out)) = run(format!("{head}{near}").as_bytes(), &options()) {
                let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(out.as_bytes());
                prop_assert_eq!(rows.byte_records().count() as u64, summary.rows);
                prop_assert!(!summary.text(true).to_string().is_empty());
            }
        }
    }
}
