//! Idempotency keys: what became of a request, for whoever sends it again. Bounded in number and time, and in memory only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

/// What became of the readings of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All are safe.
    Safe,
    /// The pipeline ended before they were; they may be lost.
    Ended,
}

/// Tells what became of a request, once it is known.
pub type Outcomes = watch::Receiver<Option<Outcome>>;

/// How many keys are kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many.
    pub keys: usize,
    /// So long after the request was taken.
    pub time: Duration,
}

/// The key of a request, and a digest of its body: the same key has to come with the same body.
#[derive(Debug)]
pub struct Key {
    name: String,
    body: [u8; 32],
}

/// A request that was taken before.
#[derive(Debug)]
pub struct Repeated {
    /// Its readings.
    pub readings: usize,
    /// What became of them.
    pub outcomes: Outcomes,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Known {
    /// Nothing: whoever asked takes the request, and tells what became of it.
    New(watch::Sender<Option<Outcome>>),
    /// It was taken before.
    Repeated(Repeated),
    /// As many requests with a key are under way as may be.
    Full,
}

/// A key was taken before with another body.
#[derive(Debug, thiserror::Error)]
#[error("Idempotency-Key {0:?} came before with another body: use a new key for other readings")]
pub struct OtherBody(String);

/// The keys of one source.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Arc<str>, Entry>,
    /// The same keys in the order they were taken, and when.
    ages: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    readings: usize,
    outcomes: Outcomes,
}

impl Key {
    /// This key with this body.
    pub fn new(name: String, body: &[u8]) -> Self {
        let body = Sha256::digest(body).into();
        Self { name, body }
    }
}

impl Keys {
    /// The request that was taken with `key` before.
    pub fn find(&self, key: &Key) -> Result<Option<Repeated>, OtherBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).find(key)
    }

    /// What is known of `key`; it is taken where it is new, with so many readings.
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

    /// True where `key` was taken and is not forgotten.
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

    /// Forgets what is too old. What is still under way must not be taken twice, however old it is.
    fn expire(&mut self, now: Instant, time: Duration) {
        while let Some((taken, key)) = self.ages.front()
            && *taken + time <= now
            && !self.is_under_way(key)
        {
            self.forget_at(0);
        }
    }

    /// Makes room by forgetting the oldest key whose request has ended; false where all are under way.
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
        // Under way it is not forgotten, however long that takes.
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
        // Whoever was to tell and cannot any more is not under way.
        drop(first);
        drop(new(&keys, "d"));
        assert!(!keys.knows("a") && keys.knows("c"));
        drop(third);
    }
}
