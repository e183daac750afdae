//! The admission limit of a source's new sensors, so that a client that invents names cannot fill lanes, partitions and
//! tables. Readings of known sensors always pass.

use std::collections::HashSet;
use std::mem;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;
use wire::Reading;

/// The default limit of new sensors an hour. A site rarely has this many sensors behind one source, so none is refused
/// even after a restart, when all of them are new; and a partition can hold all that an attacker adds in half a day.
pub const DEFAULT_LIMIT: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");
/// The highest limit.
pub const MOST: u32 = 1_000_000;
/// Sensors that stay known: this many others must be heard before one is forgotten. If the limit is higher, the limit
/// counts.
const KNOWN: usize = 100_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// The interval of log lines while readings are refused.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The sensors that one source has admitted, across its restarts within this process. It takes up to 20 bytes for each
/// of twice the known sensors: 4 MiB, or 40 MiB at the highest limit.
#[derive(Debug)]
pub struct Admission {
    source: String,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    limit: NonZeroU32,
    known: Known,
    allowance: Allowance,
    logged: Option<Instant>,
}

/// Readings were refused because their sensors are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{new} sensors of the request are new, and the source admits no more than max_new_sensors_per_hour = {limit} new ones: \
     send readings of known sensors in other requests, or raise the setting"
)]
pub struct TooManySensors {
    /// The number of new sensors.
    pub new: u32,
    /// The setting.
    pub limit: NonZeroU32,
    /// The time until they would be admitted.
    pub wait: Duration,
}

impl Admission {
    /// Creates the admission of the source with this name and hourly limit.
    pub fn new(source: &str, limit: NonZeroU32) -> Self {
        Self {
            source: source.to_owned(),
            state: Mutex::new(State {
                limit,
                known: Known::default(),
                allowance: Allowance::default(),
                logged: None,
            }),
            refused: AtomicU64::new(0),
        }
    }

    /// Changes the limit. Known sensors stay known.
    pub fn set_limit(&self, limit: NonZeroU32) {
        self.state().limit = limit;
    }

    /// Returns the number of refused readings.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Admits the sensors of all these readings, or none of them.
    pub fn admit_all(&self, readings: &[Reading]) -> Result<(), TooManySensors> {
        let mut state = self.state();
        let mut new: Vec<_> = readings
            .iter()
            .map(hash)
            .filter(|hash| !state.is_known(*hash))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable();
        new.dedup();
        let now = Instant::now();
        let (count, limit) = (new.len() as u32, state.limit);
        match state.allowance.take(count, limit, now) {
            Ok(()) => {
                new.into_iter().for_each(|hash| state.add(hash));
                Ok(())
            }
            Err(wait) => {
                let first = readings
                    .iter()
                    .find(|reading| new.binary_search(&hash(reading)).is_ok());
                self.count(&mut state, readings.len(), first, now);
                Err(TooManySensors {
                    new: count,
                    limit,
                    wait,
                })
            }
        }
    }

    /// Removes readings of new sensors beyond the limit, from index `from` on; returns how many.
    pub fn admit(&self, readings: &mut Vec<Reading>, from: usize) -> usize {
        let mut state = self.state();
        let (mut refused, mut first) = (0, None);
        let mut place = 0;
        readings.retain(|reading| {
            place += 1;
            let hash = hash(reading);
            if place <= from || state.is_known(hash) {
                return true;
            }
            let limit = state.limit;
            let admitted = state.allowance.take(1, limit, Instant::now()).is_ok();
            if admitted {
                state.add(hash);
            } else {
                refused += 1;
                first.get_or_insert_with(|| reading.clone());
            }
            admitted
        });
        if refused > 0 {
            self.count(&mut state, refused, first.as_ref(), Instant::now());
        }
        refused
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts refused readings, and logs them with the first reading of a new sensor.
    fn count(&self, state: &mut State, count: usize, first: Option<&Reading>, now: Instant) {
        let total = self.refused.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if state
            .logged
            .is_some_and(|logged| now.duration_since(logged) < LOG_EVERY)
        {
            return;
        }
        state.logged = Some(now);
        warn!(
            source = self.source,
            sensor = ?first.map(|reading| reading.sensor().id()).unwrap_or_default(),
            refused_readings = total,
            max_new_sensors_per_hour = state.limit,
            "refusing readings of new sensors: find out who sends so many names, or raise max_new_sensors_per_hour"
        );
    }
}

impl State {
    fn is_known(&mut self, hash: u64) -> bool {
        self.known.hear(hash, KNOWN.max(self.limit.get() as usize))
    }

    fn add(&mut self, hash: u64) {
        self.known.add(hash, KNOWN.max(self.limit.get() as usize));
    }
}

fn hash(reading: &Reading) -> u64 {
    (reading.sensor().hash() >> 64) as u64
}

/// Hashes of the sensors heard most recently, in two generations: a sensor that is heard moves to the recent one. When
/// that is full it becomes the older one, and the sensors of the previous older one are forgotten.
#[derive(Debug, Default)]
struct Known {
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl Known {
    fn hear(&mut self, hash: u64, most: usize) -> bool {
        if self.recent.contains(&hash) {
            return true;
        }
        let known = self.older.contains(&hash);
        if known {
            self.add(hash, most);
        }
        known
    }

    fn add(&mut self, hash: u64, most: usize) {
        if self.recent.len() >= most {
            mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.insert(hash);
    }
}

/// The remaining part of an hour's limit: full at first, and refilled evenly.
#[derive(Debug, Default)]
struct Allowance {
    /// When it is full again.
    full: Option<Instant>,
}

impl Allowance {
    /// Takes `count`, or returns how long to wait for them.
    fn take(&mut self, count: u32, limit: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let taken = self
            .full
            .map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let taken = taken + HOUR / limit.get() * count;
        if taken > HOUR {
            return Err(taken - HOUR);
        }
        self.full = Some(now + taken);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Arc;

    use wire::{Sensor, Timestamp, Value};

    use super::*;

    fn readings(sensors: std::ops::Range<u32>) -> Vec<Reading> {
        let reading = |number| {
            let sensor = Arc::new(Sensor::new(&format!("s{number}"), "k"));
            Reading::new(sensor, Timestamp::default(), Value::Scalar(1.0)).unwrap()
        };
        sensors.map(reading).collect()
    }

    fn limited_to(limit: u32) -> Admission {
        Admission::new("posts", NonZeroU32::new(limit).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn new_sensors_are_admitted_at_once_up_to_the_limit_and_then_evenly() {
        let admission = limited_to(60);
        let mut all = readings(0..100);
        assert_eq!(admission.admit(&mut all, 0), 40);
        assert_eq!(all, readings(0..60));
        tokio::time::advance(Duration::from_secs(150)).await;
        let mut all = readings(0..100);
        assert_eq!(admission.admit(&mut all, 0), 38);
        assert_eq!(all, readings(0..62));
        assert_eq!(admission.refused(), 78);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_admitted_whole_or_not_at_all() {
        let admission = limited_to(60);
        let twice = [readings(0..50), readings(0..50)].concat();
        assert_eq!(admission.admit_all(&twice), Ok(()));
        let refused = admission.admit_all(&readings(40..61)).unwrap_err();
        assert_eq!((refused.new, refused.wait), (11, Duration::from_secs(60)));
        assert_eq!(admission.admit_all(&readings(50..60)), Ok(()));
        assert!(admission.admit_all(&readings(60..61)).is_err());
        assert_eq!(
            admission.admit_all(&readings(0..60)),
            Ok(()),
            "known sensors always pass"
        );
        assert_eq!(admission.refused(), 22);
        admission.set_limit(NonZeroU32::new(120).unwrap());
        tokio::time::advance(refused.wait).await;
        assert_eq!(admission.admit_all(&readings(60..61)), Ok(()));
    }

    #[test]
    fn only_what_came_last_is_looked_at() {
        let admission = limited_to(1);
        let mut all = readings(0..3);
        assert_eq!(admission.admit(&mut all, 1), 1);
        assert_eq!(all, readings(0..2));
    }

    #[test]
    fn a_sensor_in_use_stays_known_however_many_come_and_memory_does_not_grow() {
        let mut known = Known::default();
        known.add(u64::MAX, 100);
        for hash in 0..10_000 {
            assert!(!known.hear(hash, 100));
            known.add(hash, 100);
            if hash % 90 == 0 {
                assert!(known.hear(u64::MAX, 100));
            }
            assert!(known.recent.len() + known.older.len() <= 200);
        }
        assert!(!known.hear(1, 100));
    }
}
