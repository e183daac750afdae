//! The embedded store: one SQLite file in a folder. One process writes pages; others may read and change incidents.

mod incidents;
mod outbox;
mod pages;
mod schema;

use std::path::Path;

use crate::store_error::StoreError;

pub use incidents::EmbeddedIncidents;
pub use outbox::{EmbeddedOutbox, Untold};
pub use pages::EmbeddedPages;
pub use schema::FILE;

/// Opens the store in `dir`, made where there is none, for the one process that folds.
///
/// Each has a connection of its own. Pages are synced before they count as appended; what the outbox writes follows the
/// entry it comes from and may be lost with power, because it is written again from the outbox.
pub fn open(dir: &Path) -> Result<(EmbeddedPages, EmbeddedOutbox), StoreError> {
    let pages = EmbeddedPages::new(schema::open(dir, schema::Durability::Synced)?);
    let outbox = EmbeddedOutbox::new(schema::open(dir, schema::Durability::Ordered)?);
    Ok((pages, outbox))
}

fn unavailable(doing: impl Into<String>, error: rusqlite::Error) -> StoreError {
    StoreError::unavailable(doing, error)
}
