//! Incidents as people query them, while a daemon or functions update them.

use std::future::Future;

use detect::Transition;
use wire::Timestamp;

use crate::store_error::StoreError;

/// One incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its short name.
    pub id: String,
    /// True until it resolves.
    pub open: bool,
    /// Its last transition.
    pub latest: Transition,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<Acknowledgement>,
    /// End of its own mute or its sensor's, whichever is later.
    pub muted_until: Option<Timestamp>,
}

/// Who acknowledged an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The name given.
    pub by: String,
    /// When, by the wall clock.
    pub at: Timestamp,
}

/// An anomaly as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptAnomaly {
    /// When it was observed, UTC: `2024-05-01 10:00:00.123456`.
    pub timestamp: String,
    /// A number, or a JSON array of numbers.
    pub value: String,
    /// One or several kinds, separated by commas.
    pub kinds: String,
    /// Anomaly score.
    pub score: f64,
}

/// The incidents that match an id or a prefix of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// None.
    None,
    /// Exactly one.
    One(Box<Incident>),
    /// Several: their ids.
    Several(Vec<String>),
}

/// A store of incidents, for queries.
pub trait Incidents {
    /// Open ones first, each newest first, of all sensors or of those of one group; at most `limit`.
    fn list(&self, group: Option<&str>, limit: u32) -> impl Future<Output = Result<Vec<Incident>, StoreError>>;

    /// The incidents whose id has this prefix.
    fn find(&self, id: &str) -> impl Future<Output = Result<Found, StoreError>>;

    /// The transitions of an incident, in order.
    fn transitions(&self, incident: &Incident) -> impl Future<Output = Result<Vec<Transition>, StoreError>>;

    /// The latest anomalies of an incident, at most `limit`, in order.
    fn anomalies(&self, incident: &Incident, limit: u32) -> impl Future<Output = Result<Vec<KeptAnomaly>, StoreError>>;

    /// Notes who acknowledges it. The first acknowledgement stays.
    fn acknowledge(
        &self,
        incident: &Incident,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Acknowledgement, StoreError>>;

    /// Publishes no message about this incident before `until`.
    fn mute(&self, incident: &Incident, until: Timestamp) -> impl Future<Output = Result<(), StoreError>>;

    /// Publishes no message about this sensor before `until`.
    fn mute_sensor(&self, sensor: &str, until: Timestamp) -> impl Future<Output = Result<(), StoreError>>;

    /// True if the sensor ever had an incident.
    fn knows_sensor(&self, sensor: &str) -> impl Future<Output = Result<bool, StoreError>>;
}
