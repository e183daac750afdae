//! The tables of the embedded store, and their versions.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::unavailable;
use crate::store_error::StoreError;

/// The name of the store's file in its folder.
pub const FILE: &str = "store.db";

/// The newest version of the tables known here; SQLite keeps it as `user_version`.
const VERSION: u32 = 1;

/// How long one process waits for another's write to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a commit returns before it would survive the loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// No: it is synced. Written ahead, one sync a commit.
    Synced,
    /// Yes. Commits are never reordered, so the loss of power takes back the last ones only; an end of the process
    /// takes back none.
    Ordered,
}

/// Opens the store in `dir`; makes folder and file where there are none.
pub fn open(dir: &Path, durability: Durability) -> Result<Connection, StoreError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| StoreError::unavailable(format!("making the folder {}", dir.display()), error))?;
    let path = dir.join(FILE);
    connect(&path, OpenFlags::default(), durability)
}

/// Opens the store in `dir` where there is one.
pub fn open_existing(dir: &Path, durability: Durability) -> Result<Option<Connection>, StoreError> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    connect(&path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE, durability).map(Some)
}

fn connect(path: &Path, flags: OpenFlags, durability: Durability) -> Result<Connection, StoreError> {
    let failed = |error| unavailable(format!("opening the store {}", path.display()), error);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    // Write-ahead logging lets other processes read while this one writes. 1 MiB of cache: pages are warm elsewhere.
    connection
        .execute_batch(match durability {
            Durability::Synced => "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
            Durability::Ordered => "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;",
        })
        .map_err(failed)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Brings the tables to the version known here; refuses a newer one.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| unavailable(format!("preparing the tables of {}", path.display()), error);
    if version(connection).map_err(failed)? == VERSION {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    // Another process may have done it while this one waited.
    let found = version(&transaction).map_err(failed)?;
    if found > VERSION {
        return Err(StoreError::Newer {
            what: path.display().to_string(),
            found,
            known: VERSION,
        });
    }
    if found == 0 {
        create(&transaction).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(include_str!("schema_1.sql"))
}
