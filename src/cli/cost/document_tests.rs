//! docs/costs.md and docs/operations.md say what the command and the templates say.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use super::table::grouped;
use super::*;

const DOCUMENT: &str = include_str!("../../../docs/costs.md");

fn dollars(amount: f64) -> String {
    format!("${}", grouped(amount, 2))
}

fn column(estimate: &Estimate, way: Way, mode: Mode) -> &Column {
    let mut columns = estimate.columns.iter();
    columns.find(|column| (column.way, column.mode) == (way, mode)).unwrap()
}

fn load(sensors: f64) -> Load {
    Load {
        rate: sensors,
        size: 100,
        ..Load::default()
    }
}

/// The aggregated way in a provisioned stream.
fn month(load: &Load) -> String {
    dollars(
        column(&estimate(load).unwrap(), Way::Aggregated, Mode::Provisioned)
            .dollars
            .total,
    )
}

#[test]
fn the_table_of_costs_is_what_the_command_answers() {
    let mut rows = Vec::new();
    for sensors in [10.0, 1_000.0, 100_000.0] {
        let estimate = estimate(&load(sensors)).unwrap();
        for way in Way::ALL {
            let Column {
                quantities,
                dollars: parts,
                ..
            } = column(&estimate, way, Mode::Provisioned);
            let mut cells = vec![
                grouped(sensors, 0),
                format!("`{}`", way.name()),
                grouped(quantities.shards, 0),
                grouped(quantities.records_per_second, 1),
            ];
            let costs = [
                parts.kinesis,
                parts.lambda,
                parts.dynamodb,
                parts.sns,
                parts.cloudwatch,
                parts.total,
            ];
            cells.extend(costs.map(dollars));
            cells.push(dollars(column(&estimate, way, Mode::OnDemand).dollars.total));
            rows.push(format!("| {} |\n", cells.join(" | ")));
        }
    }
    assert!(
        DOCUMENT.contains(&rows.concat()),
        "docs/costs.md should have:\n{}",
        rows.concat()
    );
}

#[test]
fn the_knobs_cost_what_the_document_says() {
    let base = load(1_000.0);
    assert!(
        DOCUMENT.contains(&format!("at 1,000 sensors ({})", month(&base))),
        "{}",
        month(&base)
    );
    let readings = Load {
        readings_days: 30,
        ..base.clone()
    };
    for (row, load) in [
        (
            "`lanes = 4`",
            Load {
                lanes: Some(4),
                ..base.clone()
            },
        ),
        (
            "`linger = \"5s\"`",
            Load {
                linger_ms: 5_000,
                ..base.clone()
            },
        ),
        (
            "`BatchWindowSeconds=10`",
            Load {
                batch_window: 10,
                ..base.clone()
            },
        ),
        ("every reading in a table for 30 days", readings.clone()),
    ] {
        let row = format!("| {row} | {} |", month(&load));
        assert!(DOCUMENT.contains(&row), "docs/costs.md should have: {row}");
    }
    let gathered = format!(
        "with `BatchWindowSeconds=60` {}",
        month(&Load {
            batch_window: 60,
            ..readings
        })
    );
    assert!(DOCUMENT.contains(&gathered), "docs/costs.md should have: {gathered}");
}

#[test]
fn what_a_house_keeps_costs_what_its_document_says() {
    let document = include_str!("../../../docs/smart_home.md");
    for window in [1, 60] {
        let house = Load {
            rate: 10.0,
            size: 120,
            sensors: Some(10),
            readings_days: 90,
            batch_window: window,
            ..Load::default()
        };
        let estimate = estimate(&house).unwrap();
        let column = column(&estimate, Way::Aggregated, Mode::Provisioned);
        let units = grouped(column.quantities.write_units / 1e6, 2);
        let row = format!("| {window} | {units} | {} |", grouped(column.dollars.dynamodb, 2));
        assert!(document.contains(&row), "docs/smart_home.md should have: {row}");
    }
}

#[test]
fn what_a_moment_takes_is_what_is_counted() {
    let sentence = work::moment_units().replacen('a', "A", 1) + ".";
    assert!(DOCUMENT.contains(&sentence), "docs/costs.md should have: {sentence}");
}

#[test]
fn every_alarm_has_its_row() {
    let template = include_str!("../../../cfn/alarms.yaml");
    let (_, resources) = template.split_once("\nResources:\n").unwrap();
    let names: Vec<&str> = resources
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect();
    // Log groups are an option, with an alarm of their own.
    let optional = template.matches("Condition: HasLogs\n").count();
    assert_eq!((names.len() - optional) as f64, bill::ALARMS);
    let operations = include_str!("../../../docs/operations.md");
    let (_, alarms) = operations.split_once("\n## Alarms\n").unwrap();
    let (alarms, _) = alarms.split_once("\n## ").unwrap();
    for name in names {
        let named =
            |line: &str| line.starts_with('|') && line.split('|').nth(1).unwrap().contains(&format!("`{name}`"));
        assert!(alarms.lines().any(named), "docs/operations.md says nothing of {name}");
    }
}
