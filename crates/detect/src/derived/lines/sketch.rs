//! Frequencies of any number of items among the latest thousands, in a few kilobytes: G. Cormode and
//! S. Muthukrishnan, "An improved data stream summary: the count-min sketch", 2005. Counts fade by halves.

use serde::{Deserialize, Serialize};

const ROWS: usize = 4;
/// At this total, all counts are halved.
const MEMORY: u32 = 8192;

/// Counts, a row for each of four hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sketch {
    total: u32,
    /// Each counts up to [`MEMORY`].
    counts: Vec<u16>,
}

impl Sketch {
    /// Distinguishes this many items well; a power of two.
    pub fn new(width: usize) -> Self {
        debug_assert!(width.is_power_of_two());
        Self {
            total: 0,
            counts: vec![0; ROWS * width],
        }
    }

    /// How many were counted, faded as the counts are; never below half of [`MEMORY`] again once there.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The rarity of an item: total per occurrence, from 1. Then counts it.
    pub fn rarity(&mut self, hash: u64) -> f64 {
        let width = self.counts.len() / ROWS;
        // A decoded sketch may have a wrong length.
        if width == 0 {
            return 1.0;
        }
        let places = [0, 1, 2, 3].map(|row| row * width + ((hash >> (16 * row)) as usize) % width);
        let seen = places.iter().map(|place| self.counts[*place]).min().unwrap_or_default();
        let rarity = f64::from(self.total + 1) / f64::from(seen + 1);
        for place in places {
            // Only the lowest: the others include other items.
            if self.counts[place] == seen {
                self.counts[place] = seen.saturating_add(1);
            }
        }
        self.total += 1;
        if self.total >= MEMORY {
            self.total /= 2;
            for count in &mut self.counts {
                *count /= 2;
            }
        }
        rarity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn hash(number: u64) -> u64 {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    #[test]
    fn rarity_is_how_many_were_seen_for_each() {
        let mut sketch = Sketch::new(256);
        for number in 0..4_000u64 {
            // Forty-one items, one of them in every second place.
            sketch.rarity(hash(if number % 2 == 0 { 0 } else { 1 + number / 2 % 40 }));
        }
        assert!((sketch.rarity(hash(0)) - 2.0).abs() < 0.1);
        assert!((sketch.rarity(hash(7)) / 80.0 - 1.0).abs() < 0.2);
        assert_eq!(sketch.rarity(hash(1_000)), 4_003.0);
    }

    #[test]
    fn what_is_not_seen_any_more_becomes_rare() {
        let mut sketch = Sketch::new(256);
        for _ in 0..1_000 {
            sketch.rarity(hash(1));
        }
        for _ in 0..100_000 {
            sketch.rarity(hash(2));
        }
        assert!(sketch.rarity(hash(1)) > 2_000.0 && sketch.total < MEMORY);
    }
}
