//! The distance to the nearest value ever seen.

use serde::{Deserialize, Serialize};

use super::Sight;
use super::surprise::{Bar, Surprise};

/// So many values are kept; then the two closest neighbours become one.
const VALUES: usize = 48;
const BAR: Bar = Bar {
    floor: 25.0,
    memory: 2000.0,
};

/// A sorted sketch of all values, which coarsens its own resolution when it is full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Nearest {
    values: Vec<f64>,
    surprise: Surprise,
}

impl Nearest {
    /// `noise` is the mean distance of a value from what the last one foretells: a new extreme by less than that is
    /// what a slow swing makes each time it goes further than before.
    pub fn look(&mut self, number: f64, noise: f64) -> Sight {
        let at = self.values.partition_point(|value| *value < number);
        let below = at.checked_sub(1).map(|at| self.values[at]);
        let above = self.values.get(at).copied();
        let nearest = match (below, above) {
            (Some(below), Some(above)) if number - below <= above - number => below,
            (_, Some(above)) => above,
            (Some(below), None) => below,
            (None, None) => number,
        };
        let distance = (number - nearest).abs();
        let limit = self.surprise.limit(BAR);
        let part = self.surprise.part(distance, BAR).min(distance / noise);
        if distance > 0.0 || self.values.is_empty() {
            self.values.insert(at, number);
            if self.values.len() > VALUES {
                self.coarsen();
            }
        }
        Sight {
            part,
            expected: (limit > 0.0).then_some((nearest - limit, nearest + limit)),
        }
    }

    /// The outermost values stay: they are the range.
    fn coarsen(&mut self) {
        let inner = 1..self.values.len() - 2;
        let closest = inner.min_by(|a, b| self.gap(*a).total_cmp(&self.gap(*b)));
        if let Some(at) = closest {
            self.values.remove(at);
        }
    }

    fn gap(&self, at: usize) -> f64 {
        self.values[at + 1] - self.values[at]
    }
}
