//! The answer, as people read it or as JSON.

use std::io::{self, Write};

use super::{Column, Estimate, Mode};

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

struct Row {
    name: &'static str,
    decimals: usize,
    /// Where it means something in one mode only.
    mode: Option<Mode>,
    of: fn(&Column) -> f64,
}

const fn row(name: &'static str, decimals: usize, of: fn(&Column) -> f64) -> Row {
    Row {
        name,
        decimals,
        mode: None,
        of,
    }
}

const fn row_of(mode: Mode, name: &'static str, of: fn(&Column) -> f64) -> Row {
    Row {
        name,
        decimals: 2,
        mode: Some(mode),
        of,
    }
}

const ROWS: [Row; 19] = [
    row("shards", 0, |column| column.quantities.shards),
    row("records a second", 1, |column| column.quantities.records_per_second),
    row("readings a record", 1, |column| column.quantities.readings_per_record),
    row("KB a second", 1, |column| column.quantities.kb_per_second),
    row_of(Mode::Provisioned, "million PUT payload units", |column| {
        column.quantities.put_payload_units / 1e6
    }),
    row_of(Mode::OnDemand, "GB written", |column| column.quantities.gb_written),
    row("million Lambda invocations", 2, |column| {
        column.quantities.invocations / 1e6
    }),
    row("Lambda GB-seconds", 0, |column| column.quantities.gb_seconds),
    row("million DynamoDB write units", 2, |column| {
        column.quantities.write_units / 1e6
    }),
    row("million DynamoDB read units", 2, |column| {
        column.quantities.read_units / 1e6
    }),
    row("GB in DynamoDB", 2, |column| column.quantities.table_gb),
    row("SNS messages", 0, |column| column.quantities.messages),
    row("GB of logs", 2, |column| column.quantities.log_gb),
    row("$ Kinesis", 2, |column| column.dollars.kinesis),
    row("$ Lambda", 2, |column| column.dollars.lambda),
    row("$ DynamoDB", 2, |column| column.dollars.dynamodb),
    row("$ SNS", 2, |column| column.dollars.sns),
    row("$ CloudWatch", 2, |column| column.dollars.cloudwatch),
    row("$ a month", 2, |column| column.dollars.total),
];

/// Writes the answer.
pub fn write(estimate: &Estimate, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text(estimate, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, estimate)?;
            writeln!(out)
        }
    }
}

fn text(estimate: &Estimate, out: &mut dyn Write) -> io::Result<()> {
    let load = &estimate.load;
    writeln!(
        out,
        "{} readings a second of {} sensors, {} bytes each. Prices of {}, {}; a month of 730 hours.",
        grouped(load.rate, usize::from(load.rate.fract() > 0.0)),
        grouped(load.sensors, 0),
        grouped(f64::from(load.size), 0),
        estimate.region,
        estimate.prices
    )?;
    for mode in Mode::ALL {
        let columns: Vec<&Column> = estimate.columns.iter().filter(|column| column.mode == mode).collect();
        write!(out, "\n{:30}", mode.name())?;
        for column in &columns {
            write!(out, " {:>16}", column.way.name())?;
        }
        writeln!(out)?;
        for row in ROWS.iter().filter(|row| row.mode.is_none_or(|only| only == mode)) {
            write!(out, "  {:28}", row.name)?;
            for column in &columns {
                write!(out, " {:>16}", grouped((row.of)(column), row.decimals))?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "\nTaken for granted:")?;
    for assumption in &estimate.assumptions {
        writeln!(out, "- {assumption}")?;
    }
    for warning in &estimate.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// With a comma between thousands.
pub(super) fn grouped(value: f64, decimals: usize) -> String {
    let digits = format!("{value:.decimals$}");
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}
