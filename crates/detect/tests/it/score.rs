//! What the novelty score promises, whatever it is given.

use std::sync::Arc;

use detect::settings::Memory;
use detect::{Folded, Journal, Kinds, MAX_SCORE, Partition, Settings};
use proptest::prelude::*;
use wire::{Reading, Sensor, Timestamp, Value};

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_000 * SECOND;

/// One sensor, and all it was told.
struct History {
    partition: Partition,
    sensor: Arc<Sensor>,
    settings: Settings,
}

impl History {
    fn new(memory: Memory) -> Self {
        Self {
            partition: Partition::new(),
            sensor: Arc::new(Sensor::new("one", "load")),
            settings: Settings {
                memory,
                ..Settings::default()
            },
        }
    }

    fn fold(&mut self, micros: i64, value: Value) -> Folded {
        let time = Timestamp::from_micros(micros).unwrap();
        let reading = Reading::new(self.sensor.clone(), time, value).unwrap();
        self.partition
            .fold(&reading, &self.settings, &mut Journal::new(), &mut Vec::new())
    }

    fn scores(memory: Memory, values: &[f64], step: i64) -> Vec<f64> {
        let mut history = Self::new(memory);
        let times = (0i64..).map(|at| START + at * step);
        let fold = |(time, value): (i64, &f64)| history.fold(time, Value::Scalar(*value)).score;
        times.zip(values).map(fold).collect()
    }
}

/// SplitMix64, from 0 to 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

/// Nine days of readings 5 minutes apart: a daily swing and noise.
fn usual(seed: u64) -> Vec<f64> {
    let mut state = seed;
    let swing = |at: i32| (f64::from(at) * std::f64::consts::TAU / 288.0).sin() * 4.0;
    (0..2592).map(|at| 20.0 + swing(at) + uniform(&mut state)).collect()
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        10 => -1e3f64..1e3,
        2 => Just(0.0),
        1 => any::<f64>().prop_filter("readings are finite", |number| number.is_finite()),
        1 => Just(f64::MAX),
        1 => Just(-1e300),
        1 => Just(f64::MIN_POSITIVE),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_score_depends_on_no_later_reading(values in prop::collection::vec(number(), 1..400), cut in 0usize..400) {
        let all = History::scores(Memory::Full, &values, 3600 * SECOND);
        let cut = cut.min(values.len());
        prop_assert_eq!(&all[..cut], &History::scores(Memory::Full, &values[..cut], 3600 * SECOND)[..]);
    }

    #[test]
    fn every_score_is_finite_and_bounded(
        values in prop::collection::vec((number(), 1i64..1 << 50), 1..300), small in any::<bool>(), length in 1usize..40,
    ) {
        let mut history = History::new(if small { Memory::Small } else { Memory::Full });
        let mut time = START;
        for (value, step) in values {
            time = time.saturating_add(step).min(Timestamp::MAX.as_micros());
            for value in [Value::Scalar(value), Value::Vector(vec![value; length].into())] {
                let folded = history.fold(time, value);
                prop_assert!((0.0..=MAX_SCORE).contains(&folded.score), "{folded:?}");
                let ends = folded.expected.unwrap_or_default();
                prop_assert!(ends.0.is_finite() && ends.1.is_finite(), "{folded:?}");
                time = time.saturating_add(1).min(Timestamp::MAX.as_micros());
            }
        }
    }

    #[test]
    fn the_further_a_spike_the_higher_its_score(seed in any::<u64>(), near in 1.0f64..1e4, times in 1.0f64..1e3) {
        let mut history = History::new(Memory::Full);
        let values = usual(seed);
        for (at, value) in (0i64..).zip(&values) {
            history.fold(START + at * 300 * SECOND, Value::Scalar(*value));
        }
        let highest = values.iter().copied().fold(f64::MIN, f64::max);
        let score = |spike: f64| {
            let mut history = History { partition: history.partition.clone(), sensor: history.sensor.clone(), settings: Settings::default() };
            history.fold(START + 2592 * 300 * SECOND, Value::Scalar(highest + spike)).score
        };
        prop_assert!(score(near * times) >= score(near), "{near} {times}");
    }

    #[test]
    fn units_do_not_matter(seed in any::<u64>(), power in -40i32..40) {
        let mut values = usual(seed);
        values[2300] += 9.0;
        let unit = 2f64.powi(power);
        let scaled: Vec<f64> = values.iter().map(|value| value * unit).collect();
        let step = 300 * SECOND;
        prop_assert_eq!(History::scores(Memory::Full, &values, step), History::scores(Memory::Full, &scaled, step));
    }
}

#[test]
fn numbers_that_part_are_found_though_each_is_in_its_range() {
    let mut history = History::new(Memory::Full);
    let mut state = 5;
    let mut highest = 0f64;
    for at in 0..3000i64 {
        let (load, own) = (uniform(&mut state), uniform(&mut state) / 100.0);
        let folded = history.fold(
            START + at * 300 * SECOND,
            Value::Vector([load, load + own, 1.0 - load].into()),
        );
        if at > 1000 {
            highest = highest.max(folded.score);
        }
    }
    let folded = history.fold(START + 3000 * 300 * SECOND, Value::Vector([0.8, 0.2, 0.2].into()));
    assert!(
        folded.score > 2.0 * highest && folded.kinds.contains(Kinds::NOVEL),
        "{highest} {folded:?}"
    );
}

#[test]
fn a_sensor_keeps_little_for_ever() {
    for (memory, most) in [(Memory::Full, 4096), (Memory::Small, 1024)] {
        for (length, step) in [(1, SECOND), (1, 3600 * SECOND), (16, 300 * SECOND)] {
            let mut history = History::new(memory);
            let mut state = 9;
            for at in 0..20_000i64 {
                let numbers: Vec<f64> = (0..length).map(|_| uniform(&mut state).powi(-2)).collect();
                let value = match numbers[..] {
                    [number] => Value::Scalar(number),
                    _ => Value::Vector(numbers.into()),
                };
                history.fold(START + at * step, value);
            }
            // Beside the partition itself and the sensor's last reading.
            let bytes = history.partition.encode().len() - Partition::new().encode().len() - 8 * length;
            assert!(bytes <= most, "{memory:?}, {length} numbers: {bytes} bytes");
        }
    }
}
