//! All values ever seen, at a resolution that coarsens when it is full.

use serde::{Deserialize, Serialize};

use super::Capacity;

/// A full sketch is merged down to this many quarters of its capacity.
const LEFT: usize = 3;
/// The resolution grows by this factor at least.
const COARSER: f32 = 1.3;

/// Sorted, without duplicates; the lowest and the highest value are kept for good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sketch {
    values: Vec<f32>,
    resolution: f32,
}

impl Sketch {
    /// The lowest and the highest value, to its resolution.
    pub fn span(&self) -> Option<(f32, f32)> {
        self.values.first().copied().zip(self.values.last().copied())
    }

    /// The distance of a value from the nearest one seen; 0 for the first.
    pub fn distance(&self, value: f32) -> f32 {
        let at = self.values.partition_point(|known| *known < value);
        let below = at.checked_sub(1).map(|at| value - self.values[at]);
        let above = self.values.get(at).map(|above| above - value);
        match (below, above) {
            (Some(below), Some(above)) => below.min(above),
            (below, above) => below.or(above).unwrap_or(0.0),
        }
    }

    /// Keeps a value if its distance from the nearest one exceeds the resolution.
    pub fn insert(&mut self, value: f32, distance: f32, capacity: Capacity) {
        let first = self.values.is_empty();
        if !first && (distance == 0.0 || self.values.len() > 1 && distance < self.resolution) {
            return;
        }
        let at = self.values.partition_point(|known| *known < value);
        self.values.insert(at, value);
        if self.values.len() > capacity.values() {
            self.coarsen(capacity);
        }
    }

    fn coarsen(&mut self, capacity: Capacity) {
        while self.values.len() > capacity.values() * LEFT / 4 {
            let mut gaps = [0.0; Capacity::MOST];
            let gaps = &mut gaps[..(self.values.len() - 1).min(Capacity::MOST)];
            for (gap, pair) in gaps.iter_mut().zip(self.values.windows(2)) {
                *gap = pair[1] - pair[0];
            }
            let (_, narrow, _) = gaps.select_nth_unstable_by(capacity.values() / 8, f32::total_cmp);
            self.resolution = (self.resolution * COARSER).max(*narrow).max(f32::MIN_POSITIVE);
            self.thin();
        }
    }

    /// Drops what lies closer to its neighbour than the resolution.
    fn thin(&mut self) {
        let (Some(&lowest), Some(&highest)) = (self.values.first(), self.values.last()) else {
            return;
        };
        let resolution = self.resolution;
        let mut kept = lowest;
        self.values.retain(|&value| {
            let keep =
                value == lowest || value == highest || value - kept >= resolution && highest - value >= resolution;
            if keep {
                kept = value;
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = f32>, capacity: Capacity) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            let distance = sketch.distance(value);
            sketch.insert(value, distance, capacity);
        }
        sketch
    }

    #[test]
    fn the_nearest_of_all_values_is_found() {
        let sketch = of([1.0, 9.0, 4.0], Capacity::Full);
        for (value, distance) in [(1.0, 0.0), (2.0, 1.0), (3.0, 1.0), (7.0, 2.0), (-2.0, 3.0), (12.0, 3.0)] {
            assert_eq!(sketch.distance(value), distance, "{value}");
        }
        assert_eq!(Sketch::default().distance(5.0), 0.0);
    }

    proptest! {
        #[test]
        fn it_is_bounded_sorted_and_spans_what_it_saw(values in prop::collection::vec(-1e30f32..1e30, 1..500)) {
            for capacity in [Capacity::Small, Capacity::Full] {
                let sketch = of(values.iter().copied(), capacity);
                prop_assert!(sketch.values.len() <= capacity.values());
                prop_assert!(sketch.values.windows(2).all(|pair| pair[0] < pair[1]));
                let (lowest, highest) = (sketch.values[0], sketch.values[sketch.values.len() - 1]);
                for value in &values {
                    let beyond = (lowest - value).max(value - highest);
                    prop_assert!(beyond <= sketch.resolution, "{value}: {sketch:?}");
                }
            }
        }

        #[test]
        fn no_value_seen_is_far(values in prop::collection::vec(-1e3f32..1e3, 1..500)) {
            let sketch = of(values.iter().copied(), Capacity::Small);
            for value in values {
                // A value may be merged once at each resolution there was: a geometric series.
                let merged = sketch.resolution * COARSER / (COARSER - 1.0);
                prop_assert!(sketch.distance(value) <= merged, "{value}: {sketch:?}");
            }
        }
    }
}
