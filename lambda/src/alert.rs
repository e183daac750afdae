//! Delivers the events of entries: anomalies kept first, then incidents moved forward, then each claimed, told, and marked told.
//!
//! Whatever stops it between two steps, delivering the same events again finishes the work: only a message published
//! and not yet marked is repeated.

use detect::{Anomaly, Event, Transition};
use wire::Timestamp;

use crate::message::Message;
use crate::outbox::{Claim, Outbox, TellError, Teller};
use crate::store_error::StoreError;

/// What was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Anomalies kept.
    pub anomalies: u64,
    /// Messages published.
    pub messages: u64,
    /// Messages kept back because somebody muted the sensor or the incident.
    pub muted: u64,
}

impl Delivered {
    /// Adds what was delivered elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.anomalies += other.anomalies;
        self.messages += other.messages;
        self.muted += other.muted;
    }
}

/// Why events were not delivered to the end; deliver them again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Anomalies or incidents could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// People could not be told.
    #[error(transparent)]
    Tell(#[from] TellError),
}

/// Delivers events, in order.
pub async fn deliver(
    outbox: &mut impl Outbox,
    teller: &mut impl Teller,
    events: &[Event],
    now: Timestamp,
) -> Result<Delivered, DeliverError> {
    let anomalies: Vec<&Anomaly> = events.iter().filter_map(anomaly).collect();
    let transitions: Vec<&Transition> = events.iter().filter_map(transition).collect();
    let mut delivered = Delivered::default();
    if !anomalies.is_empty() {
        outbox.keep(&anomalies).await?;
        delivered.anomalies = anomalies.len() as u64;
    }
    if transitions.is_empty() {
        return Ok(delivered);
    }
    outbox.advance(&transitions).await?;
    // One at a time, so that a crash repeats one message and not many.
    for transition in transitions {
        match outbox.claim(transition, now).await? {
            Claim::Told => continue,
            Claim::Muted => delivered.muted += 1,
            Claim::Tell => {
                teller.tell(&Message::of(transition, &outbox.command())).await?;
                delivered.messages += 1;
            }
        }
        outbox.told(transition).await?;
    }
    Ok(delivered)
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
