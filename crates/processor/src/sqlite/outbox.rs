//! Anomalies and incidents in the embedded store, and the events that wait to be delivered.

use detect::{Anomaly, Change, Event, Transition};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use wire::{Timestamp, Value};

use super::unavailable;
use crate::encoding;
use crate::entry::decode_events;
use crate::group::Group;
use crate::incident_id::IncidentId;
use crate::outbox::{Claim, Outbox};
use crate::store_error::StoreError;

/// Anomalies and incidents in the embedded store.
#[derive(Debug)]
pub struct EmbeddedOutbox(Connection);

/// The events of one entry that wait to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Untold {
    id: i64,
    /// In order.
    pub events: Vec<Event>,
}

impl EmbeddedOutbox {
    pub(super) fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// The events that have waited longest, of at most `limit` entries.
    pub fn untold(&mut self, limit: u32) -> Result<Vec<Untold>, StoreError> {
        let doing = |error| unavailable("reading the events that are not told", error);
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
            Ok(Untold { id, events })
        })
        .collect()
    }

    /// Forgets events that were delivered.
    pub fn delivered(&mut self, told: &[Untold]) -> Result<(), StoreError> {
        let doing = |error| unavailable("forgetting events that were told", error);
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(doing)?;
        for told in told {
            transaction
                .prepare_cached("DELETE FROM outbox WHERE id = ?1")
                .and_then(|mut delete| delete.execute([told.id]))
                .map_err(doing)?;
        }
        transaction.commit().map_err(doing)
    }

    /// Several statements in one transaction.
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

    // One process tells, one after the other: nobody else can be about to.
    async fn claim(&mut self, transition: &Transition, now: Timestamp) -> Result<Claim, StoreError> {
        claim(&self.0, transition, now).map_err(|error| unavailable("reading whether people were told", error))
    }

    async fn standing(&mut self, transitions: &[&Transition], now: Timestamp) -> Result<Vec<Claim>, StoreError> {
        let claims = transitions.iter().map(|transition| claim(&self.0, transition, now));
        claims
            .collect::<rusqlite::Result<_>>()
            .map_err(|error| unavailable("reading whether people were told", error))
    }

    async fn told(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        self.write("marking incidents as told", |transaction| {
            transitions
                .iter()
                .try_for_each(|transition| told(transaction, transition))
        })
    }

    async fn claim_group(&mut self, group: &str) -> Result<Group, StoreError> {
        let kept: Option<Vec<u8>> = self
            .0
            .prepare_cached("SELECT episodes FROM groups WHERE name = ?1")
            .and_then(|mut query| query.query_row([group], |row| row.get(0)).optional())
            .map_err(|error| unavailable(format!("reading group {group}"), error))?;
        kept.map_or_else(|| Ok(Group::default()), |bytes| Group::decode(group, &bytes))
    }

    async fn keep_group(&mut self, group: &str, kept: &Group) -> Result<(), StoreError> {
        self.0
            .prepare_cached("INSERT OR REPLACE INTO groups VALUES (?1, ?2)")
            .and_then(|mut put| put.execute((group, kept.encode())))
            .map(drop)
            .map_err(|error| unavailable(format!("keeping group {group}"), error))
    }

    async fn free_group(&mut self, _group: &str) -> Result<(), StoreError> {
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
            "INSERT INTO incidents (sensor, start_us, id, number, told, open, latest) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)
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

fn told(transaction: &Transaction<'_>, transition: &Transition) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE incidents SET told = ?3 WHERE sensor = ?1 AND start_us = ?2 AND told < ?3")?
        .execute((transition.sensor.id(), transition.since.as_micros(), transition.number))
        .map(drop)
}

fn claim(connection: &Connection, transition: &Transition, now: Timestamp) -> rusqlite::Result<Claim> {
    let key = (transition.sensor.id(), transition.since.as_micros());
    let (told, muted_until): (u32, Option<i64>) = connection
        .prepare_cached("SELECT told, muted_until_us FROM incidents WHERE sensor = ?1 AND start_us = ?2")?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if told >= transition.number {
        return Ok(Claim::Told);
    }
    let sensor_muted_until: Option<i64> = connection
        .prepare_cached("SELECT until_us FROM mutes WHERE sensor = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()?;
    let muted = muted_until.max(sensor_muted_until) > Some(now.as_micros());
    Ok(if muted { Claim::Muted } else { Claim::Tell })
}
