//! How many readings a source has handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many readings a source has handed over.
#[derive(Clone, Debug, Default)]
pub struct Produced(Arc<AtomicU64>);

impl Produced {
    /// Adds readings.
    pub fn add(&self, readings: u64) {
        self.0.fetch_add(readings, Ordering::Relaxed);
    }

    /// Returns the number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
