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

/// What is known of a key.
#[derive(Debug)]
pub enum Known {
    /// Nothing: whoever asked takes the request, and tells what became of it.
    New(watch::Sender<Option<Outcome>>),
    /// It was taken before.
    Taken(Outcomes),
    /// It was taken before, with another body.
    Other,
    /// As many requests with a key are under way as may be.
    Full,
}

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
    outcomes: Outcomes,
}

impl Keys {
    /// What is known of `key` with this body; it is taken where it is new.
    pub fn take(&self, key: &str, body: &[u8], bounds: Bounds) -> Known {
        let body = Sha256::digest(body).into();
        let now = Instant::now();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.expire(now, bounds.time);
        if let Some(entry) = table.entries.get(key) {
            return match entry.body == body {
                true => Known::Taken(entry.outcomes.clone()),
                false => Known::Other,
            };
        }
        if table.entries.len() >= bounds.keys && !table.forget_settled() {
            return Known::Full;
        }
        let (tell, outcomes) = watch::channel(None);
        let key: Arc<str> = key.into();
        table.ages.push_back((now, key.clone()));
        table.entries.insert(key, Entry { body, outcomes });
        Known::New(tell)
    }

    /// True where `key` was taken and is not forgotten.
    pub fn knows(&self, key: &str) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.contains_key(key)
    }

    /// The request was not taken after all: `key` may come again with anything.
    pub fn forget(&self, key: &str) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.remove(key);
        // It was taken a moment ago.
        if let Some(at) = table.ages.iter().rposition(|(_, aged)| **aged == *key) {
            table.ages.remove(at);
        }
    }
}

impl Table {
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

    fn new(keys: &Keys, key: &str) -> watch::Sender<Option<Outcome>> {
        match keys.take(key, b"body", BOUNDS) {
            Known::New(tell) => tell,
            other => panic!("{key}: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_taken_once_until_its_time_is_over() {
        let keys = Keys::default();
        let tell = new(&keys, "a");
        let Known::Taken(mut outcomes) = keys.take("a", b"body", BOUNDS) else {
            panic!("it was taken");
        };
        assert!(matches!(keys.take("a", b"other", BOUNDS), Known::Other));
        // Under way it is not forgotten, however long that takes.
        tokio::time::advance(BOUNDS.time * 2).await;
        assert!(matches!(keys.take("a", b"body", BOUNDS), Known::Taken(_)));
        tell.send_replace(Some(Outcome::Safe));
        assert_eq!(*outcomes.wait_for(Option::is_some).await.unwrap(), Some(Outcome::Safe));
        drop(new(&keys, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_has_ended_makes_room() {
        let keys = Keys::default();
        let first = new(&keys, "a");
        let second = new(&keys, "b");
        assert!(matches!(keys.take("c", b"body", BOUNDS), Known::Full));
        second.send_replace(Some(Outcome::Safe));
        let third = new(&keys, "c");
        assert!(keys.knows("a") && !keys.knows("b") && keys.knows("c"));
        // Whoever was to tell and cannot any more is not under way.
        drop(first);
        drop(new(&keys, "d"));
        assert!(!keys.knows("a") && keys.knows("c"));
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_taken_leaves_nothing_behind() {
        let keys = Keys::default();
        for key in 0..1_000 {
            drop(new(&keys, &key.to_string()));
            keys.forget(&key.to_string());
        }
        let table = keys.0.lock().unwrap();
        assert_eq!((table.entries.len(), table.ages.len()), (0, 0));
    }
}
