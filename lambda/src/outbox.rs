//! Where the consequences of a fold go: anomalies kept, incidents moved forward, people told. It knows no AWS type.

use std::error::Error;
use std::future::Future;

use detect::{Anomaly, Transition};
use wire::Timestamp;

use crate::message::Message;
use crate::store_error::StoreError;

/// What moving an incident forward came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// People are to be told: neither this transition nor a later one of its incident was told yet.
    Tell,
    /// Somebody muted the sensor or the incident: the transition counts as told, but nothing is published.
    Muted,
    /// People were told of this transition or a later one.
    Told,
}

/// Keeps anomalies and incidents. Everything may be asked for any number of times.
pub trait Outbox: Send {
    /// Keeps anomalies: one item a sensor and time, replaced by itself.
    fn keep(&mut self, anomalies: &[&Anomaly]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Moves each incident forward where the transition is later than its last one, else leaves it; one answer a
    /// transition. `now` decides whether a mute has ended.
    fn advance(
        &mut self,
        transitions: &[&Transition],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Advance>, StoreError>> + Send;

    /// Marks transitions as told.
    fn told(&mut self, transitions: &[&Transition]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How a person begins a command about these incidents, such as `temp-ingest incidents`.
    fn command(&self) -> String;
}

/// Tells people.
pub trait Teller: Send {
    /// Publishes one message.
    fn tell(&mut self, message: &Message) -> impl Future<Output = Result<(), TellError>> + Send;
}

/// A message could not be published.
#[derive(Debug, thiserror::Error)]
#[error("publishing {subject:?} failed")]
pub struct TellError {
    /// The message's subject.
    pub subject: String,
    /// What the publisher said.
    pub source: Box<dyn Error + Send + Sync>,
}
