//! Turns bodies into readings and hands them over. Only a limited number of bodies are unpacked and decoded at the same
//! time, and each result counts in the hand-over queue before the next body starts: all others wait as received.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use delivery::batch::{Batch, Receipt};
use tokio::sync::{mpsc, watch};
use wire::Reading;
use wire::json::{BatchError, BatchLimits, Decoder, Layout, decode_batch};

use super::bodies::{Bodies, BodyBuffer, BodyError};
use super::head::RequestMetadata;
use super::http_config::Limits;
use super::keys::{Key, Keys, Known, OtherBody, Outcome, Outcomes, Repeated};
use crate::source::slots::{SMALL_BYTES, Slots};
use crate::source::{Output, Refused, TooManySensors, to_channel};

/// Decoders kept for reuse. They remember sensors, in at most [`MAX_SENSORS_BYTES`](wire::json::MAX_SENSORS_BYTES)
/// each, so these take 16 MiB. More of them are rarely needed at once.
const KEPT_DECODERS: usize = 4;

/// Accepts bodies, for all connections of a source.
#[derive(Debug)]
pub struct Intake {
    /// The bodies being received.
    pub bodies: Bodies,
    /// `None` once the source was asked to stop.
    output: RwLock<Option<Output>>,
    slots: Slots,
    keys: Keys,
    decoders: Mutex<Vec<Decoder>>,
}

/// Readings handed over to the pipeline.
#[derive(Debug)]
pub struct Taken {
    /// The number of readings.
    pub readings: usize,
    settled: Settled,
}

/// How the request learns that its readings are safe.
#[derive(Debug)]
enum Settled {
    /// Only this request waits for them.
    Here(mpsc::UnboundedReceiver<u64>),
    /// All requests with the same key wait for them.
    ByKey(Outcomes),
}

/// Why nothing of a body was accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It could not be unpacked.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It does not hold readings.
    #[error(transparent)]
    Readings(#[from] BatchError),
    /// Its key was used before with another body.
    #[error(transparent)]
    OtherBody(#[from] OtherBody),
    /// Some of its sensors are new, and no more are admitted now.
    #[error(transparent)]
    Sensors(#[from] TooManySensors),
    /// The limit of pending requests with a key is reached.
    #[error("as many requests with an Idempotency-Key are under way as idempotency_keys allows")]
    Keys,
    /// Memory and spool are full.
    #[error("memory and spool are full")]
    Blocked,
    /// The source has released its output, or the pipeline has ended.
    #[error("the daemon takes no more readings")]
    Stopped,
}

/// The content of a body.
enum Content {
    /// Readings, and the request's key.
    Readings(Vec<Reading>, Option<Key>),
    /// The outcome of an earlier request with the same key.
    Repeated(Repeated),
}

impl Intake {
    /// Hands readings over to `output`.
    pub fn new(output: Output, slots: Slots) -> Self {
        Self {
            bodies: Bodies::default(),
            output: RwLock::new(Some(output)),
            slots,
            keys: Keys::default(),
            decoders: Mutex::default(),
        }
    }

    /// Releases the output, so that the pipeline can drain.
    pub fn stop(&self) {
        *self.output.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// True if nothing new is accepted at the moment.
    pub fn is_blocked(&self) -> bool {
        self.output().is_some_and(|output| output.is_blocked())
    }

    /// True if a request with this key was accepted before, and will be answered.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.knows(key)
    }

    /// Hands the readings of a body over, once for each key. Waits for a decoding slot and for capacity in the queue;
    /// if dropped meanwhile, nothing was accepted.
    pub async fn take(
        self: &Arc<Self>,
        body: BodyBuffer,
        told: RequestMetadata,
        limits: &Limits,
    ) -> Result<Taken, NotTaken> {
        let limits = *limits;
        let small = !told.gzip && body.bytes().len() <= SMALL_BYTES;
        let slot = self.slots.acquire(small).await;
        let (content, slot) = if small {
            (self.read(body, told, &limits)?, slot)
        } else {
            let intake = self.clone();
            // The task keeps the slot, because it continues even if the client has gone.
            let reading = tokio::task::spawn_blocking(move || Ok((intake.read(body, told, &limits)?, slot)));
            let read: Result<_, NotTaken> = reading
                .await
                .expect("reading a body does not panic, and nobody aborts it");
            read?
        };
        let (readings, key) = match content {
            Content::Readings(readings, key) => (readings, key),
            Content::Repeated(repeated) => return Ok(repeated.into()),
        };
        let output = self.output().ok_or(NotTaken::Stopped)?;
        output.admit_all(&readings)?;
        let place = output.reserve(&readings).await.map_err(|refused| match refused {
            Refused::Blocked => NotTaken::Blocked,
            Refused::Closed => NotTaken::Stopped,
        })?;
        drop(slot);
        // Nothing waits from here on, so a body is accepted whole or not at all.
        let count = readings.len();
        let tell = match key {
            None => None,
            Some(key) => match self.keys.take(key, count, limits.keys)? {
                Known::New(tell) => Some(tell),
                Known::Repeated(repeated) => return Ok(repeated.into()),
                Known::Full => return Err(NotTaken::Keys),
            },
        };
        let (settle, settled) = mpsc::unbounded_channel();
        let receipt = Some(Receipt::new(count as u32, 0, to_channel(settle)));
        output.put(Batch { readings, receipt }, place);
        let settled = match tell {
            None => Settled::Here(settled),
            Some(tell) => Settled::ByKey(told_by(settled, tell)),
        };
        Ok(Taken {
            readings: count,
            settled,
        })
    }

    /// Decodes a body and frees it.
    fn read(&self, body: BodyBuffer, told: RequestMetadata, limits: &Limits) -> Result<Content, NotTaken> {
        let body = match told.gzip {
            true => self.bodies.unpack(body, limits.room)?,
            false => body,
        };
        let key = told.key.map(|key| Key::new(key, body.bytes()));
        if let Some(key) = &key
            && let Some(repeated) = self.keys.find(key)?
        {
            return Ok(Content::Repeated(repeated));
        }
        let readings = self.decode(body.bytes(), told.layout, limits.batch)?;
        Ok(Content::Readings(readings, key))
    }

    fn decode(&self, text: &[u8], layout: Layout, limits: BatchLimits) -> Result<Vec<Reading>, BatchError> {
        let kept = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let decoder = kept().pop();
        let mut decoder = decoder.unwrap_or_default();
        let readings = decode_batch(&mut decoder, text, layout, limits);
        let mut kept = kept();
        if kept.len() < KEPT_DECODERS {
            kept.push(decoder);
        }
        readings
    }

    fn output(&self) -> Option<Output> {
        self.output.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Taken {
    /// Waits until all readings are safe, or never will be.
    pub async fn outcome(self) -> Outcome {
        match self.settled {
            Settled::Here(mut settled) => of(settled.recv().await),
            Settled::ByKey(mut outcomes) => {
                let known = outcomes.wait_for(Option::is_some).await;
                known.map_or(Outcome::Ended, |outcome| outcome.unwrap_or(Outcome::Ended))
            }
        }
    }
}

impl From<Repeated> for Taken {
    fn from(repeated: Repeated) -> Self {
        Self {
            readings: repeated.readings,
            settled: Settled::ByKey(repeated.outcomes),
        }
    }
}

/// Reports the outcome of readings to all requests with their key. It is a task of its own, because another request may
/// wait for the outcome after the first one's client has gone.
fn told_by(mut settled: mpsc::UnboundedReceiver<u64>, tell: watch::Sender<Option<Outcome>>) -> Outcomes {
    let outcomes = tell.subscribe();
    tokio::spawn(async move { tell.send_replace(Some(of(settled.recv().await))) });
    outcomes
}

fn of(settled: Option<u64>) -> Outcome {
    match settled {
        Some(_) => Outcome::Safe,
        None => Outcome::Ended,
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
