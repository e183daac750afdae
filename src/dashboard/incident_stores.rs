//! Who keeps incidents: the embedded store, opened once, or a table, asked at most once in a few seconds.

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

/// How many are listed.
const COUNTED: u32 = 500;

/// What is open of them.
#[derive(Debug, Default)]
pub(super) struct IncidentStores {
    folder: Arc<Mutex<Option<(PathBuf, EmbeddedIncidents)>>>,
    table: Opened<Lately>,
}

/// A table's incidents, and what they were lately.
#[derive(Debug)]
struct Lately {
    incidents: TableIncidents,
    listed: Option<(Instant, Listed)>,
}

/// Incidents, open ones first, or why they cannot be read.
type Listed = Result<Arc<[Incident]>, String>;

/// What a person wants of an incident.
#[derive(Debug)]
pub(super) struct Action {
    /// Its id.
    pub id: String,
    /// Who wants it.
    pub by: String,
    /// How long it is to be muted; else it is acknowledged.
    pub mute: Option<Duration>,
}

/// Incidents that are kept, or why it is not known.
#[derive(Debug)]
pub(super) enum Kept {
    /// These, open ones first.
    Here(Arc<[Incident]>),
    /// Elsewhere.
    Elsewhere,
    /// They cannot be read.
    Unknown(String),
}

impl IncidentStores {
    /// The incidents, open ones first; `None` where nobody keeps any.
    pub(super) async fn list(&self, store: &IncidentStore) -> Option<Listed> {
        match store {
            IncidentStore::Nowhere => None,
            IncidentStore::Folder(dir) => {
                let list = |store: &EmbeddedIncidents| Ok(Handle::current().block_on(store.list(None, COUNTED))?);
                let listed = self.in_folder(dir.clone(), list).await;
                Some(listed.map(Arc::from).map_err(why))
            }
            IncidentStore::Table(table) => {
                // Held while it is read: who looks on meanwhile gets the same list.
                Some(self.table.of(table, Lately::of).await.list().await)
            }
        }
    }

    /// Does it, and says what was done; `None` where nobody keeps incidents.
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

    /// Does something with the store, on a thread that may wait for the disk.
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

    /// The sensor of the first.
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
