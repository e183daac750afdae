//! What a reading costs the function, warm, with 1,000 sensors: processor time with and without encoding the entry, and
//! write units of the table: `cargo bench -p temp-ingest-lambda --no-default-features --bench handler`.
//! The readings are packed before the clock starts.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detect::Settings;
use processor::KinesisRecord;
use processor::handler::{Handler, Limits};
use processor::partition::{
    Append, AppendError, Checkpoint, Checkpointed, Entry, PartitionName, Partitions, Stored, UNIT_BYTES,
};
use processor::store_error::StoreError;
use wire::aggregate::Aggregate;
use wire::{Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

const SENSORS: usize = 1_000;
const READINGS: usize = 2_000_000;
/// Readings of a partition an invocation has.
const BATCH: usize = 100;
/// Names and keys of an entry's item, and its version.
const ITEM_BYTES: usize = 60;

/// Takes everything; encodes it only where asked, and counts what a table would charge.
#[derive(Default)]
struct Charged {
    encode: bool,
    entry_units: usize,
    checkpoint_units: usize,
    checkpoint_bytes: HashMap<PartitionName, usize>,
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

impl Partitions for &mut Charged {
    async fn load(&mut self, partitions: &[PartitionName]) -> Vec<Result<Option<Stored>, StoreError>> {
        partitions.iter().map(|_| Ok(None)).collect()
    }

    async fn since(&mut self, partitions: &[(PartitionName, u64)]) -> Vec<Result<Vec<Entry>, StoreError>> {
        partitions.iter().map(|_| Ok(Vec::new())).collect()
    }

    async fn append(&mut self, appends: &[Append]) -> Vec<Result<(), AppendError>> {
        for entry in appends.iter().flat_map(|append| &append.entries) {
            if self.encode {
                self.entry_units += units(std::hint::black_box(entry.encode()).len() + ITEM_BYTES);
            }
        }
        appends.iter().map(|_| Ok(())).collect()
    }

    async fn checkpoint(
        &mut self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> Result<Checkpointed, StoreError> {
        let bytes = checkpoint.encode().len() + ITEM_BYTES;
        // An item that is replaced costs what the larger of the two costs.
        let before = self
            .checkpoint_bytes
            .insert(partition.clone(), bytes)
            .unwrap_or_default();
        self.checkpoint_units += units(bytes.max(before));
        Ok(Checkpointed::Written)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for lanes in [16, 1] {
        for encode in [false, true] {
            let mut charged = Charged {
                encode,
                ..Charged::default()
            };
            let (took, checkpoints) = run(lanes, &mut charged)?;
            writeln!(
                out,
                "{SENSORS} sensors on {lanes:>2} partitions, {BATCH} readings a partition and invocation, entry {}: {:.2} µs a reading{}",
                if encode { "encoded" } else { "not encoded" },
                took.as_secs_f64() * 1e6 / READINGS as f64,
                if encode {
                    let thousands = READINGS as f64 / 1e3;
                    let (entries, checkpoints_units) = (charged.entry_units as f64, charged.checkpoint_units as f64);
                    format!(
                        "; write units per 1,000 readings: {:.1} entries + {:.1} checkpoints ({checkpoints} of them)",
                        entries / thousands,
                        checkpoints_units / thousands
                    )
                } else {
                    String::new()
                }
            )?;
        }
    }
    Ok(())
}

/// Folds all readings, a record of each partition in its turn; how long that took, and how many checkpoints.
fn run(lanes: u32, charged: &mut Charged) -> Result<(Duration, u64), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut handler = Handler::new(charged, Settings::default(), Limits::default());
    let sensors: Vec<Arc<Sensor>> = (0..SENSORS)
        .map(|n| Arc::new(Sensor::new(&format!("sensor-{n:04}"), "temperature").with_unit("°C")))
        .collect();
    let mut waiting: HashMap<LaneName, (u64, Option<Aggregate>)> = HashMap::new();
    let (mut took, mut checkpoints, mut sequence) = (Duration::ZERO, 0, 0u128);
    let mut json = Vec::new();
    for n in 0..READINGS {
        let sensor = &sensors[n % SENSORS];
        let second = (n / SENSORS) as i64;
        let time = Timestamp::default().saturating_add_micros((1_700_000_000 + second) * 1_000_000);
        // A daily swing and a little noise, to one decimal.
        let noise = ((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / 1.6e7;
        let value = ((second as f64 / 13_750.0).sin() * 30.0 + 200.0 + noise * 4.0).round() / 10.0;
        let lane = LaneName::of(sensor.hash(), lanes);
        let (number, aggregate) = waiting.entry(lane).or_default();
        let open = aggregate.get_or_insert_with(|| {
            *number += 1;
            let identity = Identity {
                producer: ProducerId(1),
                number: *number,
            };
            Aggregate::new(&lane.to_string(), *lane.slice().start(), 1_000_000, identity)
        });
        json.clear();
        json::encode(
            &Reading::new(sensor.clone(), time, Value::Scalar(value))?,
            None,
            &mut json,
        );
        open.push(&json)?;
        if open.count() as usize == BATCH
            && let Some(full) = aggregate.take()
        {
            let (key, data) = (lane.to_string(), full.seal());
            sequence += 1;
            let record = KinesisRecord {
                shard: "shardId-000000000000",
                sequence: sequence.into(),
                partition_key: &key,
                arrival: time,
                data: &data,
            };
            let begun = Instant::now();
            let handled = runtime.block_on(handler.handle(&[record]));
            took += begun.elapsed();
            checkpoints += handled.counts.checkpoints;
            assert_eq!(handled.counts.readings + handled.counts.late, BATCH as u64);
        }
    }
    Ok((took, checkpoints))
}
