//! The database: its tables and every SQL statement.

use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use delivery::record::LaneKey;
use delivery::spool::{Position, RecoveredLane};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, ffi, params};
use wire::ProducerId;

use super::error::Fault;
use super::footprint::{PAGE_BYTES, cost};
use super::packed::Packed;
use super::row::{Columns, Row, checksum};

/// "TISP": the application id that tells this database from other programs'.
const APPLICATION_ID: i32 = 0x5449_5350;
/// Incremented with every change of the tables.
pub(super) const VERSION: u32 = 2;

/// A row contains everything about its record, so that each can be salvaged alone; the indexes say which rows should
/// exist.
const SCHEMA: &str = "
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        lane TEXT NOT NULL,
        first BLOB NOT NULL,
        last BLOB NOT NULL,
        generation INTEGER NOT NULL,
        producer INTEGER NOT NULL,
        number INTEGER NOT NULL,
        readings INTEGER NOT NULL,
        since INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        data BLOB NOT NULL,
        raw_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX by_lane ON records (lane, generation, number);
    CREATE INDEX by_since ON records (since, readings);";

const INSERT: &str = "
    INSERT INTO records (id, lane, first, last, generation, producer, number, readings, since, crc, data, raw_bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";

/// An open database.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
}

/// The ids and generations in use. It survives a salvage: while the program runs, no id names two rows.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    last_id: i64,
    generations: HashMap<ProducerId, i64>,
}

/// Totals of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub bytes: u64,
    pub records: u64,
    pub readings: u64,
}

/// The content of a database at opening.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Those with the oldest rows first.
    pub lanes: Vec<RecoveredLane>,
    pub live: Live,
    pub numbering: Numbering,
}

/// A row's id and its counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub id: i64,
    pub bytes: u64,
    pub readings: u64,
}

/// Compares two sets of keys regardless of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest(u64);

impl Digest {
    fn add(&mut self, key: impl Hash) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.0 = self.0.wrapping_add(hasher.finish());
    }
}

impl Numbering {
    /// Adds the counts of another connection to the same rows.
    pub fn merge(&mut self, other: Self) {
        self.last_id = self.last_id.max(other.last_id);
        self.generations.extend(other.generations);
    }

    /// The generation of a producer; a new producer's is higher than all others.
    fn generation(&mut self, producer: ProducerId) -> i64 {
        let newest = self.generations.values().copied().max().unwrap_or(0);
        *self.generations.entry(producer).or_insert(newest.saturating_add(1))
    }
}

impl Live {
    pub fn add(&mut self, weight: Weight) {
        self.bytes += weight.bytes;
        self.records += 1;
        self.readings += weight.readings;
    }

    pub fn subtract(&mut self, weight: Weight) {
        self.bytes = self.bytes.saturating_sub(weight.bytes);
        self.records = self.records.saturating_sub(1);
        self.readings = self.readings.saturating_sub(weight.readings);
    }
}

/// Creates and fills a database in one step; it is synced when this returns. Replaces a file left by an unfinished
/// attempt.
pub(super) fn build(path: &Path, fill: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let db = Connection::open(path)?;
    // No journal: nobody reads this file before it is renamed.
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = OFF;
         PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {SCHEMA}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
    ))?;
    fill(&db)?;
    db.execute_batch("COMMIT")?;
    db.close().map_err(|(_, error)| error)
}

/// Copies a row unchanged into a database that is being built; the first of several with the same id or identity stays.
pub(super) fn insert(db: &Connection, row: &Row) -> rusqlite::Result<()> {
    put(db, row.id, row.generation, row.crc, &row.packed).map(drop)
}

pub(super) fn wal_of(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The error that the file is not what this program wrote.
pub(super) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

/// The error that the disk is full.
pub(super) fn no_room() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
}

impl Store {
    /// Opens a database without changing anything yet.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        // Nobody else should write; someone inspecting it with another program only reads.
        db.busy_timeout(Duration::from_secs(1))?;
        Ok(Self { db })
    }

    /// The version of the tables.
    pub fn version(&self) -> rusqlite::Result<u32> {
        let number = |pragma| self.db.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
        if number("application_id")? != APPLICATION_ID {
            return Err(damaged("it is not a spool of temp-ingest"));
        }
        u32::try_from(number("user_version")?)
            .ok()
            .filter(|version| *version > 0)
            .ok_or_else(|| damaged("it has no version"))
    }

    /// Prepares the database for writing.
    pub fn start(&self) -> rusqlite::Result<()> {
        // The log is copied back every 1,024 pages, and cut to that size if a reader made it longer.
        self.db.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -2048;
             PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1024; PRAGMA journal_size_limit = {};",
            1024 * PAGE_BYTES
        ))
    }

    /// Counts everything, and checks that the table and its indexes hold the same rows: a row missing from an index
    /// would stay in the spool for good.
    pub fn census(&self) -> rusqlite::Result<Census> {
        let mut census = Census::default();
        let mut lanes: HashMap<Box<str>, usize> = HashMap::new();
        let (mut by_lane, mut by_since) = (Digest::default(), Digest::default());
        let mut all = self.db.prepare(
            "SELECT id, lane, first, last, generation, producer, number, readings, since, length(data)
             FROM records NOT INDEXED",
        )?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_str()?;
            let generation: i64 = row.get(4)?;
            let weight = Weight {
                id: row.get(0)?,
                readings: row.get(7)?,
                bytes: cost(row.get(9)?, name.len() as u64),
            };
            by_lane.add((name, generation, row.get::<_, i64>(6)?, weight.id));
            by_since.add((row.get::<_, i64>(8)?, weight.readings, weight.id));
            let place = match lanes.get(name) {
                Some(place) => *place,
                None => {
                    census.lanes.push(RecoveredLane {
                        lane: Arc::new(LaneKey {
                            name: name.into(),
                            slice: u128::from_be_bytes(row.get(2)?)..=u128::from_be_bytes(row.get(3)?),
                        }),
                        records: 0,
                        readings: 0,
                    });
                    lanes.insert(name.into(), census.lanes.len() - 1);
                    census.lanes.len() - 1
                }
            };
            let lane = &mut census.lanes[place];
            lane.records += 1;
            lane.readings += weight.readings;
            census.live.add(weight);
            let producer = ProducerId(row.get::<_, i64>(5)?.cast_unsigned());
            census.numbering.generations.insert(producer, generation);
            census.numbering.last_id = weight.id;
        }
        if self.index_by_lane()? != Some(by_lane) || self.index_by_since()? != Some(by_since) {
            return Err(damaged("its table and its indexes do not hold the same rows"));
        }
        Ok(census)
    }

    /// The content of the index `by_lane`; `None` if it is out of order.
    fn index_by_lane(&self) -> rusqlite::Result<Option<Digest>> {
        let mut digest = Digest::default();
        let mut last = (String::new(), i64::MIN, i64::MIN);
        let mut select = self.db.prepare(
            "SELECT lane, generation, number, id FROM records INDEXED BY by_lane ORDER BY lane, generation, number",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let lane = row.get_ref(0)?.as_str()?;
            let (generation, number) = (row.get(1)?, row.get(2)?);
            if (lane, generation, number) <= (&last.0, last.1, last.2) {
                return Ok(None);
            }
            digest.add((lane, generation, number, row.get::<_, i64>(3)?));
            if lane != last.0 {
                lane.clone_into(&mut last.0);
            }
            (last.1, last.2) = (generation, number);
        }
        Ok(Some(digest))
    }

    /// The content of the index `by_since`; `None` if it is out of order.
    fn index_by_since(&self) -> rusqlite::Result<Option<Digest>> {
        let mut digest = Digest::default();
        let mut last = (i64::MIN, 0, 0);
        let mut select = self
            .db
            .prepare("SELECT since, readings, id FROM records INDEXED BY by_since ORDER BY since, readings, id")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let entry: (i64, u64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if entry <= last {
                return Ok(None);
            }
            digest.add(entry);
            last = entry;
        }
        Ok(Some(digest))
    }

    /// Begins a write transaction, which is rolled back if dropped before its commit.
    pub fn begin(&self, synced: bool) -> rusqlite::Result<Transaction<'_>> {
        // NORMAL does not sync a commit; the next one under FULL syncs it too.
        self.db.execute_batch(if synced {
            "PRAGMA synchronous = FULL"
        } else {
            "PRAGMA synchronous = NORMAL"
        })?;
        Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)
    }

    /// Writes a record. `None` if the spool has it already.
    pub fn append(&self, numbering: &mut Numbering, packed: &Packed) -> rusqlite::Result<Option<Weight>> {
        let record = &packed.record;
        let id = numbering.last_id + 1;
        let generation = numbering.generation(record.identity.producer);
        let crc = checksum(generation, record, packed.raw_bytes(), packed.stored());
        if !put(&self.db, id, generation, crc, packed)? {
            return Ok(None);
        }
        numbering.last_id = id;
        Ok(Some(Weight {
            id,
            bytes: packed.cost(),
            readings: record.readings.into(),
        }))
    }

    /// Deletes a row. `None` if it does not exist.
    pub fn delete(&self, id: i64) -> rusqlite::Result<Option<Weight>> {
        self.db
            .prepare_cached(
                "DELETE FROM records WHERE id = ?1 RETURNING readings, length(data), length(CAST(lane AS BLOB))",
            )?
            .query_row([id], |row| {
                Ok(Weight {
                    id,
                    readings: row.get(0)?,
                    bytes: cost(row.get(1)?, row.get(2)?),
                })
            })
            .optional()
    }

    /// The ids of the oldest rows, up to this many.
    pub fn oldest(&self, limit: usize) -> rusqlite::Result<Vec<i64>> {
        self.db
            .prepare_cached("SELECT id FROM records INDEXED BY by_since ORDER BY since LIMIT ?1")?
            .query_map([limit], |row| row.get(0))?
            .collect()
    }

    /// When the oldest reading arrived, in microseconds.
    pub fn oldest_since(&self) -> rusqlite::Result<Option<i64>> {
        self.db
            .prepare_cached("SELECT min(since) FROM records")?
            .query_row([], |row| row.get(0))
    }

    /// Calls back with the rows of a lane after a position, in order, until the callback returns `false`.
    pub fn read(
        &self,
        lane: &Arc<LaneKey>,
        after: Option<Position>,
        mut found: impl FnMut(Position, Packed) -> bool,
    ) -> rusqlite::Result<()> {
        let (generation, number) = after.map_or((i64::MIN, i64::MIN), |after| (after.generation, after.number));
        let mut select = self.db.prepare_cached(
            "SELECT id, lane, first, last, generation, producer, number, readings, since, crc, data, raw_bytes
             FROM records INDEXED BY by_lane
             WHERE lane = ?1 AND (generation, number) > (?2, ?3) ORDER BY generation, number",
        )?;
        let mut rows = select.query(params![lane.name, generation, number])?;
        while let Some(row) = rows.next()? {
            let position = Position {
                generation: row.get(4)?,
                number: row.get(6)?,
                row: row.get(0)?,
            };
            let checked = Row::checked(Columns {
                id: position.row,
                lane: row.get_ref(1)?.as_str()?,
                first: row.get_ref(2)?.as_blob()?,
                last: row.get_ref(3)?.as_blob()?,
                generation: position.generation,
                producer: row.get(5)?,
                number: position.number,
                readings: row.get(7)?,
                since: row.get(8)?,
                crc: row.get(9)?,
                data: row.get(10)?,
                raw_bytes: row.get(11)?,
            });
            let Some(Row { mut packed, .. }) = checked else {
                return Err(damaged("a row has a wrong checksum"));
            };
            if packed.record.lane == *lane {
                packed.record.lane = Arc::clone(lane);
            }
            if !found(position, packed) {
                break;
            }
        }
        Ok(())
    }

    /// True if the row exists.
    pub fn contains(&self, id: i64) -> rusqlite::Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM records WHERE id = ?1")?
            .exists([id])
    }

    /// Copies the log into the database and restarts it in the space it has. `false` if a reader prevents it.
    pub fn checkpoint(&self) -> rusqlite::Result<bool> {
        self.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| {
            Ok(row.get::<_, i32>(0)? == 0)
        })
    }

    /// Returns the space of an empty database to the disk.
    pub fn shrink(&self) -> rusqlite::Result<()> {
        self.db.execute_batch("VACUUM")?;
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Bytes of the database file, without the log.
    pub fn file_bytes(&self) -> rusqlite::Result<u64> {
        let pages: u64 = self.db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(pages * u64::from(PAGE_BYTES))
    }

    /// Unused bytes of the file.
    pub fn reusable_bytes(&self) -> rusqlite::Result<u64> {
        let pages: u64 = self.db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        Ok(pages * u64::from(PAGE_BYTES))
    }

    /// Syncs everything and closes the database.
    pub fn close(self) -> rusqlite::Result<()> {
        self.db.execute_batch("PRAGMA synchronous = FULL")?;
        match self.checkpoint() {
            // Appended records are synced in the log, which is read with the database at the next start.
            Err(error) if Fault::of(&error) == Fault::DiskFull => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.db.close().map_err(|(_, error)| error)
    }

    /// Makes the disk seem full at this many pages.
    #[cfg(test)]
    pub fn limit_pages(&self, pages: u32) -> rusqlite::Result<()> {
        self.db
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
    }

    /// Copies the log back every this many pages, and cuts it to that size.
    #[cfg(test)]
    pub fn limit_log(&self, pages: u32) -> rusqlite::Result<()> {
        let pragmas = [
            ("wal_autocheckpoint", pages),
            ("journal_size_limit", pages * PAGE_BYTES),
        ];
        pragmas
            .into_iter()
            .try_for_each(|(pragma, value)| self.db.pragma_update_and_check(None, pragma, value, |_| Ok(())))
    }
}

fn put(db: &Connection, id: i64, generation: i64, crc: u32, packed: &Packed) -> rusqlite::Result<bool> {
    let record = &packed.record;
    let changed = db.prepare_cached(INSERT)?.execute(params![
        id,
        record.lane.name,
        record.lane.slice.start().to_be_bytes(),
        record.lane.slice.end().to_be_bytes(),
        generation,
        record.identity.producer.0.cast_signed(),
        // Numbers count from 1 and never get near the sign bit.
        record.identity.number.cast_signed(),
        record.readings,
        record.since.as_micros(),
        crc,
        packed.stored(),
        packed.raw_bytes(),
    ])?;
    Ok(changed > 0)
}
