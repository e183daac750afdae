//! The expected range, for people: what the hour of the day predicts, or a slow level, and how far values lie from it.

use serde::{Deserialize, Serialize};

/// Readings that the level and the distance remember.
const MEMORY: f64 = 1000.0;
/// Readings seen before there is a band.
const WARM_UP: u32 = 30;
/// Mean distances to either side: three standard deviations of a normal distribution, √(9π/2).
const REACH: f64 = 3.76;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Band {
    seen: u32,
    level: f64,
    distance: f64,
}

impl Band {
    /// The expected range, around the hour's prediction if there is one. Then takes in the value, the less the further
    /// out it is.
    pub fn follow(&mut self, value: f64, predicted: Option<f64>) -> Option<(f64, f64)> {
        let centre = predicted.unwrap_or(self.level);
        let reach = self.distance * REACH;
        let warm = self.seen >= WARM_UP;
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let accepted = if warm && reach > 0.0 {
            value.clamp(centre - reach, centre + reach)
        } else {
            value
        };
        self.distance += ((accepted - centre).abs() - self.distance) / memory;
        self.level += (accepted - self.level) / memory;
        warm.then_some((centre - reach, centre + reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_follows_usual_values_and_not_outliers() {
        let mut band = Band::default();
        for reading in 0..500 {
            let value = 20.0 + f64::from(reading % 7) / 10.0;
            band.follow(value, None);
        }
        let (lowest, highest) = band.follow(90.0, None).unwrap_or_default();
        assert!(
            (19.0..20.0).contains(&lowest) && (20.6..22.0).contains(&highest),
            "{lowest} {highest}"
        );
        let after = band.follow(20.0, None).unwrap_or_default();
        assert!(after.1 - highest < 0.1, "{highest} {after:?}");
    }
}
