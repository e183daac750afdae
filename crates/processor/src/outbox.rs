//! Where the consequences of a fold go: anomalies kept, incidents moved forward, people told. It knows no AWS type.

use std::error::Error;
use std::future::Future;

use detect::{Anomaly, Transition};
use wire::Timestamp;

use crate::group::Group;
use crate::message::Message;
use crate::store_error::StoreError;

/// What is to be done about a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Tell people: neither this transition nor a later one of its incident was told yet, and nobody else tells it now.
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

    /// Moves each incident forward where the transition is later than its last one, else leaves it.
    fn advance(&mut self, transitions: &[&Transition]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Asks whether to tell people of a transition that [`advance`](Self::advance) has seen. Where somebody else is about
    /// to, it waits until that is marked as told, or until whoever it was can only have been stopped. `now` decides
    /// whether a mute has ended.
    fn claim(
        &mut self,
        transition: &Transition,
        now: Timestamp,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// What is to be done about each of these transitions that [`advance`](Self::advance) has seen, claiming none: whoever
    /// tells of a group has claimed that.
    fn standing(
        &mut self,
        transitions: &[&Transition],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send;

    /// Marks transitions as told, and ends their claims.
    fn told(&mut self, transitions: &[&Transition]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Claims a group of sensors, waiting as [`claim`](Self::claim) does, and answers what is kept of it.
    fn claim_group(&mut self, group: &str) -> impl Future<Output = Result<Group, StoreError>> + Send;

    /// Keeps a group that is claimed. It is an error where somebody else has claimed it meanwhile.
    fn keep_group(&mut self, group: &str, kept: &Group) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the claim of a group, where nobody else has claimed it meanwhile.
    fn free_group(&mut self, group: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

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
pub enum TellError {
    /// Nor could another one now: all wait for a later try.
    #[error("publishing {subject:?} failed")]
    Failed {
        /// The message's subject.
        subject: String,
        /// What the publisher said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// This message never will be, while others are.
    #[error("publishing {subject:?} is refused for what the message holds")]
    Refused {
        /// The message's subject.
        subject: String,
        /// What the publisher said.
        source: Box<dyn Error + Send + Sync>,
    },
}
