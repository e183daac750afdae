//! What is found of faults injected into simulated series, and how often there is a false incident: levels as measured.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::f64::consts::TAU;
use std::sync::Arc;

use detect::{Change, Event, Journal, Page, Settings};
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

/// A page of simulated sensors; each has the same fault at another hour of the day, after so many days of peace.
struct Run {
    sensors: u64,
    weather: bool,
    days: i64,
    fault: Option<Fault>,
}

impl Run {
    fn start(&self, sensor: u64) -> i64 {
        self.days * DAY + sensor as i64 * 127
    }

    fn faulty(&self, sensor: u64, minute: i64) -> Option<Fault> {
        let fault = self.fault?;
        let start = self.start(sensor);
        (start..start + fault.minutes()).contains(&minute).then_some(fault)
    }

    /// The sensor and the minute of each incident that opened.
    fn incidents(&self) -> Vec<(u64, i64)> {
        let sensors: Vec<_> = (0..self.sensors)
            .map(|id| Arc::new(Sensor::new(&id.to_string(), "temperature")))
            .collect();
        let mut series: Vec<_> = (0..self.sensors).map(|seed| Series::new(seed, self.weather)).collect();
        let mut held = vec![0.0; sensors.len()];
        let (mut page, settings) = (Page::new(), Settings::default());
        let mut opened = Vec::new();
        let end = self.start(self.sensors) + self.fault.map_or(0, Fault::minutes);
        for minute in 0..end {
            let (mut journal, mut events) = (Journal::new(), Vec::new());
            for id in 0..self.sensors {
                let index = id as usize;
                let mut value = series[index].next(minute);
                match self.faulty(id, minute) {
                    None => held[index] = value,
                    Some(Fault::Spike(size) | Fault::Shift(size, _)) => value += size,
                    Some(Fault::Drift(size, minutes)) => {
                        value += size * (minute - self.start(id) + 1) as f64 / minutes as f64;
                    }
                    Some(Fault::Burst(size, _)) => value += size * series[index].normal(),
                    Some(Fault::Stuck(_)) => value = held[index],
                    Some(Fault::Dropout(_)) => continue,
                }
                let time = Timestamp::from_micros(minute * MINUTE + id as i64 * 1000).unwrap();
                let value = Value::Scalar((value * 100.0).round() / 100.0);
                let reading = Reading::new(sensors[index].clone(), time, value).unwrap();
                page.fold(&reading, &settings, &mut journal, &mut events);
            }
            for event in events {
                if let Event::Incident(transition) = event
                    && transition.change == Change::Opened
                {
                    opened.push((transition.sensor.id().parse().unwrap(), minute));
                }
            }
        }
        opened
    }
}

/// The part of such faults during which an incident opened. The jump back at the end of a fault counts for nothing.
fn recall(weather: bool, fault: Fault) -> f64 {
    let run = Run {
        sensors: 12,
        weather,
        days: 9,
        fault: Some(fault),
    };
    let opened = run.incidents();
    let found = |id: &u64| {
        opened
            .iter()
            .any(|(sensor, minute)| sensor == id && run.faulty(*id, *minute).is_some())
    };
    (0..run.sensors).filter(found).count() as f64 / run.sensors as f64
}

#[test]
fn false_incidents_are_rarer_than_one_a_sensor_and_week() {
    // Measured over 600 sensor-weeks each: 0.04 a week without weather and with it.
    for weather in [false, true] {
        let run = Run {
            sensors: 12,
            weather,
            days: 28,
            fault: None,
        };
        let opened = run.incidents().len();
        assert!(opened <= 4, "{opened} in 48 sensor-weeks, weather {weather}");
    }
}

#[test]
fn a_first_swing_in_coarse_steps_is_not_novel() {
    let sensors: Vec<_> = (0..20)
        .map(|id| Arc::new(Sensor::new(&id.to_string(), "temperature")))
        .collect();
    let (mut page, settings, mut events) = (Page::new(), Settings::default(), Vec::new());
    let mut random = Series::new(1, false);
    for second in 0..20_000 {
        let swing = 20.0 + 5.0 * (second as f64 / 3000.0).sin();
        for sensor in &sensors {
            let value = Value::Scalar(((swing + 1.7 * random.uniform()) * 10.0).round() / 10.0);
            let time = Timestamp::from_micros(second * 1_000_000).unwrap();
            let reading = Reading::new(sensor.clone(), time, value).unwrap();
            page.fold(&reading, &settings, &mut Journal::new(), &mut events);
        }
    }
    assert!(events.len() <= 3, "{events:?}");
}

#[test]
fn faults_of_six_deviations_are_found() {
    for fault in [
        Fault::Spike(6.0),
        Fault::Shift(6.0, 180),
        Fault::Drift(6.0, 240),
        Fault::Drift(6.0, 720),
        Fault::Burst(6.0, 30),
        Fault::Stuck(45),
        Fault::Dropout(10),
    ] {
        let recall = recall(false, fault);
        assert!(recall >= 0.95, "{fault:?}: {recall}");
    }
}

#[test]
fn weather_hides_drift_and_nothing_else() {
    // Of drifts of 6 deviations within half a day under weather of 2, 8 in 100 are found: not asserted, nothing to keep.
    for fault in [
        Fault::Spike(6.0),
        Fault::Shift(6.0, 180),
        Fault::Burst(6.0, 30),
        Fault::Stuck(45),
        Fault::Dropout(10),
    ] {
        let recall = recall(true, fault);
        assert!(recall >= 0.95, "{fault:?}: {recall}");
    }
}
