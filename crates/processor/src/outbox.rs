//! Where the consequences of a fold go: anomalies are kept, incidents move forward, people are notified. It knows no
//! AWS type.

use std::error::Error;
use std::future::Future;

use detect::{Anomaly, Transition};
use wire::Timestamp;

use crate::episodes::Group;
use crate::message::Message;
use crate::store_error::StoreError;

/// Whether people have to be notified of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationState {
    /// Neither this transition nor a later one of its incident was notified.
    Pending,
    /// The sensor or the incident is muted: the transition counts as notified, but nothing is published.
    Muted,
    /// People were notified of this transition or a later one.
    Notified,
}

/// Keeps anomalies and incidents. Every call may be repeated.
pub trait Outbox: Send {
    /// Keeps anomalies: one item per sensor and time; a second one replaces it.
    fn keep(&mut self, anomalies: &[&Anomaly]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Moves each incident forward if the transition is later than its last one.
    fn advance(&mut self, transitions: &[&Transition]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the lease of an incident that [`advance`](Self::advance) has seen, and answers whether to notify people of
    /// the transition. While another holder has the lease, it waits until the transition is notified or the lease
    /// expires. `now` decides whether a mute has ended.
    fn lease(
        &mut self,
        transition: &Transition,
        now: Timestamp,
    ) -> impl Future<Output = Result<NotificationState, StoreError>> + Send;

    /// The state of each of these transitions, which [`advance`](Self::advance) has seen. Takes no lease: the caller
    /// holds that of the group.
    fn states(
        &mut self,
        transitions: &[&Transition],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<NotificationState>, StoreError>> + Send;

    /// Marks transitions as notified, and ends their leases.
    fn mark_notified(&mut self, transitions: &[&Transition]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the lease of a group of sensors, waiting as [`lease`](Self::lease) does, and reads the group.
    fn lease_group(&mut self, group: &str) -> impl Future<Output = Result<Group, StoreError>> + Send;

    /// Saves a leased group. Fails if another holder has taken the lease meanwhile.
    fn save_group(&mut self, group: &str, saved: &Group) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the lease of a group, unless another holder has taken it.
    fn release_group(&mut self, group: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The start of commands about these incidents, such as `temp-ingest incidents`.
    fn command(&self) -> String;
}

/// Sends messages to people.
pub trait Notifier: Send {
    /// Publishes one message.
    fn notify(&mut self, message: &Message) -> impl Future<Output = Result<(), NotifyError>> + Send;
}

/// A message could not be published.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The notifier does not work now: all messages wait for a later attempt.
    #[error("publishing {subject:?} failed")]
    Failed {
        /// The message's subject.
        subject: String,
        /// The notifier's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The notifier rejects this message for its content; other messages are not affected.
    #[error("publishing {subject:?} was rejected for the message's content")]
    Refused {
        /// The message's subject.
        subject: String,
        /// The notifier's error.
        source: Box<dyn Error + Send + Sync>,
    },
}
