use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal, StudentT};
use wire::{Reading, Timestamp, Value};

use crate::run::{Alarm, Listener, START, sensor};
use crate::{MINUTE, SECOND, SEED};

const DAY: i64 = 86_400_000_000;

/// Sensors that measure a series of one nature, with nothing wrong.
#[derive(Clone, Debug)]
pub struct Healthy {
    pub nature: Nature,
    /// Between two readings of a sensor, µs.
    pub interval: i64,
    pub sensors: u32,
    pub days: i64,
}

/// How a series behaves; noise has deviation 1.
#[derive(Clone, Copy, Debug)]
pub enum Nature {
    /// Autoregressive of order one, with this correlation of neighbours.
    Autoregressive(f64),
    /// Student's t with three degrees of freedom.
    HeavyTails,
    /// White noise of this deviation, rounded to whole numbers.
    Quantised(f64),
    /// Never comes back.
    RandomWalk,
    /// A daily swing of ten, and an autoregression of 0.7.
    DailySwing,
    /// A daily swing of five, an autoregression of 0.9, and a level of deviation 2 that forgets itself within a day.
    Weather,
    /// Counts with this mean, each for itself.
    Counts(f64),
    /// Counts whose mean follows the day, from next to none to this.
    DailyCounts(f64),
    /// On for ten minutes, off for twenty, with noise.
    Cycle,
}

impl Nature {
    pub fn name(self) -> String {
        match self {
            Self::Autoregressive(correlation) => format!("AR(1) {correlation}"),
            Self::HeavyTails => "Student t, 3".into(),
            Self::Quantised(deviation) => format!("rounded, {deviation}"),
            Self::RandomWalk => "random walk".into(),
            Self::DailySwing => "daily swing".into(),
            Self::Weather => "weather".into(),
            Self::Counts(mean) => format!("counts, {mean}"),
            Self::DailyCounts(mean) => format!("daily counts, {mean}"),
            Self::Cycle => "on and off".into(),
        }
    }
}

impl Healthy {
    pub fn all() -> Vec<Self> {
        let natures = [
            Nature::Autoregressive(0.0),
            Nature::Autoregressive(0.5),
            Nature::Autoregressive(0.9),
            Nature::Autoregressive(0.99),
            Nature::HeavyTails,
            Nature::Quantised(1.0),
            Nature::Quantised(0.2),
            Nature::RandomWalk,
            Nature::DailySwing,
            Nature::Weather,
            Nature::Counts(3.0),
            Nature::Counts(0.1),
            Nature::DailyCounts(20.0),
            Nature::Cycle,
        ];
        let runs = |(interval, sensors, days)| {
            natures.map(|nature| Self {
                nature,
                interval,
                sensors,
                days,
            })
        };
        [(SECOND, 8, 7), (MINUTE, 16, 28)].into_iter().flat_map(runs).collect()
    }

    pub fn play(&self) -> Vec<Alarm> {
        let mut listener = Listener::new();
        let sensors: Vec<_> = (1..=self.sensors).map(sensor).collect();
        let mut series: Vec<_> = (1..=self.sensors)
            .map(|number| Series::new(self.nature, self.interval, number))
            .collect();
        for step in 0..self.days * DAY / self.interval {
            let time = step * self.interval;
            for (sensor, series) in sensors.iter().zip(&mut series) {
                let value = Value::Scalar(series.next(time as f64 / DAY as f64));
                let time = Timestamp::from_micros(START + time).expect("2024 is a year");
                listener.hear(&Reading::new(sensor.clone(), time, value).expect("series are finite"));
            }
        }
        listener.alarms
    }

    pub fn weeks(&self) -> f64 {
        f64::from(self.sensors) * self.days as f64 / 7.0
    }
}

struct Series {
    nature: Nature,
    interval: i64,
    random: ChaCha8Rng,
    state: f64,
    weather: f64,
}

impl Series {
    fn new(nature: Nature, interval: i64, number: u32) -> Self {
        Self {
            nature,
            interval,
            random: ChaCha8Rng::seed_from_u64(SEED + u64::from(number)),
            state: 0.0,
            weather: 0.0,
        }
    }

    fn next(&mut self, day: f64) -> f64 {
        let normal: f64 = self.random.sample(StandardNormal);
        let swing = (day * TAU).sin();
        let value = match self.nature {
            Nature::Autoregressive(correlation) => self.follow(correlation, normal),
            Nature::HeavyTails => {
                let tails = StudentT::new(3.0).expect("3 is above 0");
                tails.sample(&mut self.random)
            }
            Nature::Quantised(deviation) => return (20.0 + deviation * normal).round(),
            Nature::RandomWalk => {
                self.state += normal;
                self.state
            }
            Nature::DailySwing => 10.0 * swing + self.follow(0.7, normal),
            Nature::Weather => {
                let kept = 1.0 - self.interval as f64 / DAY as f64;
                let fresh: f64 = self.random.sample(StandardNormal);
                self.weather = kept * self.weather + 2.0 * (1.0 - kept * kept).sqrt() * fresh;
                5.0 * swing + self.weather + self.follow(0.9, normal)
            }
            Nature::Counts(mean) => self.count(mean),
            Nature::DailyCounts(mean) => self.count(mean * (1.02 - swing) / 2.0),
            Nature::Cycle => normal + if (day * 48.0).fract() < 1.0 / 3.0 { 20.0 } else { 0.0 },
        };
        (value * 100.0).round() / 100.0
    }

    fn follow(&mut self, correlation: f64, normal: f64) -> f64 {
        self.state = correlation * self.state + (1.0 - correlation * correlation).sqrt() * normal;
        self.state
    }

    fn count(&mut self, mean: f64) -> f64 {
        Poisson::new(mean).expect("means are above 0").sample(&mut self.random)
    }
}
