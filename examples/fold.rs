//! Feeds what `kinesis-fake` wrote down to the Lambda's handler, shard by shard in their order, over the embedded
//! store, and prints what it counted: `fold LEDGER STATE_DIR`. The chaos run compares it with what was sent.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use processor::handler::{Counts, Handler, Limits};
use processor::partition::Partitions;
use processor::{KinesisRecord, SequenceNumber};
use serde::Deserialize;
use serde_json::json;
use wire::Timestamp;

/// As many as an invocation is given at most where many wait.
const INVOCATION: usize = 500;

/// A line of the ledger. Those that tell of shards have no record.
#[derive(Deserialize)]
struct Line {
    shard: Box<str>,
    sequence: SequenceNumber,
    partition_key: Box<str>,
    arrival_millis: i64,
    data: Box<str>,
}

/// What waits in a shard.
struct Shard {
    name: Box<str>,
    lines: Vec<(Line, Vec<u8>)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ledger, state] = &arguments[..] else {
        return Err("usage: fold LEDGER STATE_DIR".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let counts = runtime.block_on(fold(Path::new(ledger), Path::new(state)))?;
    let decode_failures: u64 = counts.decode_failures.values().sum();
    let answer = json!({
        "readings": counts.readings,
        "late": counts.late,
        "repeated_records": counts.repeated_records,
        "decode_failures": decode_failures,
    });
    writeln!(io::stdout(), "{answer}")?;
    Ok(())
}

async fn fold(ledger: &Path, state: &Path) -> Result<Counts, Box<dyn Error>> {
    let (partitions, _outbox) = processor::sqlite::open(state)?;
    let mut handler = Handler::new(partitions, detect::Settings::default(), Limits::default());
    let mut counts = Counts::default();
    // In the order in which they were first written to, so that a shard that was split comes before its children.
    let mut shards: Vec<Shard> = Vec::new();
    for line in BufReader::new(File::open(ledger)?).lines() {
        let line = line?;
        if !line.contains("\"sequence\"") {
            continue;
        }
        let line: Line = serde_json::from_str(&line)?;
        let data = STANDARD.decode(line.data.as_bytes())?;
        let index = shards
            .iter()
            .position(|shard| shard.name == line.shard)
            .unwrap_or_else(|| {
                shards.push(Shard {
                    name: line.shard.clone(),
                    lines: Vec::new(),
                });
                shards.len() - 1
            });
        shards[index].lines.push((line, data));
        if shards[index].lines.len() >= INVOCATION {
            for shard in &mut shards[..=index] {
                invoke(&mut handler, shard, &mut counts).await?;
            }
        }
    }
    for shard in &mut shards {
        invoke(&mut handler, shard, &mut counts).await?;
    }
    Ok(counts)
}

async fn invoke<P: Partitions>(
    handler: &mut Handler<P>,
    shard: &mut Shard,
    counts: &mut Counts,
) -> Result<(), Box<dyn Error>> {
    let mut records = Vec::with_capacity(shard.lines.len());
    for (line, data) in &shard.lines {
        records.push(KinesisRecord {
            shard: &shard.name,
            sequence: line.sequence.clone(),
            partition_key: &line.partition_key,
            arrival: Timestamp::from_micros(line.arrival_millis * 1_000).ok_or("an arrival out of range")?,
            data,
        });
    }
    let handled = handler.handle(&records).await;
    if let Some(failed) = handled.failed {
        return Err(format!("the handler failed at {failed} of {}", shard.name).into());
    }
    counts.add(&handled.counts);
    shard.lines.clear();
    Ok(())
}
