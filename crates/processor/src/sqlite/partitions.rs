//! Partitions in the embedded store. The entries of one request share one transaction, and one sync.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::unavailable;
use crate::partition::{
    Append, AppendError, Checkpoint, Checkpointed, Entry, PartitionName, Partitions, Stored, encode_events,
};
use crate::store_error::StoreError;

/// Partitions in the embedded store.
#[derive(Debug)]
pub struct EmbeddedPartitions(Connection);

impl EmbeddedPartitions {
    pub(super) fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// Counts a start of a daemon and returns the number, which is never the same twice.
    pub fn start(&mut self) -> Result<u64, StoreError> {
        self.0
            .query_row("UPDATE starts SET count = count + 1 RETURNING count", [], |row| {
                row.get::<_, i64>(0)
            })
            .map(|count| count as u64)
            .map_err(|error| unavailable("counting a start of the daemon", error))
    }

    fn load_one(&mut self, partition: &PartitionName) -> Result<Option<Stored>, StoreError> {
        let doing = |error| unavailable(format!("reading partition {partition}"), error);
        // One transaction: checkpoint and entries must match.
        let transaction = self.0.transaction().map_err(doing)?;
        let found: Option<(i64, Option<i64>, Option<Vec<u8>>)> = transaction
            .prepare_cached("SELECT id, version, checkpoint FROM partitions WHERE name = ?1")
            .and_then(|mut query| {
                query
                    .query_row([partition.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()
            })
            .map_err(doing)?;
        let Some((id, version, checkpoint)) = found else {
            return Ok(None);
        };
        let entries = entries_after(&transaction, id, 0).map_err(doing)?;
        let checkpoint = match (version, checkpoint) {
            (Some(version), Some(bytes)) => Some(Checkpoint::decode(version as u64, &bytes)?),
            _ => None,
        };
        Ok(Some(Stored {
            checkpoint,
            entries: decoded(entries)?,
        }))
    }

    fn since_one(&mut self, partition: &PartitionName, version: u64) -> Result<Vec<Entry>, StoreError> {
        let doing = |error| unavailable(format!("reading what follows in partition {partition}"), error);
        let transaction = self.0.transaction().map_err(doing)?;
        let id = transaction
            .prepare_cached("SELECT id FROM partitions WHERE name = ?1")
            .and_then(|mut query| query.query_row([partition.as_str()], |row| row.get(0)).optional())
            .map_err(doing)?;
        let Some(id) = id else {
            return Ok(Vec::new());
        };
        let entries = entries_after(&transaction, id, version).map_err(doing)?;
        let next = entries.first().is_some_and(|(first, _)| *first as u64 == version + 1);
        if next { decoded(entries) } else { Ok(Vec::new()) }
    }

    fn append_all(&mut self, appends: &[Append]) -> rusqlite::Result<Vec<Result<(), AppendError>>> {
        // Immediate: waits for other writers now, not midway.
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(appends.len());
        for append in appends {
            answers.push(if insert(&transaction, append)? {
                Ok(())
            } else {
                Err(AppendError::Conflict)
            });
        }
        transaction.commit()?;
        Ok(answers)
    }

    fn checkpoint_one(&mut self, partition: &PartitionName, checkpoint: &Checkpoint) -> rusqlite::Result<Checkpointed> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (id, _) = find_or_add(&transaction, partition)?;
        let written = transaction
            .prepare_cached(
                "UPDATE partitions SET version = ?2, checkpoint = ?3 WHERE id = ?1 AND (version IS NULL OR version < ?2)",
            )?
            .execute((id, checkpoint.version as i64, checkpoint.encode()))?;
        if written == 0 {
            return Ok(Checkpointed::Superseded);
        }
        transaction
            .prepare_cached("DELETE FROM entries WHERE partition = ?1 AND version <= ?2")?
            .execute((id, checkpoint.version as i64))?;
        transaction.commit()?;
        Ok(Checkpointed::Written)
    }
}

impl Partitions for EmbeddedPartitions {
    async fn load(&mut self, partitions: &[PartitionName]) -> Vec<Result<Option<Stored>, StoreError>> {
        partitions.iter().map(|partition| self.load_one(partition)).collect()
    }

    async fn since(&mut self, partitions: &[(PartitionName, u64)]) -> Vec<Result<Vec<Entry>, StoreError>> {
        partitions
            .iter()
            .map(|(partition, version)| self.since_one(partition, *version))
            .collect()
    }

    async fn append(&mut self, appends: &[Append]) -> Vec<Result<(), AppendError>> {
        match self.append_all(appends) {
            Ok(answers) => answers,
            Err(error) => {
                let error = error.to_string();
                let failed = |append: &Append| {
                    let doing = format!("appending to partition {}", append.partition);
                    Err(StoreError::unavailable(doing, error.as_str()).into())
                };
                appends.iter().map(failed).collect()
            }
        }
    }

    async fn checkpoint(
        &mut self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> Result<Checkpointed, StoreError> {
        self.checkpoint_one(partition, checkpoint)
            .map_err(|error| unavailable(format!("writing a checkpoint of partition {partition}"), error))
    }
}

fn entries_after(transaction: &Transaction<'_>, partition: i64, version: u64) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    transaction
        .prepare_cached("SELECT version, entry FROM entries WHERE partition = ?1 AND version > ?2 ORDER BY version")?
        .query_map((partition, version as i64), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn decoded(entries: Vec<(i64, Vec<u8>)>) -> Result<Vec<Entry>, StoreError> {
    entries
        .into_iter()
        .map(|(version, bytes)| Entry::decode(version as u64, &bytes))
        .collect()
}

/// Inserts all entries of a partition and their events; false, without a change, if there is a conflict.
fn insert(transaction: &Transaction<'_>, append: &Append) -> rusqlite::Result<bool> {
    let (id, checkpoint) = find_or_add(transaction, &append.partition)?;
    for (position, entry) in append.entries.iter().enumerate() {
        // Entries up to the checkpoint are deleted: a missing entry alone proves nothing.
        let before_checkpoint = checkpoint.is_some_and(|version| entry.version as i64 <= version);
        let inserted = if before_checkpoint {
            0
        } else {
            transaction
                .prepare_cached(
                    "INSERT INTO entries (partition, version, entry) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                )?
                .execute((id, entry.version as i64, entry.encode()))?
        };
        if inserted == 0 {
            // Nothing exists after the newest entry, so only the first one can be refused.
            debug_assert_eq!(position, 0);
            return Ok(false);
        }
        if !entry.events.is_empty() {
            transaction
                .prepare_cached("INSERT INTO outbox (events) VALUES (?1)")?
                .execute([encode_events(&entry.events)])?;
        }
    }
    Ok(true)
}

/// The row of a partition, and the version of its checkpoint.
fn find_or_add(transaction: &Transaction<'_>, partition: &PartitionName) -> rusqlite::Result<(i64, Option<i64>)> {
    let found = transaction
        .prepare_cached("SELECT id, version FROM partitions WHERE name = ?1")?
        .query_row([partition.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some(found) => Ok(found),
        None => {
            transaction
                .prepare_cached("INSERT INTO partitions (name) VALUES (?1)")?
                .execute([partition.as_str()])?;
            Ok((transaction.last_insert_rowid(), None))
        }
    }
}
