//! How long to wait before retrying a refused record. Pure; the random generator is passed in.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Exponential backoff with full jitter: the delay before attempt n is uniform between zero and `min(cap, base × 2ⁿ)`.
///
/// Full jitter spreads the retries of many lanes best; see "Exponential Backoff And Jitter" in the AWS Architecture Blog.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// A backoff whose first delay is at most `base` and whose delays never exceed `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap: cap.max(base),
        }
    }

    /// The delay after this many failed attempts, counted from 1.
    pub fn delay(&self, failed: u32, random: &mut impl Rng) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let most = self.base.saturating_mul(1 << doublings).min(self.cap);
        most.mul_f64(random.random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    proptest! {
        #[test]
        fn stays_within_its_bounds(base in 1u64..10_000, cap in 1u64..100_000, failed in 1u32..200, seed: u64) {
            let backoff = Backoff::new(Duration::from_millis(base), Duration::from_millis(cap));
            let delay = backoff.delay(failed, &mut ChaCha8Rng::seed_from_u64(seed));
            let doubled = base.saturating_mul(1u64.checked_shl(failed - 1).unwrap_or(u64::MAX));
            prop_assert!(delay <= Duration::from_millis(cap.max(base)));
            prop_assert!(delay <= Duration::from_millis(doubled.max(base)));
        }
    }

    #[test]
    fn draws_from_the_whole_range() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let delays: Vec<_> = (0..1_000).map(|_| backoff.delay(4, &mut random)).collect();
        assert!(delays.iter().any(|delay| *delay < Duration::from_millis(50)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_millis(750)));
    }
}
