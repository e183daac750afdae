//! Idempotency keys: the outcomes of requests, for clients that repeat them. Bounded in number and time, in memory
//! only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

/// The outcome of a request's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All are safe.
    Safe,
    /// The pipeline ended first; they may be lost.
    Ended,
}

/// Yields the outcome of a request, once it is known.
pub type Outcomes = watch::Receiver<Option<Outcome>>;

/// How many keys are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most keys.
    pub keys: usize,
    /// The time after the request was accepted.
    pub time: Duration,
}

/// The key of a request, and a digest of its body: a repeated key must have the same body.
#[derive(Debug)]
pub struct Key {
    name: String,
    body: [u8; 32],
}

/// A request that was accepted before.
#[derive(Debug)]
pub struct Repeated {
    /// The number of its readings.
    pub readings: usize,
    /// Their outcome.
    pub outcomes: Outcomes,
}

/// What is known about a key.
#[derive(Debug)]
pub enum Known {
    /// Nothing: the caller accepts the request and reports its outcome.
    New(watch::Sender<Option<Outcome>>),
    /// Its request was accepted before.
    Repeated(Repeated),
    /// The limit of pending requests with a key is reached.
    Full,
}

/// The key was used before with another body.
#[derive(Debug, thiserror::Error)]
#[error("Idempotency-Key {0:?} was used before with another body: use a new key for other readings")]
pub struct OtherBody(String);

/// The keys of one source.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Arc<str>, Entry>,
    /// The same keys in the order of acceptance, with the time.
    ages: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    readings: usize,
    outcomes: Outcomes,
}

impl Key {
    /// Creates a key for this body.
    pub fn new(name: String, body: &[u8]) -> Self {
        let body = Sha256::digest(body).into();
        Self { name, body }
    }
}

impl Keys {
    /// Returns the earlier request with `key`.
    pub fn find(&self, key: &Key) -> Result<Option<Repeated>, OtherBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).find(key)
    }

    /// Looks `key` up, and stores it with its number of readings if it is new.
    pub fn take(&self, key: Key, readings: usize, bounds: Bounds) -> Result<Known, OtherBody> {
        let now = Instant::now();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.expire(now, bounds.time);
        if let Some(repeated) = table.find(&key)? {
            return Ok(Known::Repeated(repeated));
        }
        if table.entries.len() >= bounds.keys && !table.forget_settled() {
            return Ok(Known::Full);
        }
        let (tell, outcomes) = watch::channel(None);
        let name: Arc<str> = key.name.into();
        let body = key.body;
        table.ages.push_back((now, name.clone()));
        table.entries.insert(
            name,
            Entry {
                body,
                readings,
                outcomes,
            },
        );
        Ok(Known::New(tell))
    }

    /// True if `key` is stored.
    pub fn knows(&self, key: &str) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.contains_key(key)
    }
}

impl Table {
    fn find(&self, key: &Key) -> Result<Option<Repeated>, OtherBody> {
        match self.entries.get(&*key.name) {
            None => Ok(None),
            Some(entry) if entry.body != key.body => Err(OtherBody(key.name.clone())),
            Some(entry) => Ok(Some(Repeated {
                readings: entry.readings,
                outcomes: entry.outcomes.clone(),
            })),
        }
    }

    /// Forgets old keys, but none of a pending request, whose readings must not be accepted twice.
    fn expire(&mut self, now: Instant, time: Duration) {
        while let Some((taken, key)) = self.ages.front()
            && *taken + time <= now
            && !self.is_under_way(key)
        {
            self.forget_at(0);
        }
    }

    /// Forgets the oldest key whose request has ended; false if all are pending.
    fn forget_settled(&mut self) -> bool {
        let settled = self.ages.iter().position(|(_, key)| !self.is_under_way(key));
        settled.is_some_and(|at| self.forget_at(at))
    }

    fn forget_at(&mut self, at: usize) -> bool {
        let forgotten = self.ages.remove(at);
        forgotten.is_some_and(|(_, key)| self.entries.remove(&key).is_some())
    }

    fn is_under_way(&self, key: &str) -> bool {
        let known = self.entries.get(key).map(|entry| &entry.outcomes);
        known.is_some_and(|outcomes| outcomes.borrow().is_none() && outcomes.has_changed().is_ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const BOUNDS: Bounds = Bounds {
        keys: 2,
        time: Duration::from_secs(60),
    };

    fn take(keys: &Keys, key: &str, body: &[u8]) -> Result<Known, OtherBody> {
        keys.take(Key::new(key.to_owned(), body), 3, BOUNDS)
    }

    fn new(keys: &Keys, key: &str) -> watch::Sender<Option<Outcome>> {
        match take(keys, key, b"body") {
            Ok(Known::New(tell)) => tell,
            other => panic!("{key}: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_taken_once_until_its_time_is_over() {
        let keys = Keys::default();
        let tell = new(&keys, "a");
        let Ok(Known::Repeated(mut repeated)) = take(&keys, "a", b"body") else {
            panic!("it was taken");
        };
        assert_eq!(repeated.readings, 3);
        let find = |key: &str, body| keys.find(&Key::new(key.into(), body)).map(|found| found.is_some());
        assert!(take(&keys, "a", b"other").is_err() && find("a", b"other").is_err());
        assert!(find("a", b"body").unwrap() && !find("b", b"body").unwrap());
        // A pending request's key is not forgotten, however long it takes.
        tokio::time::advance(BOUNDS.time * 2).await;
        assert!(matches!(take(&keys, "a", b"body"), Ok(Known::Repeated(_))));
        tell.send_replace(Some(Outcome::Safe));
        let outcome = *repeated.outcomes.wait_for(Option::is_some).await.unwrap();
        assert_eq!(outcome, Some(Outcome::Safe));
        drop(new(&keys, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_has_ended_makes_room() {
        let keys = Keys::default();
        let first = new(&keys, "a");
        let second = new(&keys, "b");
        assert!(matches!(take(&keys, "c", b"body"), Ok(Known::Full)));
        second.send_replace(Some(Outcome::Safe));
        let third = new(&keys, "c");
        assert!(keys.knows("a") && !keys.knows("b") && keys.knows("c"));
        // A request whose outcome can no longer be reported is not pending.
        drop(first);
        drop(new(&keys, "d"));
        assert!(!keys.knows("a") && keys.knows("c"));
        drop(third);
    }
}
