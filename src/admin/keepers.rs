//! Who keeps incidents: the embedded store, opened once, or a table, asked at most once in a few seconds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda::embedded::EmbeddedIncidents;
use lambda::incidents::{Incident, Incidents};
use lambda::tables::TableIncidents;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::board::Keeper;
use crate::clock;
use crate::incidents::{self, IncidentsError, in_store};

/// How many are listed.
const COUNTED: u32 = 500;
/// What a table answered is as good as new for so long: however many look on, it is asked no more often.
const FRESH: Duration = Duration::from_secs(5);
/// The page waits no longer for a table: it has more to show, most of all when AWS does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is open of them.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    folder: Arc<Mutex<Option<(PathBuf, EmbeddedIncidents)>>>,
    table: tokio::sync::Mutex<Option<Table>>,
}

/// A table, and what was in it lately.
#[derive(Debug)]
struct Table {
    keeper: Keeper,
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
            Keeper::Table { .. } => {
                // Held while it is read: who looks on meanwhile gets the same list.
                let mut table = self.table.lock().await;
                Some(open(&mut table, keeper).await.list().await)
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
            Keeper::Table { .. } => {
                let mut table = self.table.lock().await;
                let incidents = open(&mut table, keeper).await.incidents.clone();
                drop(table);
                let done = deed.perform(&incidents).await.map_err(why);
                if let Some(table) = &mut *self.table.lock().await {
                    table.listed = None;
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

/// The table of this keeper.
async fn open<'a>(table: &'a mut Option<Table>, keeper: &Keeper) -> &'a mut Table {
    let kept = table.take().filter(|table| table.keeper == *keeper);
    let open = match (kept, keeper) {
        (Some(open), _) => open,
        (None, Keeper::Table { name, beside }) => Table {
            keeper: keeper.clone(),
            incidents: TableIncidents::new(Client::new(&beside.own_config().await), name),
            listed: None,
        },
        (None, Keeper::Nowhere | Keeper::Folder(_)) => unreachable!("only a table is opened here"),
    };
    table.insert(open)
}

/// With its causes.
fn why(error: IncidentsError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

impl Table {
    async fn list(&mut self) -> Listed {
        let fresh = self.listed.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        if let Some((_, listed)) = fresh {
            return listed.clone();
        }
        let listed = match timeout(PATIENCE, self.incidents.list(None, COUNTED)).await {
            Ok(listed) => listed.map(Arc::from).map_err(|error| why(error.into())),
            Err(_) => Err(format!("the table has not answered within {} s", PATIENCE.as_secs())),
        };
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
