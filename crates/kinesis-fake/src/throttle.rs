//! Token buckets. Time is passed in, so that tests need no clock.

use std::time::Duration;

/// Records and bytes that a shard takes: 1,000 records/s and 1 MB/s (which Kinesis counts as 1 MiB), with one second's
/// worth of burst. <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const RECORDS_PER_SECOND: f64 = 1_000.0;
const BYTES_PER_SECOND: f64 = 1_048_576.0;

/// What one shard has left.
#[derive(Debug)]
pub(crate) struct Throttle {
    records: Bucket,
    bytes: Bucket,
}

#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Duration,
}

impl Throttle {
    /// Full, at a multiple of Kinesis' own throughput.
    pub(crate) fn new(scale: f64, now: Duration) -> Self {
        Self {
            records: Bucket::new(RECORDS_PER_SECOND * scale, now),
            bytes: Bucket::new(BYTES_PER_SECOND * scale, now),
        }
    }

    /// Takes a record of so many bytes; false where nothing is left for it, and nothing is taken.
    pub(crate) fn take(&mut self, bytes: usize, now: Duration) -> bool {
        let bytes = bytes as f64;
        self.records.fill(now);
        self.bytes.fill(now);
        let admitted = self.records.admits(1.0) && self.bytes.admits(bytes);
        if admitted {
            self.records.tokens -= 1.0;
            self.bytes.tokens -= bytes;
        }
        admitted
    }
}

impl Bucket {
    fn new(rate: f64, now: Duration) -> Self {
        Self {
            rate,
            tokens: rate,
            filled: now,
        }
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.rate);
        self.filled = now;
    }

    /// A record larger than a full bucket passes a full one and leaves a debt; otherwise it could never pass.
    fn admits(&self, wanted: f64) -> bool {
        self.tokens >= wanted.min(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(throttle: &mut Throttle, records: usize, bytes: usize, now: Duration) -> usize {
        (0..records).filter(|_| throttle.take(bytes, now)).count()
    }

    #[test]
    fn a_thousand_records_a_second() {
        let mut throttle = Throttle::new(1.0, Duration::ZERO);
        assert_eq!(taken(&mut throttle, 3_000, 10, Duration::ZERO), 1_000);
        assert_eq!(taken(&mut throttle, 3_000, 10, Duration::from_millis(250)), 250);
        assert_eq!(
            taken(&mut throttle, 3_000, 10, Duration::from_secs(60)),
            1_000,
            "no more than a second is saved up"
        );
    }

    #[test]
    fn a_mebibyte_a_second() {
        let mut throttle = Throttle::new(1.0, Duration::ZERO);
        assert_eq!(taken(&mut throttle, 100, 25 * 1024, Duration::ZERO), 40);
        assert!(throttle.take(1024, Duration::ZERO), "a smaller one still passes");
        assert_eq!(taken(&mut throttle, 100, 256 * 1024, Duration::from_secs(1)), 4);
    }

    #[test]
    fn larger_than_a_second_passes_a_full_bucket_and_leaves_a_debt() {
        let mut throttle = Throttle::new(1.0, Duration::ZERO);
        assert!(throttle.take(3 * 1_048_576, Duration::ZERO));
        assert!(!throttle.take(1, Duration::from_secs(2)));
        assert!(throttle.take(1, Duration::from_millis(2_001)));
    }
}
