//! The values that are usual now, for people: what the hour of the day foretells, or a slow level, and how far values lie
//! from it.

use serde::{Deserialize, Serialize};

/// The level and the distance are those of about so many readings.
const MEMORY: f64 = 1000.0;
/// So many are seen before there is a band.
const WARM_UP: u32 = 30;
/// So many mean distances to either side: three standard deviations of a normal distribution, √(9π/2).
const REACH: f64 = 3.76;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Band {
    seen: u32,
    level: f64,
    distance: f64,
}

impl Band {
    /// The lowest and the highest usual value, where the hour foretells this or nothing; then takes the value in, the less
    /// the further out it is.
    pub fn follow(&mut self, value: f64, foretold: Option<f64>) -> Option<(f64, f64)> {
        let centre = foretold.unwrap_or(self.level);
        let reach = self.distance * REACH;
        let warm = self.seen >= WARM_UP;
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let believed = if warm && reach > 0.0 {
            value.clamp(centre - reach, centre + reach)
        } else {
            value
        };
        self.distance += ((believed - centre).abs() - self.distance) / memory;
        self.level += (believed - self.level) / memory;
        warm.then_some((centre - reach, centre + reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_is_usual_and_not_what_is_far() {
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
