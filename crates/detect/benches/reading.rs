//! What a reading costs, and what is kept of a sensor: `cargo bench -p temp-ingest-detect`.
#![allow(missing_docs, reason = "the macros of criterion write functions without")]

use std::f64::consts::TAU;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use detect::{Event, Journal, Partition, Settings};
use wire::{Reading, Sensor, Timestamp, Value};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 1440 * MINUTE;
/// So many readings are made at once.
const BLOCK: usize = 10_000;
const START: i64 = 1_704_067_200_000_000;

/// Sensors of a partition, each with so many numbers a reading: a daily swing and noise, to two decimals.
struct Scene {
    partition: Partition,
    settings: Settings,
    journal: Journal,
    events: Vec<Event>,
    sensors: Vec<Arc<Sensor>>,
    numbers: usize,
    random: u64,
    time: i64,
}

impl Scene {
    fn new(sensors: usize, numbers: usize) -> Self {
        let sensor = |number| Arc::new(Sensor::new(&format!("house-{number:04}"), "temperature").with_unit("°C"));
        Self {
            partition: Partition::new(),
            settings: Settings::default(),
            journal: Journal::new(),
            events: Vec::new(),
            sensors: (0..sensors).map(sensor).collect(),
            numbers,
            random: 1,
            time: START,
        }
    }

    /// SplitMix64; the sum of four has about the shape of a normal distribution.
    fn noise(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            sum += (mixed >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        }
        sum
    }

    /// One reading of each sensor, `interval` µs after the last.
    fn readings(&mut self, interval: i64) -> Vec<Reading> {
        self.time += interval;
        let swing = 20.0 + 3.0 * (self.time as f64 / DAY as f64 * TAU).sin();
        let time = Timestamp::from_micros(self.time).expect("a few years after 2024");
        let sensors = self.sensors.clone();
        let numbers = self.numbers;
        let mut number = || ((swing + self.noise()) * 100.0).round() / 100.0;
        let mut value = || match numbers {
            1 => Value::Scalar(number()),
            _ => Value::Vector((0..numbers).map(|_| number()).collect::<Vec<_>>().into()),
        };
        let reading = |sensor| Reading::new(sensor, time, value()).expect("the series is finite");
        sensors.into_iter().map(reading).collect()
    }

    fn fold(&mut self, readings: &[Reading]) {
        for reading in readings {
            self.partition
                .fold(reading, &self.settings, &mut self.journal, &mut self.events);
        }
        self.journal = Journal::new();
        self.events.clear();
    }

    fn live(&mut self, interval: i64, length: i64) {
        for _ in 0..length / interval {
            let readings = self.readings(interval);
            self.fold(&readings);
        }
    }
}

/// Readings are made in blocks beforehand; what is timed is the partition only. One iteration is one reading.
fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    for (name, sensors, numbers) in [
        ("one number", 1, 1),
        ("a vector of 4", 1, 4),
        ("one of 1,000 sensors", 1_000, 1),
    ] {
        let mut scene = Scene::new(sensors, numbers);
        scene.live(MINUTE, DAY);
        group.bench_function(name, |bench| {
            bench.iter_custom(|readings| {
                let mut took = Duration::ZERO;
                let mut left = readings as usize;
                while left > 0 {
                    let ticks = left.min(BLOCK).div_ceil(sensors);
                    let block: Vec<Reading> = (0..ticks).flat_map(|_| scene.readings(MINUTE)).collect();
                    let block = &block[..block.len().min(left)];
                    let begin = Instant::now();
                    scene.fold(block);
                    took += begin.elapsed();
                    left -= block.len();
                }
                took
            });
        });
    }
}

/// A partition of 1,000 sensors, whole.
fn store(criterion: &mut Criterion) {
    let mut scene = Scene::new(1_000, 1);
    scene.live(MINUTE, DAY);
    let bytes = scene.partition.encode();
    let mut group = criterion.benchmark_group("a partition of 1,000 sensors");
    group.bench_function("encode", |bench| bench.iter(|| scene.partition.encode()));
    group.bench_function("decode", |bench| bench.iter(|| Partition::decode(&bytes, u64::MAX)));
}

/// What grows must have stopped growing by then.
fn state(out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "bytes of state a sensor (its id of 10 bytes, kind and unit included)"
    )?;
    for (name, numbers) in [("one number", 1), ("a vector of 4", 4)] {
        write!(out, "{name:14}")?;
        let mut scene = Scene::new(1, numbers);
        let empty = scene.partition.encode().len();
        for (age, interval, length) in [
            ("an hour", 10 * SECOND, DAY / 24),
            ("a month", MINUTE, 30 * DAY),
            ("three years", 10 * MINUTE, 3 * 365 * DAY),
        ] {
            scene.live(interval, length);
            write!(out, "  after {age}: {}", scene.partition.encode().len() - empty)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = fold, store
}

fn main() -> std::io::Result<()> {
    benches();
    state(&mut std::io::stdout().lock())
}
