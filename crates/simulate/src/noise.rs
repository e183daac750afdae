//! Seeded random numbers, and noise that remembers.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// What random numbers are for. Each purpose has its own sequence, so that turning faults on leaves the signal as it was.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Signal = 0,
    Faults = 1,
    Site = 2,
    Pace = 3,
}

/// The random numbers of one sensor or site, by the hash of its name.
pub(super) fn generator(seed: u64, name: u128, purpose: Purpose) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..24].copy_from_slice(&name.to_le_bytes());
    bytes[24] = purpose as u8;
    ChaCha8Rng::from_seed(bytes)
}

/// A first-order autoregressive process, AR(1): mean 0 and standard deviation 1 from its first value on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Autoregressive {
    correlation: f64,
    innovation: f64,
    state: f64,
}

impl Autoregressive {
    /// With this correlation of one value with the next, from 0 to below 1.
    pub fn new(correlation: f64, random: &mut ChaCha8Rng) -> Self {
        Self {
            correlation,
            innovation: (1.0 - correlation * correlation).sqrt(),
            state: random.sample(StandardNormal),
        }
    }

    pub fn next(&mut self, random: &mut ChaCha8Rng) -> f64 {
        let fresh: f64 = random.sample(StandardNormal);
        self.state = self.correlation * self.state + self.innovation * fresh;
        self.state
    }
}

#[cfg(test)]
pub(super) mod statistics {
    //! What the tests of profiles measure.

    pub fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    pub fn deviation(values: &[f64]) -> f64 {
        let mean = mean(values);
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    /// The correlation of each value with the next.
    pub fn correlation(values: &[f64]) -> f64 {
        let mean = mean(values);
        let products = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean));
        products.sum::<f64>() / (values.len() as f64 * deviation(values).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoregressive_process_has_its_mean_deviation_and_correlation() {
        for correlation in [0.0, 0.7, 0.98] {
            let mut random = generator(1, 2, Purpose::Signal);
            let mut process = Autoregressive::new(correlation, &mut random);
            let values: Vec<f64> = (0..200_000).map(|_| process.next(&mut random)).collect();
            assert!(statistics::mean(&values).abs() < 0.1, "{correlation}");
            assert!((statistics::deviation(&values) - 1.0).abs() < 0.05, "{correlation}");
            assert!(
                (statistics::correlation(&values) - correlation).abs() < 0.01,
                "{correlation}"
            );
        }
    }

    #[test]
    fn seed_name_and_purpose_each_make_another_sequence() {
        let first = |seed, name, purpose| generator(seed, name, purpose).random::<u64>();
        let one = first(1, 1, Purpose::Signal);
        assert_eq!(one, first(1, 1, Purpose::Signal));
        for other in [
            first(2, 1, Purpose::Signal),
            first(1, 2, Purpose::Signal),
            first(1, 1, Purpose::Faults),
        ] {
            assert_ne!(one, other);
        }
    }
}
