//! What is found of faults injected into simulated series, and how often there is a false incident: levels as measured.

use std::f64::consts::TAU;
use std::sync::Arc;

use detect::{Change, Event, Journal, Kinds, Partition, Settings};
use wire::{Reading, Sensor, Timestamp, Value};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440;

/// A daily swing of 5, AR(1) noise of standard deviation 1 and correlation 0.9 from minute to minute, to two decimals;
/// where there is weather, a slow level of standard deviation 2 that forgets itself within a day.
struct Series {
    random: u64,
    noise: f64,
    weather: Option<f64>,
}

impl Series {
    fn new(seed: u64, weather: bool) -> Self {
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed,
            noise: 0.0,
            weather: weather.then_some(0.0),
        }
    }

    /// SplitMix64, above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    fn next(&mut self, minute: i64) -> f64 {
        self.noise = 0.9 * self.noise + (1.0f64 - 0.81).sqrt() * self.normal();
        if let Some(level) = self.weather {
            let kept = 1.0 - 1.0 / DAY as f64;
            self.weather = Some(kept * level + 2.0 * (1.0 - kept * kept).sqrt() * self.normal());
        }
        20.0 + 5.0 * (TAU * minute as f64 / DAY as f64).sin() + self.noise + self.weather.unwrap_or(0.0)
    }
}

/// What is wrong with a sensor, for so many minutes; sizes in standard deviations of the noise.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Spike(f64),
    Shift(f64, i64),
    Drift(f64, i64),
    Burst(f64, i64),
    Stuck(i64),
    Dropout(i64),
}

impl Fault {
    fn minutes(self) -> i64 {
        match self {
            Self::Spike(_) => 1,
            Self::Shift(_, minutes) | Self::Drift(_, minutes) | Self::Burst(_, minutes) => minutes,
            Self::Stuck(minutes) | Self::Dropout(minutes) => minutes,
        }
    }
}

/// A partition of simulated sensors; each has the same fault so many times, at another hour of the day, after so many
/// days of peace and so many minutes apart.
struct Run {
    sensors: u64,
    weather: bool,
    days: i64,
    fault: Option<Fault>,
    times: i64,
    apart: i64,
}

/// A moment at which a partition told of a sensor.
struct Alarm {
    sensor: u64,
    minute: i64,
    kinds: Kinds,
    opened: bool,
}

impl Run {
    fn healthy(weather: bool, days: i64) -> Self {
        Self {
            sensors: 12,
            weather,
            days,
            fault: None,
            times: 0,
            apart: DAY,
        }
    }

    fn start(&self, sensor: u64) -> i64 {
        self.days * DAY + sensor as i64 * 127
    }

    /// Which of its faults a sensor has, and since how many minutes.
    fn faulty(&self, sensor: u64, minute: i64) -> Option<(i64, i64)> {
        let since = minute - self.start(sensor);
        let (number, minutes) = (since.div_euclid(self.apart), since.rem_euclid(self.apart));
        let faulty = (0..self.times).contains(&number) && minutes < self.fault?.minutes();
        faulty.then_some((number, minutes))
    }

    fn alarms(&self) -> Vec<Alarm> {
        let sensors: Vec<_> = (0..self.sensors)
            .map(|id| Arc::new(Sensor::new(&id.to_string(), "temperature")))
            .collect();
        let mut series: Vec<_> = (0..self.sensors).map(|seed| Series::new(seed, self.weather)).collect();
        let mut held = vec![0.0; sensors.len()];
        let (mut partition, settings) = (Partition::new(), Settings::default());
        let mut alarms = Vec::new();
        for minute in 0..self.start(self.sensors) + self.times * self.apart {
            let (mut journal, mut events) = (Journal::new(), Vec::new());
            for id in 0..self.sensors {
                let index = id as usize;
                let mut value = series[index].next(minute);
                match (self.faulty(id, minute), self.fault) {
                    (Some(_), Some(Fault::Spike(size) | Fault::Shift(size, _))) => value += size,
                    (Some((_, since)), Some(Fault::Drift(size, minutes))) => {
                        value += size * (since + 1) as f64 / minutes as f64;
                    }
                    (Some(_), Some(Fault::Burst(size, _))) => value += size * series[index].normal(),
                    (Some(_), Some(Fault::Stuck(_))) => value = held[index],
                    (Some(_), Some(Fault::Dropout(_))) => continue,
                    (None, _) | (_, None) => held[index] = value,
                }
                let time = Timestamp::from_micros(minute * MINUTE + id as i64 * 1000).unwrap();
                let value = Value::Scalar((value * 100.0).round() / 100.0);
                let reading = Reading::new(sensors[index].clone(), time, value).unwrap();
                partition.fold(&reading, &settings, &mut journal, &mut events);
            }
            alarms.extend(events.iter().filter_map(|event| match event {
                Event::Anomaly(anomaly) => Some(Alarm {
                    sensor: anomaly.sensor.id().parse().unwrap(),
                    minute,
                    kinds: anomaly.kinds,
                    opened: false,
                }),
                Event::Incident(transition) if transition.change != Change::Resolved => Some(Alarm {
                    sensor: transition.sensor.id().parse().unwrap(),
                    minute,
                    kinds: transition.now,
                    opened: transition.change == Change::Opened,
                }),
                Event::Incident(_) => None,
            }));
        }
        alarms
    }

    /// The part of the faults during which something was told; something of these kinds, where there are any. The way
    /// back counts for nothing.
    fn recall(&self, kinds: Kinds) -> f64 {
        let mut found: Vec<_> = self
            .alarms()
            .iter()
            .filter(|alarm| alarm.kinds.contains(kinds))
            .filter_map(|alarm| Some((alarm.sensor, self.faulty(alarm.sensor, alarm.minute)?.0)))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.len() as f64 / (self.sensors as i64 * self.times) as f64
    }
}

/// One fault a sensor, after nine days.
fn once(weather: bool, fault: Fault) -> Run {
    Run {
        fault: Some(fault),
        times: 1,
        ..Run::healthy(weather, 9)
    }
}

#[test]
fn false_incidents_are_rarer_than_one_a_sensor_and_week() {
    // Measured: 22 and 49. Weather that wanders for days shows only after weeks how far it goes.
    for (weather, most) in [(false, 30), (true, 56)] {
        let alarms = Run::healthy(weather, 28).alarms();
        let opened = alarms.iter().filter(|alarm| alarm.opened).count();
        assert!(opened <= most, "{opened} in 48 sensor-weeks, weather {weather}");
    }
}

#[test]
fn a_first_swing_in_coarse_steps_is_not_novel() {
    let sensors: Vec<_> = (0..20)
        .map(|id| Arc::new(Sensor::new(&id.to_string(), "temperature")))
        .collect();
    let (mut partition, settings, mut events) = (Partition::new(), Settings::default(), Vec::new());
    let mut random = Series::new(1, false);
    for second in 0..20_000 {
        let swing = 20.0 + 5.0 * (second as f64 / 3000.0).sin();
        for sensor in &sensors {
            let value = Value::Scalar(((swing + 1.7 * random.uniform()) * 10.0).round() / 10.0);
            let time = Timestamp::from_micros(second * 1_000_000).unwrap();
            let reading = Reading::new(sensor.clone(), time, value).unwrap();
            partition.fold(&reading, &settings, &mut Journal::new(), &mut events);
        }
    }
    assert!(events.len() <= 3, "{events:?}");
}

#[test]
fn faults_of_six_deviations_are_found_and_named() {
    for (fault, kinds) in [
        (Fault::Spike(6.0), Kinds::JUMP),
        (Fault::Shift(6.0, 180), Kinds::JUMP),
        (Fault::Drift(6.0, 240), Kinds::DRIFT),
        (Fault::Drift(6.0, 720), Kinds::DRIFT),
        (Fault::Burst(6.0, 30), Kinds::NOISE),
        (Fault::Stuck(45), Kinds::STUCK),
        (Fault::Dropout(10), Kinds::SILENT),
    ] {
        let recall = once(false, fault).recall(kinds);
        assert!(recall >= 0.95, "{fault:?}: {recall}");
    }
}

#[test]
fn weather_hides_drift_and_nothing_else() {
    for fault in [
        Fault::Spike(6.0),
        Fault::Shift(6.0, 180),
        Fault::Burst(6.0, 30),
        Fault::Stuck(45),
        Fault::Dropout(10),
    ] {
        let recall = once(true, fault).recall(Kinds::NONE);
        assert!(recall >= 0.95, "{fault:?}: {recall}");
    }
}

#[test]
fn a_fault_does_not_hide_the_next() {
    for (fault, kinds) in [
        (Fault::Spike(8.0), Kinds::JUMP),
        (Fault::Shift(8.0, 60), Kinds::JUMP),
        (Fault::Burst(8.0, 60), Kinds::NOISE),
        (Fault::Stuck(60), Kinds::STUCK),
    ] {
        let run = Run {
            times: 8,
            apart: 6 * 60,
            ..once(false, fault)
        };
        let recall = run.recall(kinds);
        assert!(recall >= 0.95, "{fault:?}: {recall}");
    }
}

#[test]
fn what_comes_again_and_again_is_usual() {
    // A jump of twenty deviations every two hours, for good.
    let run = Run {
        times: 60,
        apart: 120,
        ..once(false, Fault::Spike(20.0))
    };
    let told = |alarm: &&Alarm| alarm.opened && !alarm.kinds.without(Kinds::NOVEL).is_empty();
    let opened = run.alarms().iter().filter(told).count();
    assert!((12..=6 * 12).contains(&opened), "{opened} incidents of 12 sensors");
}
