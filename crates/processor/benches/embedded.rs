//! How many readings a second go through the handler into the embedded store, and how much memory that takes:
//! `cargo bench -p temp-ingest-lambda --features embedded`. The readings are packed before the clock starts.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detect::Settings;
use processor::KinesisRecord;
use processor::handler::{Counts, Handler, Limits};
use processor::sqlite::open;
use wire::aggregate::Aggregate;
use wire::{Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

const LANES: u32 = 16;
const SENSORS: usize = 1_000;
const READINGS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (partitions, mut outbox) = open(dir.path())?;
    let mut handler = Handler::new(partitions, Settings::default(), Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let sensors: Vec<Arc<Sensor>> = (0..SENSORS)
        .map(|n| Arc::new(Sensor::new(&format!("sensor-{n:04}"), "temperature").with_unit("°C")))
        .collect();
    let mut lanes: BTreeMap<LaneName, (u64, Option<Aggregate>)> = BTreeMap::new();
    let mut request: Vec<(String, Vec<u8>)> = Vec::new();
    let mut counts = Counts::default();
    let mut took = Duration::ZERO;
    let mut slowest = Duration::ZERO;
    let mut sequence = 0u128;
    let mut json = Vec::new();
    for n in 0..READINGS {
        let sensor = &sensors[n % SENSORS];
        let second = (n / SENSORS) as i64;
        let time = Timestamp::default().saturating_add_micros((1_700_000_000 + second) * 1_000_000);
        // A daily swing and a little noise, to one decimal.
        let value = 20.0 + (second as f64 / 13_750.0).sin() * 5.0 + ((n * 7_919) % 13) as f64 / 10.0;
        let reading = Reading::new(sensor.clone(), time, Value::Scalar((value * 10.0).round() / 10.0))?;
        json.clear();
        json::encode(&reading, None, &mut json);
        let lane = LaneName::of(sensor.hash(), LANES);
        let (number, open) = lanes.entry(lane).or_default();
        if open.as_ref().is_some_and(|open| !open.fits(json.len())) {
            request.extend(open.take().map(|full| (lane.to_string(), full.seal())));
        }
        let open = open.get_or_insert_with(|| {
            *number += 1;
            let identity = Identity {
                producer: ProducerId(1),
                number: *number,
            };
            Aggregate::new(&lane.to_string(), *lane.slice().start(), 25_600, identity)
        });
        open.push(&json)?;
        if request.len() < LANES as usize && n + 1 < READINGS {
            continue;
        }
        let records: Vec<KinesisRecord<'_>> = request
            .iter()
            .map(|(key, data)| {
                sequence += 1;
                KinesisRecord {
                    shard: "embedded",
                    sequence: sequence.into(),
                    partition_key: key,
                    arrival: time,
                    data,
                }
            })
            .collect();
        let begin = Instant::now();
        let handled = runtime.block_on(handler.handle(&records));
        took += begin.elapsed();
        slowest = slowest.max(begin.elapsed());
        assert_eq!(handled.failed, None);
        counts.add(&handled.counts);
        request.clear();
    }
    let rate = counts.readings as f64 / took.as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("VmHWM: unknown");
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{rate:.0} readings/s; the slowest request took {slowest:?}; {peak}"
    )?;
    writeln!(out, "{counts:?}; pending entries: {}", outbox.pending(u32::MAX)?.len())?;
    Ok(())
}
