//! One number for a vector: its Mahalanobis distance from the usual ones. Numbers that always moved together and now
//! part are as far out as a single number that leaves its range. P. C. Mahalanobis, "On the generalised distance in
//! statistics", 1936.

use serde::{Deserialize, Serialize};

use super::Capacity;

/// Vectors that means and covariance remember.
const MEMORY: f64 = 1000.0;
/// Vectors learnt before one has a distance.
const WARM_UP: u32 = 32;
/// The most standard deviations a part counts.
const FURTHEST: f64 = 1000.0;
/// Larger numbers count as this one, so that covariances stay finite in 32 bits.
const RANGE: f64 = 1e15;

/// The means, and the lower triangle of the Cholesky factor of the covariance, row by row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Vector {
    seen: u32,
    /// Of the numbers, not of the parts: another length starts over.
    length: u32,
    means: Vec<f64>,
    factor: Vec<f32>,
}

impl Vector {
    /// Longer vectors are folded to this many parts, each number added to one of them.
    pub const MOST: usize = 16;

    /// The distance in standard deviations, by the vectors before it; none while it warms up. Then learns from it.
    pub fn distance(&mut self, numbers: &[f64], capacity: Capacity) -> Option<f64> {
        let parts = numbers.len().min(capacity.parts());
        let mut folded = [0.0; Self::MOST];
        for (at, number) in numbers.iter().enumerate() {
            // Alternating signs keep what all numbers have in common from adding up.
            let sign = if (at / parts).is_multiple_of(2) { 1.0 } else { -1.0 };
            folded[at % parts] += sign * number.clamp(-RANGE, RANGE);
        }
        let residual = &mut folded[..parts];
        let triangle = parts * (parts + 1) / 2;
        if self.length as usize != numbers.len() || self.means.len() != parts || self.factor.len() != triangle {
            self.seen = 1;
            self.length = numbers.len() as u32;
            self.means = residual.to_vec();
            self.factor = vec![0.0; triangle];
            return None;
        }
        for (part, mean) in residual.iter_mut().zip(&self.means) {
            *part -= mean;
        }
        let distance = (self.seen >= WARM_UP).then(|| self.solve(residual));
        self.learn(residual);
        distance
    }

    /// The root mean square of the residual's independent parts: forward substitution.
    fn solve(&self, residual: &[f64]) -> f64 {
        let mut independent = [0.0; Self::MOST];
        let mut sum = 0.0;
        for (row, part) in residual.iter().enumerate() {
            let at = row * (row + 1) / 2;
            let factor = &self.factor[at..=at + row];
            let predicted: f64 = factor[..row]
                .iter()
                .zip(&independent)
                .map(|(a, b)| f64::from(*a) * b)
                .sum();
            let rest = part - predicted;
            let deviation = f64::from(factor[row]);
            independent[row] = if rest == 0.0 {
                0.0
            } else {
                (rest / deviation).clamp(-FURTHEST, FURTHEST)
            };
            sum += independent[row].powi(2);
        }
        (sum / residual.len() as f64).sqrt()
    }

    /// Moves the means, and updates the factor by the residual: P. E. Gill et al., "Methods for modifying matrix
    /// factorizations", Mathematics of Computation 28, 1974, method C1.
    fn learn(&mut self, residual: &mut [f64]) {
        self.seen = self.seen.saturating_add(1);
        let weight = 1.0 / f64::from(self.seen).min(MEMORY);
        for (mean, part) in self.means.iter_mut().zip(&*residual) {
            *mean += part * weight;
        }
        // The residual is to the mean before this vector: with the weight of those it makes the variance about the new
        // one.
        let share = (weight * (1.0 - weight)).sqrt();
        let fade = (1.0 - weight).sqrt();
        for part in &mut *residual {
            *part *= share;
        }
        for column in 0..residual.len() {
            let (done, rest) = residual.split_at_mut(column + 1);
            let part = done[column];
            let diagonal = column * (column + 1) / 2 + column;
            let before = f64::from(self.factor[diagonal]) * fade;
            let after = libm::hypot(before, part);
            let (cosine, sine) = if after > 0.0 {
                (before / after, part / after)
            } else {
                (1.0, 0.0)
            };
            self.factor[diagonal] = after as f32;
            for (row, part) in (column + 1..).zip(rest) {
                let at = row * (row + 1) / 2 + column;
                let below = f64::from(self.factor[at]) * fade;
                self.factor[at] = (cosine * below + sine * *part) as f32;
                *part = cosine * *part - sine * below;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64, from -1 to 1.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Of a vector that it is not warm for: 0.
    fn distance(vector: &mut Vector, numbers: &[f64]) -> f64 {
        vector.distance(numbers, Capacity::Full).unwrap_or_default()
    }

    #[test]
    fn parts_that_move_together_are_far_when_they_part() {
        let (mut vector, mut state) = (Vector::default(), 1);
        let mut usual = 0.0f64;
        for _ in 0..3000 {
            let (load, own) = (uniform(&mut state), 0.01 * uniform(&mut state));
            let numbers = [100.0 + 10.0 * load, 5.0 * load + own, uniform(&mut state)];
            usual = usual.max(distance(&mut vector, &numbers));
        }
        // Each number is well inside its own range; together they never were there.
        let parted = distance(&mut vector, &[105.0, -2.5, 0.0]);
        assert!(usual < 3.0 && parted > 100.0, "{usual} {parted}");
    }

    #[test]
    fn independent_parts_have_the_distance_of_their_deviations() {
        let (mut vector, mut state) = (Vector::default(), 2);
        for _ in 0..20_000 {
            distance(&mut vector, &[uniform(&mut state), 1e6 * uniform(&mut state)]);
        }
        // A uniform distribution from -1 to 1 has the standard deviation 1/√3.
        let distance = distance(&mut vector, &[10.0 / 3f64.sqrt(), 0.0]);
        assert!((distance / (10.0 / 2f64.sqrt()) - 1.0).abs() < 0.1, "{distance}");
    }

    #[test]
    fn a_number_beyond_the_parts_counts_too() {
        let (mut vector, mut state) = (Vector::default(), 3);
        let mut numbers = [0.0; 40];
        for _ in 0..3000 {
            numbers.fill_with(|| uniform(&mut state));
            distance(&mut vector, &numbers);
        }
        let usual = distance(&mut vector, &numbers);
        numbers[39] = 50.0;
        assert!(distance(&mut vector, &numbers) > 5.0 * usual);
    }

    #[test]
    fn a_constant_part_that_changes_is_as_far_as_can_be() {
        let mut vector = Vector::default();
        for reading in 0..100 {
            distance(&mut vector, &[f64::from(reading % 2), 7.0]);
        }
        assert!(distance(&mut vector, &[1.0, 8.0]) > 100.0);
        assert!(distance(&mut vector, &[1.0, 8.0]).is_finite());
    }
}
