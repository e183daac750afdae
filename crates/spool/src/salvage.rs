//! Opens the database in a directory. Sets a damaged one aside and keeps every row that is still whole; sets one
//! written by another version aside unchanged.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use delivery::spool::Lost;
use jiff::Timestamp;
use rusqlite::Connection;
use tracing::error;

use super::SpoolError;
use super::error::Fault;
use super::pages::{Pages, Use};
use super::store::{self, Census, Store, VERSION, beside, wal_of};

const DATABASE: &str = "spool.db";
/// A database under construction; never complete.
const BUILDING: &str = "spool.db.building";
/// A complete database of the salvaged rows, about to replace the damaged one.
const SALVAGED: &str = "spool.db.salvaged";

/// A database, ready for writing.
pub(super) struct Opened {
    pub store: Store,
    pub census: Census,
    /// Rows that were expected in it and are missing.
    pub corrupt: Lost,
    /// Path of the damaged database.
    pub set_aside: Option<PathBuf>,
}

pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

/// Opens the database in `dir`; creates it if missing, salvages it if damaged.
pub(super) fn open(dir: &Path) -> Result<Opened, SpoolError> {
    let path = database(dir);
    finish_earlier(dir)?;
    if !exists(&path)? {
        let building = dir.join(BUILDING);
        store::build(&building, |_| Ok(())).map_err(|error| SpoolError::sqlite("making", &building, error))?;
        rename(&building, &path)?;
        sync(dir)?;
    }
    match open_database(&path) {
        Err(Fail::Damaged(why)) => salvage(dir, &why),
        Err(Fail::Version(found)) => set_version_aside(dir, found),
        Err(Fail::Refused(error)) => Err(error),
        Ok((store, census)) => Ok(Opened {
            store,
            census,
            corrupt: Lost::default(),
            set_aside: None,
        }),
    }
}

/// Sets the database in `dir` aside and opens a new one with every row that is still whole. It must not be open.
pub(super) fn salvage(dir: &Path, why: &str) -> Result<Opened, SpoolError> {
    let path = database(dir);
    let building = dir.join(BUILDING);
    remove(&building)?;
    let pages = Pages::open(&path).map_err(|error| SpoolError::io("reading", &path, error))?;
    let mut corrupt = Lost::default();
    store::build(&building, |db| {
        corrupt = collect(&pages, db)?;
        Ok(())
    })
    .map_err(|error| SpoolError::sqlite("salvaging", &path, error))?;
    drop(pages);
    let aside = set_aside_path(&path, "corrupt");
    let (store, census) = replace(dir, &building, &aside)?;
    error!(
        spool = %path.display(),
        set_aside = %aside.display(),
        salvaged_records = census.live.records,
        salvaged_readings = census.live.readings,
        lost_records = corrupt.records,
        lost_readings = corrupt.readings,
        why,
        "the spool was damaged: what could be read of it goes on in a new file, the damaged one is kept for you to look at"
    );
    Ok(Opened {
        store,
        census,
        corrupt,
        set_aside: Some(aside),
    })
}

/// Sets a database of another version aside, untouched, and opens a new one: refusing to start after a rollback would
/// lose what the sources measure now.
fn set_version_aside(dir: &Path, found: u32) -> Result<Opened, SpoolError> {
    let path = database(dir);
    let building = dir.join(BUILDING);
    store::build(&building, |_| Ok(())).map_err(|error| SpoolError::sqlite("making", &building, error))?;
    let aside = set_aside_path(&path, &format!("version-{found}"));
    let (store, census) = replace(dir, &building, &aside)?;
    error!(
        spool = %path.display(),
        set_aside = %aside.display(),
        found,
        known = VERSION,
        "another version wrote the spool: it is set aside unread, and its readings are not sent. Once that version is \
         installed again and this spool is empty, stop the daemon and give the file its name back"
    );
    Ok(Opened {
        store,
        census,
        corrupt: Lost::default(),
        set_aside: Some(aside),
    })
}

/// Renames the database to `aside`, and puts the one at `building` in its place. A stop at any point leaves either the
/// earlier database or the complete new one in place.
fn replace(dir: &Path, building: &Path, aside: &Path) -> Result<(Store, Census), SpoolError> {
    let path = database(dir);
    let salvaged = dir.join(SALVAGED);
    rename(building, &salvaged)?;
    sync(dir)?;
    rename(&path, aside)?;
    put_in_place(&path, aside, &salvaged)?;
    open_database(&path).map_err(|fail| match fail {
        Fail::Refused(error) => error,
        Fail::Version(_) => unreachable!("it was just made by this version"),
        Fail::Damaged(why) => SpoolError::io("opening the new", &path, io::Error::other(why)),
    })
}

/// Copies every whole row into `db`, and returns what else should have been there.
fn collect(pages: &Pages, db: &Connection) -> rusqlite::Result<Lost> {
    db.execute_batch("CREATE TEMP TABLE expected (id INTEGER PRIMARY KEY, readings INTEGER NOT NULL)")?;
    pages.rows(Use::Tree, |row| store::insert(db, &row))?;
    let mut expect = db.prepare("INSERT OR IGNORE INTO expected VALUES (?1, ?2)")?;
    pages.expected(|id, readings| expect.execute((id, readings)).map(drop))?;
    let index_is_whole = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM expected)
             AND NOT EXISTS (SELECT 1 FROM records WHERE id NOT IN (SELECT id FROM expected))",
        [],
        |row| row.get(0),
    )?;
    // If the pointer map is damaged, a removed row looks like one that should exist. The index knows; without it a
    // removed row may come back, which repeats it under its identity and is better than losing one.
    let mut expected = db.prepare("SELECT 1 FROM expected WHERE id = ?1")?;
    for (used, by_index) in [(Use::Unknown, index_is_whole), (Use::Other, true)] {
        pages.rows(used, |row| {
            if !by_index || expected.exists([row.id])? {
                store::insert(db, &row)?;
            }
            Ok::<_, rusqlite::Error>(())
        })?;
    }
    db.query_row(
        "SELECT count(*), ifnull(sum(readings), 0) FROM expected WHERE id NOT IN (SELECT id FROM records)",
        [],
        |row| {
            Ok(Lost {
                records: row.get(0)?,
                readings: row.get(1)?,
            })
        },
    )
}

enum Fail {
    Damaged(String),
    /// Another version wrote it.
    Version(u32),
    Refused(SpoolError),
}

fn open_database(path: &Path) -> Result<(Store, Census), Fail> {
    // SQLite takes an empty file for a new database and discards its log; our file is never empty.
    let bytes = fs::metadata(path).map_err(|error| Fail::Refused(SpoolError::io("opening", path, error)))?;
    if bytes.len() == 0 {
        return Err(Fail::Damaged("it is empty".to_owned()));
    }
    let fail = |error: rusqlite::Error| match Fault::of(&error) {
        Fault::Damaged => Fail::Damaged(error.to_string()),
        _ => Fail::Refused(SpoolError::sqlite("opening", path, error)),
    };
    let store = Store::open(path).map_err(fail)?;
    let found = store.version().map_err(fail)?;
    if found != VERSION {
        return Err(Fail::Version(found));
    }
    store.start().map_err(fail)?;
    let census = store.census().map_err(fail)?;
    Ok((store, census))
}

/// Finishes an interrupted salvage, or undoes it if it was incomplete.
fn finish_earlier(dir: &Path) -> Result<(), SpoolError> {
    let path = database(dir);
    let salvaged = dir.join(SALVAGED);
    remove(&dir.join(BUILDING))?;
    if exists(&path)? {
        return remove(&salvaged);
    }
    if exists(&salvaged)? {
        return put_in_place(&path, &set_aside_path(&path, "corrupt"), &salvaged);
    }
    // A log without its database would be mistaken for the log of the next one.
    set_log_aside(&path, &set_aside_path(&path, "corrupt"))
}

fn put_in_place(path: &Path, aside: &Path, salvaged: &Path) -> Result<(), SpoolError> {
    set_log_aside(path, aside)?;
    rename(salvaged, path)?;
    let dir = path
        .parent()
        .expect("the database lies in the directory it was joined to");
    sync(dir)
}

fn set_log_aside(path: &Path, aside: &Path) -> Result<(), SpoolError> {
    let wal = wal_of(path);
    if exists(&wal)? {
        rename(&wal, &wal_of(aside))?;
    }
    remove(&beside(path, "-shm"))
}

fn set_aside_path(path: &Path, why: &str) -> PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ");
    beside(path, &format!(".{why}-{now}"))
}

fn exists(path: &Path) -> Result<bool, SpoolError> {
    path.try_exists()
        .map_err(|error| SpoolError::io("looking for", path, error))
}

fn rename(from: &Path, to: &Path) -> Result<(), SpoolError> {
    fs::rename(from, to).map_err(|error| SpoolError::io("renaming", from, error))
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SpoolError::io("removing", path, error)),
        _ => Ok(()),
    }
}

fn sync(dir: &Path) -> Result<(), SpoolError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| SpoolError::io("syncing", dir, error))
}
