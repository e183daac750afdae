//! Anomalies and incidents in the embedded store, and the events pending delivery.

use detect::{Anomaly, Change, Event, Transition};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use wire::{Timestamp, Value};

use super::unavailable;
use crate::encoding;
use crate::episodes::Group;
use crate::incident_id::IncidentId;
use crate::outbox::{NotificationState, Outbox};
use crate::partition::decode_events;
use crate::store_error::StoreError;

/// Anomalies and incidents in the embedded store.
#[derive(Debug)]
pub struct EmbeddedOutbox(Connection);

/// The events of one entry, pending delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingEvents {
    id: i64,
    /// The events, in order.
    pub events: Vec<Event>,
}

impl EmbeddedOutbox {
    pub(super) fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// The oldest pending events, of at most `limit` entries.
    pub fn pending(&mut self, limit: u32) -> Result<Vec<PendingEvents>, StoreError> {
        let doing = |error| unavailable("reading pending events", error);
        let mut query = self
            .0
            .prepare_cached("SELECT id, events FROM outbox ORDER BY id LIMIT ?1")
            .map_err(doing)?;
        let rows = query
            .query_map([limit], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .map_err(doing)?;
        rows.map(|row| {
            let (id, bytes) = row.map_err(doing)?;
            let events = decode_events(&bytes)?;
            Ok(PendingEvents { id, events })
        })
        .collect()
    }

    /// Deletes events that were delivered.
    pub fn delivered(&mut self, delivered: &[PendingEvents]) -> Result<(), StoreError> {
        let doing = |error| unavailable("deleting delivered events", error);
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(doing)?;
        for events in delivered {
            transaction
                .prepare_cached("DELETE FROM outbox WHERE id = ?1")
                .and_then(|mut delete| delete.execute([events.id]))
                .map_err(doing)?;
        }
        transaction.commit().map_err(doing)
    }

    /// Runs several statements in one transaction.
    fn write<T>(
        &mut self,
        doing: &str,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let failed = |error| unavailable(doing, error);
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let answer = body(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(answer)
    }
}

impl Outbox for EmbeddedOutbox {
    async fn keep(&mut self, anomalies: &[&Anomaly]) -> Result<(), StoreError> {
        self.write("keeping anomalies", |transaction| {
            anomalies.iter().try_for_each(|anomaly| keep(transaction, anomaly))
        })
    }

    async fn advance(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        self.write("moving incidents forward", |transaction| {
            transitions
                .iter()
                .try_for_each(|transition| advance(transaction, transition))
        })
    }

    // A single process notifies, one transition after the other: there is no other holder.
    async fn lease(&mut self, transition: &Transition, now: Timestamp) -> Result<NotificationState, StoreError> {
        state_of(&self.0, transition, now).map_err(|error| unavailable("reading whether people were notified", error))
    }

    async fn states(
        &mut self,
        transitions: &[&Transition],
        now: Timestamp,
    ) -> Result<Vec<NotificationState>, StoreError> {
        let states = transitions.iter().map(|transition| state_of(&self.0, transition, now));
        states
            .collect::<rusqlite::Result<_>>()
            .map_err(|error| unavailable("reading whether people were notified", error))
    }

    async fn mark_notified(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        self.write("marking incidents as notified", |transaction| {
            transitions
                .iter()
                .try_for_each(|transition| mark_notified(transaction, transition))
        })
    }

    async fn lease_group(&mut self, group: &str) -> Result<Group, StoreError> {
        let saved: Option<Vec<u8>> = self
            .0
            .prepare_cached("SELECT episodes FROM groups WHERE name = ?1")
            .and_then(|mut query| query.query_row([group], |row| row.get(0)).optional())
            .map_err(|error| unavailable(format!("reading group {group}"), error))?;
        saved.map_or_else(|| Ok(Group::default()), |bytes| Group::decode(group, &bytes))
    }

    async fn save_group(&mut self, group: &str, saved: &Group) -> Result<(), StoreError> {
        self.0
            .prepare_cached("INSERT OR REPLACE INTO groups VALUES (?1, ?2)")
            .and_then(|mut put| put.execute((group, saved.encode())))
            .map(drop)
            .map_err(|error| unavailable(format!("saving group {group}"), error))
    }

    async fn release_group(&mut self, _group: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn command(&self) -> String {
        "temp-ingest incidents".to_owned()
    }
}

fn keep(transaction: &Transaction<'_>, anomaly: &Anomaly) -> rusqlite::Result<()> {
    let timestamp = anomaly.time.zoneless();
    let value = match &anomaly.value {
        Value::Scalar(number) => number.to_string(),
        Value::Event(fields) => fields.as_json().to_owned(),
        Value::Vector(numbers) => serde_json::to_string(&**numbers).expect("finite numbers can be written"),
    };
    transaction
        .prepare_cached("INSERT OR REPLACE INTO anomalies VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute((
            anomaly.sensor.id(),
            &*timestamp,
            &timestamp[..10],
            value,
            anomaly.kinds.joined(anomaly.sensor.kind(), ","),
            anomaly.score,
        ))
        .map(drop)
}

fn advance(transaction: &Transaction<'_>, transition: &Transition) -> rusqlite::Result<()> {
    let key = (transition.sensor.id(), transition.since.as_micros());
    let bytes = encoding::encode(transition);
    transaction
        .prepare_cached("INSERT INTO transitions VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute((key.0, key.1, transition.number, &bytes))?;
    transaction
        .prepare_cached(
            "INSERT INTO incidents (sensor, start_us, id, number, notified, open, latest) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)
             ON CONFLICT (sensor, start_us) DO UPDATE SET number = ?4, open = ?5, latest = ?6 WHERE number < ?4",
        )?
        .execute((
            key.0,
            key.1,
            IncidentId::of(&transition.sensor, transition.since).to_string(),
            transition.number,
            transition.change != Change::Resolved,
            &bytes,
        ))
        .map(drop)
}

fn mark_notified(transaction: &Transaction<'_>, transition: &Transition) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE incidents SET notified = ?3 WHERE sensor = ?1 AND start_us = ?2 AND notified < ?3")?
        .execute((transition.sensor.id(), transition.since.as_micros(), transition.number))
        .map(drop)
}

fn state_of(connection: &Connection, transition: &Transition, now: Timestamp) -> rusqlite::Result<NotificationState> {
    let key = (transition.sensor.id(), transition.since.as_micros());
    let (notified, muted_until): (u32, Option<i64>) = connection
        .prepare_cached("SELECT notified, muted_until_us FROM incidents WHERE sensor = ?1 AND start_us = ?2")?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if notified >= transition.number {
        return Ok(NotificationState::Notified);
    }
    let sensor_muted_until: Option<i64> = connection
        .prepare_cached("SELECT until_us FROM mutes WHERE sensor = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()?;
    let muted = muted_until.max(sensor_muted_until) > Some(now.as_micros());
    Ok(if muted {
        NotificationState::Muted
    } else {
        NotificationState::Pending
    })
}
