//! Delivers the events of entries: anomalies are kept first, then incidents move forward, then people are notified and
//! that is marked.
//!
//! Sensors of a group are notified together: under the group's lease messages are published, the group is saved, and
//! the incidents are marked. A sensor without a group is notified by itself, each transition leased, published and
//! marked.
//!
//! If it stops between two steps, delivering the same events again finishes the work. Only a message that was published
//! and not yet saved as notified is repeated. A message that is rejected for its content counts as notified.

use std::collections::HashMap;

use detect::{Anomaly, Event, Transition};
use tracing::error;
use wire::Timestamp;

use crate::episodes::Notification;
use crate::message::Message;
use crate::outbox::{NotificationState, Notifier, NotifyError, Outbox};
use crate::store_error::StoreError;

/// What was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Anomalies kept.
    pub anomalies: u64,
    /// Messages published.
    pub messages: u64,
    /// Messages rejected for their content: nobody is notified of these transitions.
    pub refused: u64,
    /// Transitions not notified because the sensor or the incident is muted.
    pub muted: u64,
}

impl Delivered {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.anomalies += other.anomalies;
        self.messages += other.messages;
        self.refused += other.refused;
        self.muted += other.muted;
    }
}

/// An entry whose events were not delivered completely: deliver it and all after it again.
#[derive(Debug)]
pub struct Undelivered {
    /// Index of the entry.
    pub entry: usize,
    /// The reason.
    pub error: DeliverError,
}

/// Why events were not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Anomalies or incidents could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// People could not be notified.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}

/// Delivers the events of entries, in order. All entries before the undelivered one are done.
pub async fn deliver(
    outbox: &mut impl Outbox,
    notifier: &mut impl Notifier,
    entries: &[Vec<Event>],
    now: Timestamp,
) -> (Delivered, Option<Undelivered>) {
    let mut delivered = Delivered::default();
    let mut undelivered = None;
    let mut units = Units::default();
    for (place, events) in entries.iter().enumerate() {
        match keep(outbox, events).await {
            Ok(anomalies) => delivered.anomalies += anomalies,
            Err(error) => {
                let error = error.into();
                undelivered = Some(Undelivered { entry: place, error });
                break;
            }
        }
        units.add(place, events);
    }
    for unit in units.0 {
        let notified = match unit.group {
            None => notify(outbox, notifier, &unit.transitions, now, &mut delivered).await,
            Some(group) => notify_group(outbox, notifier, group, &unit.transitions, now, &mut delivered).await,
        };
        if let Err(error) = notified {
            let entry = unit.entry;
            return (delivered, Some(Undelivered { entry, error }));
        }
    }
    (delivered, undelivered)
}

/// Transitions notified together: those of a group, or a single one of a sensor without a group.
struct Unit<'a> {
    /// The first entry that contributes.
    entry: usize,
    group: Option<&'a str>,
    transitions: Vec<&'a Transition>,
}

/// In the order of their first entries, so that all before a failing one are done.
#[derive(Default)]
struct Units<'a>(Vec<Unit<'a>>, HashMap<&'a str, usize>);

impl<'a> Units<'a> {
    fn add(&mut self, entry: usize, events: &'a [Event]) {
        for transition in events.iter().filter_map(transition) {
            let group = transition.sensor.group();
            if let Some(known) = group.and_then(|group| self.1.get(group)) {
                self.0[*known].transitions.push(transition);
                continue;
            }
            self.1.extend(group.map(|group| (group, self.0.len())));
            self.0.push(Unit {
                entry,
                group,
                transitions: vec![transition],
            });
        }
    }
}

/// Keeps anomalies and moves incidents forward; returns how many anomalies.
async fn keep(outbox: &mut impl Outbox, events: &[Event]) -> Result<u64, StoreError> {
    let anomalies: Vec<&Anomaly> = events.iter().filter_map(anomaly).collect();
    let transitions: Vec<&Transition> = events.iter().filter_map(transition).collect();
    if !anomalies.is_empty() {
        outbox.keep(&anomalies).await?;
    }
    if !transitions.is_empty() {
        outbox.advance(&transitions).await?;
    }
    Ok(anomalies.len() as u64)
}

/// One at a time, so that a crash repeats at most one message.
async fn notify(
    outbox: &mut impl Outbox,
    notifier: &mut impl Notifier,
    transitions: &[&Transition],
    now: Timestamp,
    delivered: &mut Delivered,
) -> Result<(), DeliverError> {
    for transition in transitions {
        match outbox.lease(transition, now).await? {
            NotificationState::Notified => continue,
            NotificationState::Muted => delivered.muted += 1,
            NotificationState::Pending => {
                publish(notifier, &Message::of(transition, &outbox.command()), delivered).await?;
            }
        }
        outbox.mark_notified(&[transition]).await?;
    }
    Ok(())
}

async fn notify_group(
    outbox: &mut impl Outbox,
    notifier: &mut impl Notifier,
    name: &str,
    transitions: &[&Transition],
    now: Timestamp,
    delivered: &mut Delivered,
) -> Result<(), DeliverError> {
    let mut group = outbox.lease_group(name).await?;
    let states = outbox.states(transitions, now).await?;
    let due: Vec<(&Transition, bool)> = transitions
        .iter()
        .zip(&states)
        .filter(|(_, state)| **state != NotificationState::Notified)
        .map(|(transition, state)| (*transition, *state == NotificationState::Muted))
        .collect();
    if !due.is_empty() {
        let command = outbox.command();
        for notification in group.take(&due) {
            let message = match notification {
                Notification::Sensor(transition) => Message::of(transition, &command),
                Notification::Group(report) => Message::of_group(name, &report, &command),
            };
            publish(notifier, &message, delivered).await?;
        }
        // Before marking: what is marked is never notified again, so the group has to know of it.
        outbox.save_group(name, &group).await?;
        let done: Vec<&Transition> = due.iter().map(|(transition, _)| *transition).collect();
        outbox.mark_notified(&done).await?;
        delivered.muted += due.iter().filter(|(_, muted)| *muted).count() as u64;
    }
    // After marking: another delivery of the same events waits for the lease, and sees that they are notified.
    Ok(outbox.release_group(name).await?)
}

/// Publishes a message. One rejected for its content counts as notified, so that it does not block those behind it.
async fn publish(
    notifier: &mut impl Notifier,
    message: &Message,
    delivered: &mut Delivered,
) -> Result<(), NotifyError> {
    match notifier.notify(message).await {
        Ok(()) => delivered.messages += 1,
        Err(NotifyError::Refused { subject, source }) => {
            delivered.refused += 1;
            error!(
                subject,
                source, "message rejected for its content and not sent; other messages are not affected"
            );
        }
        Err(failed) => return Err(failed),
    }
    Ok(())
}

fn anomaly(event: &Event) -> Option<&Anomaly> {
    match event {
        Event::Anomaly(anomaly) => Some(anomaly),
        Event::Incident(_) => None,
    }
}

fn transition(event: &Event) -> Option<&Transition> {
    match event {
        Event::Incident(transition) => Some(transition),
        Event::Anomaly(_) => None,
    }
}
