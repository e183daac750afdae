//! The embedded store: one SQLite file in a folder. One process writes partitions; others may read and change
//! incidents.

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

/// Opens the store in `dir`, created if needed, for the one process that folds.
///
/// Partitions and outbox have a connection each. Entries are synced before they count as appended. Writes of the outbox
/// may be lost in a power failure: they are repeated from the pending events.
pub fn open(dir: &Path) -> Result<(EmbeddedPartitions, EmbeddedOutbox), StoreError> {
    let partitions = EmbeddedPartitions::new(schema::open(dir, schema::Durability::Synced)?);
    let outbox = EmbeddedOutbox::new(schema::open(dir, schema::Durability::Ordered)?);
    Ok((partitions, outbox))
}

fn unavailable(doing: impl Into<String>, error: rusqlite::Error) -> StoreError {
    StoreError::unavailable(doing, error)
}
