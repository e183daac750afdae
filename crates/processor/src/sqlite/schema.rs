//! The tables of the embedded store, and their version.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::unavailable;
use crate::store_error::StoreError;

/// The name of the store's file in its folder.
pub const FILE: &str = "store.db";

/// The version of the tables; SQLite keeps it as `user_version`.
const VERSION: u32 = 2;

/// How long one process waits for another's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a commit survives a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Yes: one sync per commit.
    Synced,
    /// Not yet. Commits are never reordered, so a power failure takes back the last ones only; the end of the process
    /// takes back none.
    Ordered,
}

/// Opens the store in `dir`; creates folder and file if needed.
pub fn open(dir: &Path, durability: Durability) -> Result<Connection, StoreError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| StoreError::unavailable(format!("creating the folder {}", dir.display()), error))?;
    let path = dir.join(FILE);
    connect(&path, OpenFlags::default(), durability)
}

/// Opens the store in `dir` if there is one.
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
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // Write-ahead logging lets other processes read while this one writes. 1 MiB of cache: partitions are warm
    // elsewhere.
    connection
        .execute_batch(match durability {
            Durability::Synced => "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
            Durability::Ordered => "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;",
        })
        .map_err(failed)?;
    prepare(&mut connection, path)?;
    Ok(connection)
}

/// Creates the tables in a new file; refuses any other version.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| unavailable(format!("preparing the tables of {}", path.display()), error);
    if version(connection).map_err(failed)? == VERSION {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    // Another process may have done it while this one waited.
    let found = version(&transaction).map_err(failed)?;
    let (what, known) = (path.display().to_string(), VERSION);
    match found {
        0 => create(&transaction).map_err(failed)?,
        VERSION => {}
        1..VERSION => return Err(StoreError::Older { what, found, known }),
        _ => return Err(StoreError::Newer { what, found, known }),
    }
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(include_str!("schema.sql"))
}
