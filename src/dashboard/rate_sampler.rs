//! How fast readings come and go, over the last seconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So often it is counted,
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// and so many times a rate is over.
const BEATS: usize = 11;

/// What was counted lately.
#[derive(Debug, Default)]
pub(super) struct RateSampler(Mutex<VecDeque<Sample>>);

#[derive(Debug)]
pub(super) struct Sample {
    pub at: Instant,
    pub produced: u64,
    pub delivered: u64,
    /// Readings of each source.
    pub sources: BTreeMap<String, u64>,
}

/// Readings a second; `None` while it is not known yet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub produced: Option<f64>,
    pub delivered: Option<f64>,
    pub sources: BTreeMap<String, f64>,
}

impl RateSampler {
    /// It was counted.
    pub(super) fn beat(&self, beat: Sample) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if beats.back().is_some_and(|last| last.produced > beat.produced) {
            // Another daemon took this one's place, and counts from the beginning.
            beats.clear();
        }
        beats.push_back(beat);
        if beats.len() > BEATS {
            beats.pop_front();
        }
    }

    /// How fast it went between the first and the last beat.
    pub(super) fn rates(&self) -> Rates {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (beats.front(), beats.back()) else {
            return Rates::default();
        };
        let seconds = (last.at - first.at).as_secs_f64();
        if seconds == 0.0 {
            return Rates::default();
        }
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        let sources = last.sources.iter().map(|(name, now)| {
            let before = first.sources.get(name).copied().unwrap_or_default();
            (name.clone(), rate(before, *now))
        });
        Rates {
            produced: Some(rate(first.produced, last.produced)),
            delivered: Some(rate(first.delivered, last.delivered)),
            sources: sources.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(began: Instant, second: u64, produced: u64) -> Sample {
        Sample {
            at: began + Duration::from_secs(second),
            produced,
            delivered: produced / 2,
            sources: BTreeMap::from([("house".to_owned(), produced)]),
        }
    }

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (rate_sampler, began) = (RateSampler::default(), Instant::now());
        assert_eq!(rate_sampler.rates(), Rates::default());
        rate_sampler.beat(beat(began, 0, 5));
        assert_eq!(rate_sampler.rates(), Rates::default());
        for second in 1..=30 {
            rate_sampler.beat(beat(began, second, 5 + second * second));
        }
        // From 20 x 20 to 30 x 30 in ten seconds.
        assert_eq!(rate_sampler.rates().produced, Some(50.0));
        assert_eq!(rate_sampler.rates().sources["house"], 50.0);
        rate_sampler.beat(beat(began, 31, 3));
        rate_sampler.beat(beat(began, 32, 9));
        assert_eq!(
            rate_sampler.rates().delivered,
            Some(3.0),
            "a daemon that starts again counts anew"
        );
    }
}
