//! Delivers the events of entries: anomalies kept first, then incidents moved forward, then people told and that marked.
//!
//! A sensor of a group is told with its group: whoever tells has claimed the group, publishes, keeps what was told, and
//! marks the incidents. A sensor without one is told by itself, each moment claimed, published and marked.
//!
//! Whatever stops it between two steps, delivering the same events again finishes the work: only a message published
//! and not yet kept as told is repeated. A message that is refused for what it holds counts as told.

use std::collections::HashMap;

use detect::{Anomaly, Event, Transition};
use tracing::error;
use wire::Timestamp;

use crate::group::Telling;
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
    /// Messages that the publisher refused for what they hold: nobody hears of these moments.
    pub refused: u64,
    /// Moments of incidents that were not told because somebody muted the sensor or the incident.
    pub muted: u64,
}

impl Delivered {
    /// Adds what was delivered elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.anomalies += other.anomalies;
        self.messages += other.messages;
        self.refused += other.refused;
        self.muted += other.muted;
    }
}

/// Events of an entry that were not delivered to the end: deliver this entry and all after it again.
#[derive(Debug)]
pub struct Undelivered {
    /// The place of the entry among those that were to be delivered.
    pub entry: usize,
    /// Why.
    pub error: DeliverError,
}

/// Why events were not delivered to the end.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Anomalies or incidents could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// People could not be told.
    #[error(transparent)]
    Tell(#[from] TellError),
}

/// Delivers the events of entries, in order. All entries before the one that was not delivered are done with.
pub async fn deliver(
    outbox: &mut impl Outbox,
    teller: &mut impl Teller,
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
        let told = match unit.group {
            None => tell(outbox, teller, &unit.transitions, now, &mut delivered).await,
            Some(group) => tell_group(outbox, teller, group, &unit.transitions, now, &mut delivered).await,
        };
        if let Err(error) = told {
            let entry = unit.entry;
            return (delivered, Some(Undelivered { entry, error }));
        }
    }
    (delivered, undelivered)
}

/// What is told together: the moments of a group, or one moment of a sensor without.
struct Unit<'a> {
    /// The first entry with a part of it.
    entry: usize,
    group: Option<&'a str>,
    transitions: Vec<&'a Transition>,
}

/// In the order of their first entries, so that all before one that fails are done with.
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

/// Keeps anomalies, moves incidents forward; how many anomalies it were.
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

/// One at a time, so that a crash repeats one message and not many.
async fn tell(
    outbox: &mut impl Outbox,
    teller: &mut impl Teller,
    transitions: &[&Transition],
    now: Timestamp,
    delivered: &mut Delivered,
) -> Result<(), DeliverError> {
    for transition in transitions {
        match outbox.claim(transition, now).await? {
            Claim::Told => continue,
            Claim::Muted => delivered.muted += 1,
            Claim::Tell => {
                publish(teller, &Message::of(transition, &outbox.command()), delivered).await?;
            }
        }
        outbox.told(&[transition]).await?;
    }
    Ok(())
}

async fn tell_group(
    outbox: &mut impl Outbox,
    teller: &mut impl Teller,
    name: &str,
    transitions: &[&Transition],
    now: Timestamp,
    delivered: &mut Delivered,
) -> Result<(), DeliverError> {
    let mut group = outbox.claim_group(name).await?;
    let standing = outbox.standing(transitions, now).await?;
    let moments: Vec<(&Transition, bool)> = transitions
        .iter()
        .zip(&standing)
        .filter(|(_, claim)| **claim != Claim::Told)
        .map(|(transition, claim)| (*transition, *claim == Claim::Muted))
        .collect();
    if !moments.is_empty() {
        let command = outbox.command();
        for telling in group.take(&moments) {
            let message = match telling {
                Telling::One(transition) => Message::of(transition, &command),
                Telling::Several(report) => Message::of_group(name, &report, &command),
            };
            publish(teller, &message, delivered).await?;
        }
        // Before the marks: what they cover is never told again, so the group has to know of it.
        outbox.keep_group(name, &group).await?;
        let told: Vec<&Transition> = moments.iter().map(|(transition, _)| *transition).collect();
        outbox.told(&told).await?;
        delivered.muted += moments.iter().filter(|(_, muted)| *muted).count() as u64;
    }
    // After the marks: whoever is given the same events waits, and sees that they are told.
    Ok(outbox.free_group(name).await?)
}

/// Publishes a message. One that is refused for what it holds counts as told, or all behind it would wait for nothing.
async fn publish(teller: &mut impl Teller, message: &Message, delivered: &mut Delivered) -> Result<(), TellError> {
    match teller.tell(message).await {
        Ok(()) => delivered.messages += 1,
        Err(TellError::Refused { subject, source }) => {
            delivered.refused += 1;
            error!(
                subject,
                source, "SNS refuses this message for its content: nobody gets it; the other messages go on"
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
