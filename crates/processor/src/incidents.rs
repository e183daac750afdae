//! Incidents as people ask for them: while a daemon or functions move them on.

use std::future::Future;

use detect::Transition;
use wire::Timestamp;

use crate::store_error::StoreError;

/// One incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// What people call it.
    pub id: String,
    /// True until it resolves.
    pub open: bool,
    /// Its last transition.
    pub latest: Transition,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<Acknowledgement>,
    /// When the later one of its own mute and its sensor's ends, where there is one.
    pub muted_until: Option<Timestamp>,
}

/// Who has seen an incident.
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
    /// On the seeds' scale.
    pub score: f64,
}

/// The incidents that an id or the beginning of one fits.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// None.
    None,
    /// Exactly one.
    One(Box<Incident>),
    /// Several: their ids.
    Several(Vec<String>),
}

/// Where incidents are kept, for people to look into.
pub trait Incidents {
    /// Open ones first, each newest first, of all sensors or of those of one group; at most `limit`.
    fn list(&self, group: Option<&str>, limit: u32) -> impl Future<Output = Result<Vec<Incident>, StoreError>>;

    /// The incidents whose id begins so.
    fn find(&self, id: &str) -> impl Future<Output = Result<Found, StoreError>>;

    /// The moments of an incident, in order.
    fn transitions(&self, incident: &Incident) -> impl Future<Output = Result<Vec<Transition>, StoreError>>;

    /// The anomalies of an incident, the latest `limit` of them, in order.
    fn anomalies(&self, incident: &Incident, limit: u32) -> impl Future<Output = Result<Vec<KeptAnomaly>, StoreError>>;

    /// Notes who has seen it. The first one stays.
    fn acknowledge(
        &self,
        incident: &Incident,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Acknowledgement, StoreError>>;

    /// No message of this incident is published before `until`.
    fn mute(&self, incident: &Incident, until: Timestamp) -> impl Future<Output = Result<(), StoreError>>;

    /// No message of this sensor is published before `until`.
    fn mute_sensor(&self, sensor: &str, until: Timestamp) -> impl Future<Output = Result<(), StoreError>>;

    /// True where the sensor ever had an incident.
    fn knows_sensor(&self, sensor: &str) -> impl Future<Output = Result<bool, StoreError>>;
}
