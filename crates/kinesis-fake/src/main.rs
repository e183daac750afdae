//! The endpoint as a process: its URL is the first line on stdout, what it counted the last.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kinesis_fake::{Blind, Config, Endpoint, Fault, Strategy};

/// A Kinesis endpoint on 127.0.0.1 that refuses, delays and breaks on demand.
#[derive(Parser)]
#[command(name = "kinesis-fake", version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Name of the stream
    #[arg(long, default_value = "readings")]
    stream: String,
    /// Number of shards
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// The stream is missing until it is created
    #[arg(long)]
    missing: bool,
    /// The stream distributes records by itself and ignores keys
    #[arg(long)]
    auto: bool,
    /// Largest record, in KiB
    #[arg(long, default_value_t = 1024)]
    max_record_kib: u32,
    /// Throughput of a shard as a multiple of Kinesis' own; unlimited without
    #[arg(long, value_name = "SCALE")]
    throttle: Option<f64>,
    /// How likely a fault is for a request that puts records, as partial=0.2; may be repeated
    #[arg(long = "chance", value_name = "FAULT=CHANCE", value_parser = chance)]
    chances: Vec<(Fault, f64)>,
    /// How likely a record of a partial failure is refused
    #[arg(long, default_value_t = 0.5)]
    partial_share: f64,
    /// How late a slow answer is, in milliseconds
    #[arg(long, default_value_t = 200)]
    slow_millis: u64,
    /// Same seed, same faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes accepted records to this file as JSON lines
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Keeps accepted records in memory, for GetRecords
    #[arg(long)]
    keep: bool,
    /// Does no work: accepts everything without reading it, for benchmarks; nothing else then counts
    #[arg(long)]
    blind: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr closed nobody is left to be told.
            let _ = writeln!(io::stderr(), "kinesis-fake: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if arguments.blind {
        let blind = Blind::start(arguments.port)?;
        writeln!(io::stdout(), "{}", blind.url())?;
        wait()?;
        writeln!(io::stdout(), "{}", serde_json::to_string(&blind.seen())?)?;
        return Ok(());
    }
    let endpoint = Endpoint::start(Config {
        port: arguments.port,
        stream: arguments.stream,
        exists: !arguments.missing,
        shards: arguments.shards,
        strategy: if arguments.auto {
            Strategy::Auto
        } else {
            Strategy::UserPartitionKey
        },
        max_record_kib: arguments.max_record_kib,
        throttle: arguments.throttle,
        chances: arguments.chances.into_iter().collect(),
        script: Vec::new(),
        partial_share: arguments.partial_share,
        slow: Duration::from_millis(arguments.slow_millis),
        seed: arguments.seed,
        ledger: arguments.ledger,
        keep: arguments.keep,
        ..Config::default()
    })?;
    writeln!(io::stdout(), "{}", endpoint.url())?;
    wait()?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&endpoint.stop())?)?;
    Ok(())
}

fn wait() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(stopped())
}

/// Returns on SIGTERM or SIGINT.
async fn stopped() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

fn chance(text: &str) -> Result<(Fault, f64), String> {
    let (fault, chance) = text.split_once('=').ok_or("write FAULT=CHANCE, as partial=0.2")?;
    Ok((
        fault
            .parse()
            .map_err(|error: kinesis_fake::fault::NoFault| error.to_string())?,
        chance
            .parse()
            .map_err(|error| format!("chance \"{chance}\": {error}"))?,
    ))
}
