//! Who keeps incidents: the embedded store, opened once, or a table, asked at most once in a few seconds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda::StoreError;
use lambda::embedded::EmbeddedIncidents;
use lambda::incidents::{Incident, Incidents};
use lambda::tables::TableIncidents;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::board::{Keeper, Table};
use crate::clock;
use crate::incidents::{self, IncidentsError, in_store};

/// How many are listed.
const COUNTED: u32 = 500;
/// What a table answered is as good as new for so long: however many look on, it is asked no more often.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// The page waits no longer for a table: it has more to show, most of all when AWS does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is open of them.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    folder: Arc<Mutex<Option<(PathBuf, EmbeddedIncidents)>>>,
    table: tokio::sync::Mutex<Option<Open>>,
}

/// A table, and what was in it lately.
#[derive(Debug)]
struct Open {
    table: Table,
    incidents: TableIncidents,
    listed: Option<(Instant, Listed)>,
}

/// Incidents, open ones first, or why they cannot be read.
pub(super) type Listed = Result<Arc<[Incident]>, String>;

/// What a person wants of an incident.
#[derive(Debug)]
pub(super) struct Deed {
    /// Its id.
    pub id: String,
    /// Who wants it.
    pub by: String,
    /// How long it is to be muted; else it is acknowledged.
    pub mute: Option<Duration>,
}

impl Keepers {
    /// The incidents, open ones first; `None` where nobody keeps any.
    pub(super) async fn list(&self, keeper: &Keeper) -> Option<Listed> {
        match keeper {
            Keeper::Nowhere => None,
            Keeper::Folder(dir) => {
                let list = |store: &EmbeddedIncidents| Ok(Handle::current().block_on(store.list(None, COUNTED))?);
                let listed = self.in_folder(dir.clone(), list).await;
                Some(listed.map(Arc::from).map_err(why))
            }
            Keeper::Table(table) => {
                // Held while it is read: who looks on meanwhile gets the same list.
                let mut held = self.table.lock().await;
                Some(open(&mut held, table).await.list().await)
            }
        }
    }

    /// Does it, and says what was done; `None` where nobody keeps incidents.
    pub(super) async fn perform(&self, keeper: &Keeper, deed: Deed) -> Option<Result<String, String>> {
        match keeper {
            Keeper::Nowhere => None,
            Keeper::Folder(dir) => {
                let perform = move |store: &EmbeddedIncidents| Handle::current().block_on(deed.perform(store));
                Some(self.in_folder(dir.clone(), perform).await.map_err(why))
            }
            Keeper::Table(table) => {
                let mut held = self.table.lock().await;
                let incidents = open(&mut held, table).await.incidents.clone();
                drop(held);
                let done = deed.perform(&incidents).await.map_err(why);
                if let Some(open) = &mut *self.table.lock().await {
                    open.listed = None;
                }
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

async fn open<'a>(held: &'a mut Option<Open>, table: &Table) -> &'a mut Open {
    let open = match held.take().filter(|open| open.table == *table) {
        Some(open) => open,
        None => Open {
            table: table.clone(),
            incidents: TableIncidents::new(Client::new(&table.beside.own_config().await), &table.name),
            listed: None,
        },
    };
    held.insert(open)
}

/// An error with its causes.
fn why(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// What a table answers in time.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(why),
        Err(_) => Err(format!("the table has not answered within {} s", PATIENCE.as_secs())),
    }
}

impl Open {
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

impl Deed {
    async fn perform(&self, store: &impl Incidents) -> Result<String, IncidentsError> {
        let (mut said, now) = (Vec::new(), clock::now());
        match self.mute {
            None => incidents::acknowledge(store, &self.id, &self.by, now, &mut said).await?,
            Some(duration) => incidents::mute(store, &self.id, duration, now, &mut said).await?,
        }
        Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
    }
}
