//! Wind turbines on sites: Weibull wind speed that changes slowly, mostly shared by the turbines of a site, with gusts.
//!
//! For independent normal X and Y, (X² + Y²) / 2 is exponential, and the k-th root of an exponential is Weibull of shape k.
//! With X and Y autoregressive, the speed is exactly Weibull at each instant and correlated over time; for k = 2 X and Y
//! are the components of the wind's vector.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use wire::{Sensor, Timestamp};

use super::noise::{Autoregressive, Purpose, generator};

/// Sensors of one site.
const TURBINES: u32 = 10;
/// How much of a turbine's wind is its site's: the share of the variance.
const SHARED: f64 = 0.8;
/// The length of the operating gust of IEC 61400-1.
const GUST_S: f64 = 10.5;
const HOUR_S: f64 = 3_600.0;

/// The figures of the profile, in m/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wind {
    /// The scale of the Weibull distribution.
    pub scale: f64,
    /// The shape of the Weibull distribution.
    pub shape: f64,
    /// How much of one reading's wind is in the next: from 0 to below 1.
    pub correlation: f64,
    /// Gusts an hour.
    pub gusts: f64,
}

impl Wind {
    /// A good site on land, mean 7.1 m/s.
    pub const LAND: Self = Self {
        scale: 8.0,
        shape: 2.0,
        correlation: 0.98,
        gusts: 6.0,
    };

    /// Of the Weibull distribution, without gusts.
    pub fn standard_deviation(&self) -> f64 {
        let gamma = |moment: f64| libm::tgamma(1.0 + moment / self.shape);
        self.scale * (gamma(2.0) - gamma(1.0).powi(2)).sqrt()
    }
}

/// The site of the sensor with this index.
pub(super) fn site(prefix: &str, index: u32) -> String {
    format!("{prefix}{}", index / TURBINES + 1)
}

/// One source of weather: the two components.
#[derive(Debug)]
struct Weather {
    components: [Autoregressive; 2],
    random: ChaCha8Rng,
}

#[derive(Debug)]
pub(super) struct Signal {
    figures: Wind,
    own: Weather,
    // Each turbine draws its site's weather for itself, from the same seed: nothing is shared in memory.
    site: Weather,
    gust: Gust,
}

/// The gust that comes next or blows.
#[derive(Debug)]
struct Gust {
    start_micros: f64,
    strength: f64,
}

impl Signal {
    pub fn new(figures: Wind, seed: u64, sensor: u128, site: &str) -> Self {
        let site = Sensor::new(site, "site").hash();
        Self {
            figures,
            own: Weather::new(figures.correlation, generator(seed, sensor, Purpose::Signal)),
            site: Weather::new(figures.correlation, generator(seed, site, Purpose::Site)),
            gust: Gust {
                start_micros: f64::NEG_INFINITY,
                strength: 0.0,
            },
        }
    }

    pub fn next(&mut self, time: Timestamp) -> f64 {
        let (own, site) = (self.own.next(), self.site.next());
        let mix = |own: f64, site: f64| SHARED.sqrt() * site + (1.0 - SHARED).sqrt() * own;
        let (x, y) = (mix(own[0], site[0]), mix(own[1], site[1]));
        let speed = self.figures.scale * ((x * x + y * y) / 2.0).powf(1.0 / self.figures.shape);
        speed * self.gust(time.as_micros() as f64)
    }

    /// What a gust makes of the wind: a factor that rises and falls as a cosine.
    fn gust(&mut self, micros: f64) -> f64 {
        if self.figures.gusts == 0.0 {
            return 1.0;
        }
        if micros >= self.gust.start_micros + GUST_S * 1e6 {
            let wait: f64 = self.own.random.sample(Exp1);
            self.gust = Gust {
                start_micros: micros + wait * HOUR_S / self.figures.gusts * 1e6,
                strength: self.own.random.random_range(0.2..0.6),
            };
        }
        let progress = (micros - self.gust.start_micros) / (GUST_S * 1e6);
        match progress > 0.0 {
            true => 1.0 + self.gust.strength * (1.0 - (progress * TAU).cos()) / 2.0,
            false => 1.0,
        }
    }
}

impl Weather {
    fn new(correlation: f64, mut random: ChaCha8Rng) -> Self {
        Self {
            components: [(); 2].map(|()| Autoregressive::new(correlation, &mut random)),
            random,
        }
    }

    fn next(&mut self) -> [f64; 2] {
        let [x, y] = &mut self.components;
        [x.next(&mut self.random), y.next(&mut self.random)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::noise::statistics;
    use super::*;

    const STILL: Wind = Wind {
        gusts: 0.0,
        ..Wind::LAND
    };

    fn values(figures: Wind, sensor: u128, site: &str, count: i64) -> Vec<f64> {
        let mut signal = Signal::new(figures, 7, sensor, site);
        let start = Timestamp::default();
        (0..count)
            .map(|second| signal.next(start.saturating_add_micros(second * 1_000_000)))
            .collect()
    }

    /// The share of values up to `speed`, against the distribution's own.
    fn distribution_error(values: &[f64], figures: Wind, speed: f64) -> f64 {
        let share = values.iter().filter(|value| **value <= speed).count() as f64 / values.len() as f64;
        share - (1.0 - (-(speed / figures.scale).powf(figures.shape)).exp())
    }

    #[test]
    fn the_speed_is_weibull_with_its_scale_and_shape() {
        for shape in [1.5, 2.0, 3.0] {
            let figures = Wind {
                shape,
                correlation: 0.5,
                ..STILL
            };
            let values = values(figures, 1, "site-1", 200_000);
            for speed in [2.0, 4.0, 8.0, 12.0, 16.0] {
                let error = distribution_error(&values, figures, speed);
                assert!(error.abs() < 0.01, "shape {shape}, {speed} m/s: {error}");
            }
            let deviation = statistics::deviation(&values);
            assert!(
                (figures.standard_deviation() / deviation - 1.0).abs() < 0.03,
                "shape {shape}"
            );
        }
    }

    #[test]
    fn the_speed_changes_slowly() {
        // For shape 2 the square of the speed is exponential, whose correlation is the square of the components'.
        let squares: Vec<f64> = values(STILL, 1, "site-1", 200_000)
            .iter()
            .map(|speed| speed * speed)
            .collect();
        assert!((statistics::correlation(&squares) - 0.98 * 0.98).abs() < 0.01);
    }

    #[test]
    fn turbines_of_a_site_share_its_weather() {
        let likeness = |one: &[f64], other: &[f64]| {
            let (mean_one, mean_other) = (statistics::mean(one), statistics::mean(other));
            let products = one.iter().zip(other).map(|(a, b)| (a - mean_one) * (b - mean_other));
            products.sum::<f64>() / one.len() as f64 / statistics::deviation(one) / statistics::deviation(other)
        };
        let here = values(STILL, 1, "site-1", 50_000);
        assert!(likeness(&here, &values(STILL, 2, "site-1", 50_000)) > 0.5);
        assert!(likeness(&here, &values(STILL, 2, "site-2", 50_000)).abs() < 0.2);
    }

    #[test]
    fn gusts_come_as_often_as_the_figures_say() {
        let hours = 500;
        let mut signal = Signal::new(Wind::LAND, 7, 1, "site-1");
        let mut gusts = 0;
        let mut blowing = false;
        for second in 0..hours * 3_600 {
            let factor = signal.gust(f64::from(second) * 1e6);
            assert!((1.0..=1.6).contains(&factor));
            gusts += i32::from(factor > 1.0 && !blowing);
            blowing = factor > 1.0;
        }
        assert!(
            (f64::from(gusts) / f64::from(hours) - 6.0).abs() < 0.4,
            "{gusts} in {hours} h"
        );
    }
}
