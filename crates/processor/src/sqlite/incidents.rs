//! Incidents as people query them, from any process, while the daemon runs.

use std::path::Path;

use detect::Transition;
use rusqlite::{Connection, OptionalExtension, Row};
use wire::Timestamp;

use super::schema::{self, Durability};
use super::unavailable;
use crate::encoding;
use crate::incidents::{Acknowledgement, Found, Incident, Incidents, KeptAnomaly};
use crate::store_error::StoreError;

/// The incidents of an embedded store.
#[derive(Debug)]
pub struct EmbeddedIncidents(Connection);

const COLUMNS: &str = "incidents.id, incidents.open, incidents.latest, incidents.acknowledged_by,
    incidents.acknowledged_at_us, max(coalesce(incidents.muted_until_us, mutes.until_us),
    coalesce(mutes.until_us, incidents.muted_until_us))";

/// The most ids shown for an ambiguous prefix.
const MOST_FOUND: usize = 10;

impl EmbeddedIncidents {
    /// Opens the store in `dir`; `None` if there is none.
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        Ok(schema::open_existing(dir, Durability::Synced)?.map(Self))
    }

    /// The matching incidents that `wanted` accepts, at most `limit`.
    fn query(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
        wanted: impl Fn(&Incident) -> bool,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let doing = |error| unavailable("reading incidents", error);
        let mut query = self
            .0
            .prepare(&format!(
                "SELECT {COLUMNS} FROM incidents LEFT JOIN mutes ON mutes.sensor = incidents.sensor WHERE {condition}"
            ))
            .map_err(doing)?;
        let mut rows = query.query(parameters).map_err(doing)?;
        let mut incidents = Vec::new();
        while incidents.len() < limit
            && let Some(row) = rows.next().map_err(doing)?
        {
            incidents.extend(Some(incident(row)?).filter(&wanted));
        }
        Ok(incidents)
    }
}

impl Incidents for EmbeddedIncidents {
    async fn list(&self, group: Option<&str>, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.query(
            "1 ORDER BY incidents.open DESC, incidents.start_us DESC, incidents.sensor",
            [],
            |incident| group.is_none() || incident.latest.sensor.group() == group,
            limit as usize,
        )
    }

    async fn find(&self, id: &str) -> Result<Found, StoreError> {
        // Every digit of an id compares below "g".
        let mut found = self.query(
            "incidents.id >= ?1 AND incidents.id < ?1 || 'g' ORDER BY incidents.id",
            [id.to_ascii_lowercase()],
            |_| true,
            MOST_FOUND,
        )?;
        Ok(match found.len() {
            0 => Found::None,
            1 => Found::One(Box::new(found.swap_remove(0))),
            _ => Found::Several(found.into_iter().map(|incident| incident.id).collect()),
        })
    }

    async fn transitions(&self, incident: &Incident) -> Result<Vec<Transition>, StoreError> {
        let doing = |error| unavailable(format!("reading the transitions of incident {}", incident.id), error);
        let mut query = self
            .0
            .prepare("SELECT transition FROM transitions WHERE sensor = ?1 AND start_us = ?2 ORDER BY number")
            .map_err(doing)?;
        let key = (incident.latest.sensor.id(), incident.latest.since.as_micros());
        let rows = query.query_map(key, |row| row.get::<_, Vec<u8>>(0)).map_err(doing)?;
        rows.map(|bytes| encoding::decode(&bytes.map_err(doing)?, || format!("incident {}", incident.id)))
            .collect()
    }

    async fn anomalies(&self, incident: &Incident, limit: u32) -> Result<Vec<KeptAnomaly>, StoreError> {
        let doing = |error| unavailable(format!("reading the anomalies of incident {}", incident.id), error);
        let end = if incident.open {
            Timestamp::MAX
        } else {
            incident.latest.time
        };
        let mut query = self
            .0
            .prepare(
                "SELECT timestamp, value, \"anomalyType\", anomaly_score FROM anomalies
                 WHERE deviceid = ?1 AND timestamp BETWEEN ?2 AND ?3 ORDER BY timestamp DESC LIMIT ?4",
            )
            .map_err(doing)?;
        let key = (
            incident.latest.sensor.id(),
            &*incident.latest.since.zoneless(),
            &*end.zoneless(),
            limit,
        );
        let rows = query
            .query_map(key, |row| {
                Ok(KeptAnomaly {
                    timestamp: row.get(0)?,
                    value: row.get(1)?,
                    kinds: row.get(2)?,
                    score: row.get(3)?,
                })
            })
            .map_err(doing)?;
        let mut anomalies: Vec<KeptAnomaly> = rows.collect::<Result<_, _>>().map_err(doing)?;
        anomalies.reverse();
        Ok(anomalies)
    }

    async fn acknowledge(&self, incident: &Incident, by: &str, now: Timestamp) -> Result<Acknowledgement, StoreError> {
        self.0
            .query_row(
                "UPDATE incidents SET acknowledged_by = coalesce(acknowledged_by, ?3),
                 acknowledged_at_us = coalesce(acknowledged_at_us, ?4) WHERE sensor = ?1 AND start_us = ?2
                 RETURNING acknowledged_by, acknowledged_at_us",
                (
                    incident.latest.sensor.id(),
                    incident.latest.since.as_micros(),
                    by,
                    now.as_micros(),
                ),
                |row| {
                    Ok(Acknowledgement {
                        by: row.get(0)?,
                        at: timestamp(row.get(1)?),
                    })
                },
            )
            .map_err(|error| unavailable(format!("acknowledging incident {}", incident.id), error))
    }

    async fn mute(&self, incident: &Incident, until: Timestamp) -> Result<(), StoreError> {
        self.0
            .execute(
                "UPDATE incidents SET muted_until_us = ?3 WHERE sensor = ?1 AND start_us = ?2",
                (
                    incident.latest.sensor.id(),
                    incident.latest.since.as_micros(),
                    until.as_micros(),
                ),
            )
            .map(drop)
            .map_err(|error| unavailable(format!("muting incident {}", incident.id), error))
    }

    async fn mute_sensor(&self, sensor: &str, until: Timestamp) -> Result<(), StoreError> {
        self.0
            .execute(
                "INSERT INTO mutes VALUES (?1, ?2) ON CONFLICT (sensor) DO UPDATE SET until_us = ?2",
                (sensor, until.as_micros()),
            )
            .map(drop)
            .map_err(|error| unavailable(format!("muting sensor {sensor}"), error))
    }

    async fn knows_sensor(&self, sensor: &str) -> Result<bool, StoreError> {
        self.0
            .query_row(
                "SELECT 1 FROM incidents WHERE sensor = ?1 LIMIT 1",
                [sensor],
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
            .map_err(|error| unavailable(format!("looking for sensor {sensor}"), error))
    }
}

fn incident(row: &Row<'_>) -> Result<Incident, StoreError> {
    let doing = |error| unavailable("reading an incident", error);
    let id: String = row.get(0).map_err(doing)?;
    let latest: Vec<u8> = row.get(2).map_err(doing)?;
    let by: Option<String> = row.get(3).map_err(doing)?;
    let at: Option<i64> = row.get(4).map_err(doing)?;
    let muted_until: Option<i64> = row.get(5).map_err(doing)?;
    Ok(Incident {
        latest: encoding::decode(&latest, || format!("incident {id}"))?,
        open: row.get(1).map_err(doing)?,
        acknowledged: by.zip(at).map(|(by, at)| Acknowledgement { by, at: timestamp(at) }),
        muted_until: muted_until.map(timestamp),
        id,
    })
}

fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap_or_default()
}
