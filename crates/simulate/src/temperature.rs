//! Rooms of a house, or the DHT device: a daily and a yearly swing, autoregressive noise, and an offset of each device.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use wire::Timestamp;

use super::noise::{Autoregressive, Purpose, generator};

const DAY_S: f64 = 86_400.0;
const YEAR_S: f64 = 365.25 * DAY_S;
/// The warmest time of day, in seconds after midnight UTC.
const WARMEST_OF_DAY_S: f64 = 15.0 * 3_600.0;
/// The warmest time of the year, in seconds after the epoch: 1970-07-15.
const WARMEST_OF_YEAR_S: f64 = 195.0 * DAY_S;

const ROOMS: [&str; 8] = [
    "living-room",
    "kitchen",
    "bedroom",
    "bathroom",
    "office",
    "hallway",
    "attic",
    "cellar",
];

/// The figures of the profile, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    /// The value around which all swings.
    pub mean: f64,
    /// The standard deviation of the noise.
    pub noise: f64,
    /// How much of one reading's noise is in the next: from 0 to below 1.
    pub correlation: f64,
    /// How far the day swings either way.
    pub daily: f64,
    /// How far the year swings either way.
    pub yearly: f64,
    /// The standard deviation of the fixed offset of each device.
    pub spread: f64,
}

impl Temperature {
    /// Rooms of a house, in °C.
    pub const HOUSE: Self = Self {
        mean: 21.0,
        noise: 0.15,
        correlation: 0.7,
        daily: 1.2,
        yearly: 1.5,
        spread: 0.6,
    };

    /// The DHT device, in °F: every value drawn anew from N(97, 2).
    pub const DEVICE: Self = Self {
        mean: 97.0,
        noise: 2.0,
        correlation: 0.0,
        daily: 0.0,
        yearly: 0.0,
        spread: 0.0,
    };
}

/// The room of the sensor with this index: all rooms in turn.
pub(super) fn room(prefix: &str, index: u32) -> String {
    format!("{prefix}{}", ROOMS[index as usize % ROOMS.len()])
}

#[derive(Debug)]
pub(super) struct Signal {
    figures: Temperature,
    base: f64,
    noise: Autoregressive,
    random: ChaCha8Rng,
}

impl Signal {
    pub fn new(figures: Temperature, seed: u64, sensor: u128) -> Self {
        let mut random = generator(seed, sensor, Purpose::Signal);
        let offset: f64 = random.sample(StandardNormal);
        Self {
            figures,
            base: figures.mean + figures.spread * offset,
            noise: Autoregressive::new(figures.correlation, &mut random),
            random,
        }
    }

    pub fn next(&mut self, time: Timestamp) -> f64 {
        let seconds = time.as_micros() as f64 / 1e6;
        let day = ((seconds - WARMEST_OF_DAY_S) / DAY_S * TAU).cos();
        let year = ((seconds - WARMEST_OF_YEAR_S) / YEAR_S * TAU).cos();
        let noise = self.noise.next(&mut self.random);
        self.base + self.figures.daily * day + self.figures.yearly * year + self.figures.noise * noise
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::noise::statistics;
    use super::*;

    fn values(figures: Temperature, sensor: u128, step_s: i64, count: i64) -> Vec<f64> {
        let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let mut signal = Signal::new(figures, 7, sensor);
        (0..count)
            .map(|step| signal.next(start.saturating_add_micros(step * step_s * 1_000_000)))
            .collect()
    }

    #[test]
    fn seed_a_s_device_is_normal_without_memory() {
        let values = values(Temperature::DEVICE, 1, 1, 100_000);
        assert!((statistics::mean(&values) - 97.0).abs() < 0.03);
        assert!((statistics::deviation(&values) - 2.0).abs() < 0.03);
        assert!(statistics::correlation(&values).abs() < 0.01);
        // 15.87 % of a normal distribution lie below one deviation, 2.28 % above two.
        let share = |matches: fn(&f64) -> bool| values.iter().filter(|value| matches(value)).count() as f64 / 1e5;
        assert!((share(|value| *value < 95.0) - 0.1587).abs() < 0.005);
        assert!((share(|value| *value > 101.0) - 0.0228).abs() < 0.002);
    }

    #[test]
    fn the_day_is_warmest_in_the_afternoon_and_the_year_in_july() {
        let quiet = Temperature {
            noise: 0.0,
            spread: 0.0,
            ..Temperature::HOUSE
        };
        let hours = values(quiet, 1, 3_600, 366 * 24);
        let warmest = |hours: &[f64]| (0..hours.len()).max_by(|a, b| hours[*a].total_cmp(&hours[*b])).unwrap();
        assert_eq!(warmest(&hours[..24]), 15);
        assert!((195..=198).contains(&(warmest(&hours) / 24)));
        let middle = hours.iter().sum::<f64>() / hours.len() as f64;
        assert!((middle - quiet.mean).abs() < 0.05);
        let highest = hours[warmest(&hours)];
        assert!((highest - (quiet.mean + quiet.daily + quiet.yearly)).abs() < 0.01);
    }

    #[test]
    fn devices_differ_by_an_offset_of_their_own() {
        let offsets: Vec<f64> = (0..2_000)
            .map(|sensor| {
                let quiet = Temperature {
                    noise: 0.0,
                    ..Temperature::HOUSE
                };
                values(quiet, sensor, 1, 1)[0]
            })
            .collect();
        assert!((statistics::deviation(&offsets) - Temperature::HOUSE.spread).abs() < 0.05);
    }

    #[test]
    fn the_house_s_noise_is_correlated_as_its_figures_say() {
        let still = Temperature {
            daily: 0.0,
            yearly: 0.0,
            ..Temperature::HOUSE
        };
        let values = values(still, 3, 1, 100_000);
        assert!((statistics::deviation(&values) - still.noise).abs() < 0.01);
        assert!((statistics::correlation(&values) - still.correlation).abs() < 0.02);
    }
}
