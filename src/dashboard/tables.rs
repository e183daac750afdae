//! Tables that the functions behind the stream keep: opened once, and never waited for long.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use processor::StoreError;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::timeout;

use crate::control::status::Table;

/// What a table answered is as good as new for so long: however many look on, it is asked no more often.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// The page waits no longer for a table: it has more to show, most of all when AWS does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is made of a table once it is asked for.
#[derive(Debug)]
pub(super) struct Opened<T>(Mutex<Option<(Table, T)>>);

impl<T> Opened<T> {
    /// What was made of this table, made where it was none or of another. Nobody else has it meanwhile.
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

/// What a table answers in time.
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
