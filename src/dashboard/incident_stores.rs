//! The stores of incidents: the embedded store, opened once, or a table, queried at most once every few seconds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use processor::dynamodb::TableIncidents;
use processor::incidents::{Incident, Incidents};
use processor::sqlite::EmbeddedIncidents;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::tables::{FRESH, Opened, in_time, why};
use crate::clock;
use crate::control::status::IncidentStore;
use crate::incidents::{self, IncidentsError, in_store};

/// The most incidents that are read.
const COUNTED: u32 = 500;

/// The open incidents.
#[derive(Debug, Default)]
pub(super) struct IncidentStores {
    folder: Arc<Mutex<Option<(PathBuf, EmbeddedIncidents)>>>,
    table: Opened<Lately>,
}

/// A table of incidents, and its latest answer.
#[derive(Debug)]
struct Lately {
    incidents: TableIncidents,
    listed: Option<(Instant, Listed)>,
}

/// Incidents, open ones first, or why they cannot be read.
type Listed = Result<Arc<[Incident]>, String>;

/// An action on an incident.
#[derive(Debug)]
pub(super) struct Action {
    /// Its id.
    pub id: String,
    /// The name of the requester.
    pub by: String,
    /// The duration of a mute; `None` acknowledges the incident.
    pub mute: Option<Duration>,
}

/// The incidents to show, or why there are none.
#[derive(Debug)]
pub(super) enum Kept {
    /// The incidents, open ones first.
    Here(Arc<[Incident]>),
    /// They are kept elsewhere.
    Elsewhere,
    /// They cannot be read.
    Unknown(String),
}

impl IncidentStores {
    /// Returns the incidents, open ones first; `None` if no store keeps any here.
    pub(super) async fn list(&self, store: &IncidentStore) -> Option<Listed> {
        match store {
            IncidentStore::Nowhere => None,
            IncidentStore::Folder(dir) => {
                let list = |store: &EmbeddedIncidents| Ok(Handle::current().block_on(store.list(None, COUNTED))?);
                let listed = self.in_folder(dir.clone(), list).await;
                Some(listed.map(Arc::from).map_err(why))
            }
            IncidentStore::Table(table) => {
                // The lock is held during the query, so that concurrent requests get the same list.
                Some(self.table.of(table, Lately::of).await.list().await)
            }
        }
    }

    /// Performs the action and describes the result; `None` if no store keeps incidents here.
    pub(super) async fn perform(&self, store: &IncidentStore, action: Action) -> Option<Result<String, String>> {
        match store {
            IncidentStore::Nowhere => None,
            IncidentStore::Folder(dir) => {
                let perform = move |store: &EmbeddedIncidents| Handle::current().block_on(action.perform(store));
                Some(self.in_folder(dir.clone(), perform).await.map_err(why))
            }
            IncidentStore::Table(table) => {
                let incidents = self.table.of(table, Lately::of).await.incidents.clone();
                let done = action.perform(&incidents).await.map_err(why);
                self.table.of(table, Lately::of).await.listed = None;
                Some(done)
            }
        }
    }

    /// Uses the store on a thread that may block on the disk.
    async fn in_folder<T: Send + 'static>(
        &self,
        dir: PathBuf,
        then: impl FnOnce(&EmbeddedIncidents) -> Result<T, IncidentsError> + Send + 'static,
    ) -> Result<T, IncidentsError> {
        let store = self.folder.clone();
        let done = spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let open = match store.take() {
                Some((of, open)) if of == dir => open,
                _ => in_store(&dir)?,
            };
            let (_, open) = store.insert((dir, open));
            then(open)
        });
        done.await.expect("nothing in there panics, and it is never aborted")
    }
}

impl Kept {
    pub(super) async fn of(incident_stores: &IncidentStores, store: &IncidentStore) -> Self {
        match incident_stores.list(store).await {
            Some(Ok(incidents)) => Self::Here(incidents),
            Some(Err(why)) => Self::Unknown(why),
            None => Self::Elsewhere,
        }
    }

    /// How many are open, where that is known.
    pub(super) fn open(&self) -> Option<u64> {
        match self {
            Self::Here(all) => Some(all.iter().filter(|incident| incident.open).count() as u64),
            Self::Elsewhere | Self::Unknown(_) => None,
        }
    }

    /// The sensor of the first incident.
    pub(super) fn first_sensor(&self) -> Option<&str> {
        match self {
            Self::Here(all) => all.first().map(|incident| incident.latest.sensor.id()),
            Self::Elsewhere | Self::Unknown(_) => None,
        }
    }
}

impl Lately {
    fn of(client: Client, table: &str) -> Self {
        Self {
            incidents: TableIncidents::new(client, table),
            listed: None,
        }
    }

    async fn list(&mut self) -> Listed {
        let fresh = self.listed.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        if let Some((_, listed)) = fresh {
            return listed.clone();
        }
        let listed = in_time(self.incidents.list(None, COUNTED)).await.map(Arc::from);
        self.listed = Some((Instant::now(), listed.clone()));
        listed
    }
}

impl Action {
    async fn perform(&self, store: &impl Incidents) -> Result<String, IncidentsError> {
        let (mut said, now) = (Vec::new(), clock::now());
        match self.mute {
            None => incidents::acknowledge(store, &self.id, &self.by, now, &mut said).await?,
            Some(duration) => incidents::mute(store, &self.id, duration, now, &mut said).await?,
        }
        Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
    }
}
