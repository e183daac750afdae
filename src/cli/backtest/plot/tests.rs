#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use detect::Settings;

use super::*;
use crate::cli::backtest::columns::Wanted;
use crate::cli::backtest::progress::Progress;
use crate::cli::backtest::table::Described;
use crate::cli::backtest::time_format::Zone;
use crate::cli::backtest::{Options, Watched, backtest};

fn drawn(history: &str, value: &[&str]) -> (Summary, String) {
    let options = Options {
        path: "some/path/a & <b>.csv".into(),
        wanted: Wanted {
            value: value.iter().map(|name| (*name).to_owned()).collect(),
            ..Wanted::default()
        },
        described: Described {
            sensor: "history".into(),
            kind: None,
        },
        zone: Zone::UTC,
    };
    let mut plot = Plot::new(2.0);
    let watched = Watched {
        progress: None::<Progress<Vec<u8>>>,
        plot: Some(&mut plot),
    };
    let out = || Ok(io::sink());
    let summary = backtest(history.as_bytes(), &options, &Settings::default(), watched, out).unwrap();
    let svg = plot.svg(&summary).unwrap();
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\""),
        "{}",
        &svg[..100]
    );
    assert!(svg.ends_with("</svg>\n"));
    assert!(
        !svg.contains("NaN") && !svg.contains("inf\""),
        "a coordinate is no number"
    );
    (summary, svg)
}

/// The texts of a drawing.
fn texts(svg: &str) -> Vec<&str> {
    let texts = svg.split("<text").skip(1);
    texts
        .filter_map(|text| Some(text.split_once('>')?.1.split_once("</text>")?.0.trim()))
        .collect()
}

/// Noise that never repeats, every ten seconds, with one value far off.
fn series(rows: u32, far: u32) -> String {
    let mut text = String::from("time,Temperature (°C)\n");
    for row in 0..rows {
        let noise = 20.0 + f64::from(row * 7 % 11) / 10.0 + f64::from(row) / 1e6;
        let value = if row == far { 90.0 } else { noise };
        writeln!(text, "{},{value}", 1_714_521_600 + row * 10).unwrap();
    }
    text
}

#[test]
fn a_drawing_says_what_it_shows() {
    let (summary, svg) = drawn(&series(5_000, 4_000), &[]);
    assert_eq!(summary.incidents.len(), 1);
    assert!(svg.contains("<title id=\"title\">a &amp; &lt;b&gt;.csv: 5,000 rows, 1 incident</title>"));
    assert!(svg.contains("Number 1 of history opened 2024-05-01 11:06:40, "));
    let texts = texts(&svg);
    for expected in [
        "2024-05-01 00:00:00 to 2024-05-01 13:53:10 UTC",
        "Temperature, °C",
        "score",
        "expected",
        "alert at 2",
        "1",
        "09:00",
    ] {
        assert!(texts.contains(&expected), "{expected} in {texts:?}");
    }
    // The background does not depend on the viewer's.
    assert!(
        svg.contains("<rect x=\"0\" y=\"0\" width=\"4799\"") || svg.contains("<rect x=\"0\" y=\"0\" width=\"4800\"")
    );
}

#[test]
fn a_long_history_is_a_small_drawing_and_keeps_its_spike() {
    let highest = |svg: &str| {
        let lines = svg
            .split("stroke=\"#145294\"")
            .skip(1)
            .filter_map(|line| line.split_once("points=\"")?.1.split('"').next());
        let heights = lines
            .flat_map(str::split_whitespace)
            .filter_map(|point| point.split(',').nth(1)?.parse::<i32>().ok());
        heights.min()
    };
    let (_, short) = drawn(&series(2_000, 1_500), &[]);
    let (_, long) = drawn(&series(150_000, 100_000), &[]);
    assert!(long.len() < 400_000, "{}", long.len());
    assert!(highest(&long).is_some());
    assert_eq!(highest(&long), highest(&short));
}

#[test]
fn of_many_sensors_those_with_the_worst_incidents_are_drawn() {
    let mut table = String::from("time,sensor,value\n");
    for row in 0..1_500 {
        for sensor in 0..9 {
            let noise = f64::from(row * 7 % 11) / 10.0 + f64::from(row) / 1e5;
            let far = if row == 1_200 && sensor >= 3 {
                f64::from(sensor) * 9.0
            } else {
                0.0
            };
            writeln!(table, "{},s{sensor},{}", 1_714_521_600 + row * 60, 20.0 + noise + far).unwrap();
        }
    }
    let (_, svg) = drawn(&table, &[]);
    let texts = texts(&svg);
    assert!(
        texts
            .iter()
            .any(|text| text.ends_with("the 6 of 9 sensors with the worst incidents")),
        "{texts:?}"
    );
    let drawn: Vec<_> = texts.iter().filter(|text| text.ends_with(": value")).collect();
    assert_eq!(
        drawn,
        [
            "s3: value",
            "s4: value",
            "s5: value",
            "s6: value",
            "s7: value",
            "s8: value"
        ]
        .iter()
        .collect::<Vec<_>>()
    );
}

#[test]
fn a_vector_has_a_panel_for_each_of_its_numbers() {
    let mut table = String::from("time,temp,hum\n");
    for row in 0..500 {
        writeln!(table, "{},{},{}", 1_714_521_600 + row * 60, row % 7, 900 + row % 5).unwrap();
    }
    let (_, svg) = drawn(&table, &["temp", "hum"]);
    let texts = texts(&svg);
    assert!(texts.contains(&"temp") && texts.contains(&"hum"), "{texts:?}");
}

#[test]
fn anything_can_be_drawn() {
    for rows in [
        "",
        "2024-05-01,1\n",
        "2024-05-01,1\n2024-05-02,1\n2024-05-03,1\n",
        "2024-05-01,1e308\n2024-05-02,-1e308\n2024-05-03,0\n",
        "2024-05-01,1e-308\n2024-05-02,2e-308\n",
        "0001-01-01,1\n9999-12-31,2\n",
        "2024-05-01T00:00:00.000001Z,1\n2024-05-01T00:00:00.000002Z,2\n",
        "2024-05-01,1000000000.001\n2024-05-02,1000000000.002\n",
    ] {
        let (summary, svg) = drawn(&format!("time,value\n{rows}"), &[]);
        assert_eq!(summary.rows as usize, rows.lines().count());
        assert_eq!(texts(&svg).contains(&"no reading"), rows.is_empty(), "{rows}");
    }
}
