//! The latest few values: their mean and their spread.

use serde::{Deserialize, Serialize};

/// How many, about.
const VALUES: u8 = 8;

/// Exponentially weighted mean and variance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Recent {
    seen: u8,
    mean: f64,
    variance: f64,
}

impl Recent {
    /// Mean and standard deviation with this value; `None` until there are enough.
    pub fn follow(&mut self, value: f64) -> Option<(f64, f64)> {
        self.seen = self.seen.saturating_add(1).min(VALUES);
        let weight = 1.0 / f64::from(self.seen);
        let step = value - self.mean;
        self.mean += step * weight;
        self.variance += (step * (value - self.mean) - self.variance) * weight;
        (self.seen == VALUES).then(|| (self.mean, self.variance.max(0.0).sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_count_alike() {
        let mut recent = Recent::default();
        let last = (1..=8).map(|value| recent.follow(f64::from(value))).last().flatten();
        let (mean, deviation) = last.unwrap_or_default();
        assert!(
            (mean - 4.5).abs() < 1e-12 && (deviation - 5.25f64.sqrt()).abs() < 1e-12,
            "{mean} {deviation}"
        );
        assert_eq!(Recent::default().follow(1.0), None);
    }
}
