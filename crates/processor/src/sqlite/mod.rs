//! The embedded store: one SQLite file in a folder. One process writes partitions; others may read and change incidents.

mod incidents;
mod outbox;
mod partitions;
mod schema;

use std::path::Path;

use crate::store_error::StoreError;

pub use incidents::EmbeddedIncidents;
pub use outbox::{EmbeddedOutbox, PendingEvents};
pub use partitions::EmbeddedPartitions;
pub use schema::FILE;

/// Opens the store in `dir`, made where there is none, for the one process that folds.
///
/// Each has a connection of its own. Partitions are synced before they count as appended; what the outbox writes follows the
/// entry it comes from and may be lost with power, because it is written again from the outbox.
pub fn open(dir: &Path) -> Result<(EmbeddedPartitions, EmbeddedOutbox), StoreError> {
    let partitions = EmbeddedPartitions::new(schema::open(dir, schema::Durability::Synced)?);
    let outbox = EmbeddedOutbox::new(schema::open(dir, schema::Durability::Ordered)?);
    Ok((partitions, outbox))
}

fn unavailable(doing: impl Into<String>, error: rusqlite::Error) -> StoreError {
    StoreError::unavailable(doing, error)
}
