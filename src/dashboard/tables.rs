//! Tables kept by the functions behind the stream: opened once, queried with a short timeout.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use processor::StoreError;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::timeout;

use crate::control::status::Table;

/// How long an answer of a table is reused, however many people are watching.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// The timeout of a query: the page has more to show, above all when AWS does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A value built from a table on first use.
#[derive(Debug)]
pub(super) struct Opened<T>(Mutex<Option<(Table, T)>>);

impl<T> Opened<T> {
    /// Returns the value built from this table, building it if there is none or it is another table's. It is locked
    /// until the guard is dropped.
    pub(super) async fn of(&self, table: &Table, make: impl FnOnce(Client, &str) -> T) -> MappedMutexGuard<'_, T> {
        let mut opened = self.0.lock().await;
        if opened.as_ref().is_none_or(|(of, _)| of != table) {
            let client = Client::new(&table.beside.own_config().await);
            *opened = Some((table.clone(), make(client, &table.name)));
        }
        MutexGuard::map(opened, |opened| &mut opened.as_mut().expect("it was made above").1)
    }
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// Returns a table's answer within the timeout.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(why),
        Err(_) => Err(format!("the table has not answered within {} s", PATIENCE.as_secs())),
    }
}

/// An error with its causes.
pub(super) fn why(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
