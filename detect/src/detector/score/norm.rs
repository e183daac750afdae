//! One number for a vector: how far its parts lie from their usual levels, each in its own usual distances.

use serde::{Deserialize, Serialize};

/// So many parts of a vector are looked at: they are what it costs in state.
const PARTS: usize = 32;
/// Levels and distances are those of about so many readings.
const MEMORY: f64 = 1000.0;
/// A part further out than so many usual distances counts as that far.
const LARGEST: f64 = 100.0;
/// So many vectors are learnt before one has a norm.
const WARM_UP: u32 = 32;

/// The level and the mean distance from it, of each part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Norm {
    seen: u32,
    parts: Vec<(f64, f64)>,
}

impl Norm {
    /// The root mean square of the standardised residuals; 0 while it warms up, and anew where the length changes.
    pub fn of(&mut self, numbers: &[f64]) -> f64 {
        let numbers = &numbers[..numbers.len().min(PARTS)];
        let clamp = |number: f64| number.clamp(-super::LARGEST, super::LARGEST);
        if self.parts.len() != numbers.len() {
            self.seen = 1;
            self.parts = numbers.iter().map(|number| (clamp(*number), 0.0)).collect();
            return 0.0;
        }
        self.seen = self.seen.saturating_add(1);
        let memory = f64::from(self.seen).min(MEMORY);
        let mut sum = 0.0;
        for ((level, usual), number) in self.parts.iter_mut().zip(numbers) {
            let residual = clamp(*number) - *level;
            let distance = residual.abs();
            if distance > 0.0 {
                sum += (distance / *usual).min(LARGEST).powi(2);
            }
            *level += residual / memory;
            *usual += (distance - *usual) / memory;
        }
        if self.seen > WARM_UP {
            (sum / numbers.len() as f64).sqrt()
        } else {
            0.0
        }
    }
}
