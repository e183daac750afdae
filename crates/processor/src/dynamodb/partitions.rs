//! Partitions in a table: of each partition one item `checkpoint`, and its entries in a ring of `MAX_ENTRIES` places.
//!
//! An entry is put where the entry of `MAX_ENTRIES` versions before was, on the condition that the place holds no such
//! or later version. So the table does not grow, nothing is ever deleted but parts of large checkpoints, and an
//! invocation that was stopped for however long still meets a conflict.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use futures_util::{StreamExt, stream};

use super::attribute::{Item, Reader, bytes, integer, text};
use super::{CONCURRENCY, unavailable};
use crate::encoding;
use crate::partition::{
    Append, AppendError, Checkpoint, Checkpointed, Entry, MAX_ENTRIES, PartitionName, Partitions, Stored, encode_events,
};
use crate::store_error::StoreError;

/// The places of the ring.
const RING: u64 = MAX_ENTRIES as u64;

/// What one item holds of a body that is cut. DynamoDB takes items of 400 KB, names and keys included.
const MOST_BYTES: usize = 380_000;

/// How many entries are asked for first. Warm functions restart often, and few entries follow a checkpoint then.
const FIRST_ENTRIES: i32 = 100;

/// How often a checkpoint is read that another invocation replaces meanwhile.
const READS: usize = 4;

/// Unless the place holds this version already, or a later one.
const NEWER: &str = "attribute_not_exists(#version) OR #version < :version";

/// Partitions in a table.
#[derive(Clone, Debug)]
pub struct TablePartitions {
    client: Client,
    table: String,
}

impl TablePartitions {
    /// In this table: HASH `partition`, RANGE `item`, both texts.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    async fn load_one(&self, partition: &PartitionName) -> Result<Option<Stored>, StoreError> {
        for _ in 0..READS {
            let Some(checkpoint) = self.load_checkpoint(partition).await? else {
                continue;
            };
            let from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.version) + 1;
            let entries = self.load_entries(partition, from).await?;
            let known = checkpoint.is_some() || !entries.is_empty();
            return Ok(known.then_some(Stored { checkpoint, entries }));
        }
        Err(StoreError::unavailable(
            format!("reading the checkpoint of partition {partition}"),
            format!("it was replaced {READS} times meanwhile"),
        ))
    }

    /// The checkpoint, where there is one; `None` where it was replaced while its parts were read.
    async fn load_checkpoint(&self, partition: &PartitionName) -> Result<Option<Option<Checkpoint>>, StoreError> {
        let doing = || format!("reading the checkpoint of partition {partition}");
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request
            .key("partition", text(partition.as_str()))
            .key("item", text("checkpoint"));
        let answer = request.send().await.map_err(|error| unavailable(doing(), &error))?;
        let Some(item) = answer.item else {
            return Ok(Some(None));
        };
        let what = format!("the checkpoint of partition {partition}");
        let reader = Reader {
            item: &item,
            what: &what,
        };
        let version = reader.number("version")?;
        if let Some(state) = reader.optional_bytes("state") {
            return Ok(Some(Some(Checkpoint::decode(version, state)?)));
        }
        let parts: usize = reader.number("parts")?;
        let prefix = format!("checkpoint/{}/", reader.text("generation")?);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query
            .key_condition_expression("#partition = :partition AND begins_with(#item, :prefix)")
            .expression_attribute_names("#partition", "partition")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":partition", text(partition.as_str()))
            .expression_attribute_values(":prefix", text(prefix));
        let mut answers = query.into_paginator().items().send();
        let mut state = Vec::new();
        let mut found = 0;
        while let Some(part) = answers.next().await {
            let part = part.map_err(|error| unavailable(doing(), &error))?;
            state.extend_from_slice(
                Reader {
                    item: &part,
                    what: &what,
                }
                .bytes("state")?,
            );
            found += 1;
        }
        if found != parts {
            return Ok(None);
        }
        Ok(Some(Some(Checkpoint::decode(version, &state)?)))
    }

    /// The entries from version `from` on, without a gap.
    async fn load_entries(&self, partition: &PartitionName, from: u64) -> Result<Vec<Entry>, StoreError> {
        let mut run = Run::new(partition, from);
        loop {
            let next = run.next;
            self.load_run(&mut run).await?;
            // Where the ring ended there may be more at its beginning.
            let goes_on = run.next > next && run.next.is_multiple_of(RING) && run.next < from + RING;
            if run.ended || !goes_on {
                return Ok(run.entries);
            }
        }
    }

    async fn load_run(&self, run: &mut Run<'_>) -> Result<(), StoreError> {
        let partition = run.partition;
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query
            .key_condition_expression("#partition = :partition AND #item BETWEEN :first AND :last")
            .projection_expression("#item, #version, journal, parts")
            .expression_attribute_names("#partition", "partition")
            .expression_attribute_names("#item", "item")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":partition", text(partition.as_str()))
            .expression_attribute_values(":first", text(place(run.next)))
            // With the parts of the entry in the last place.
            .expression_attribute_values(":last", text(format!("{}/~", place(RING - 1))));
        let mut start = None;
        let mut limit = Some(FIRST_ENTRIES);
        loop {
            let request = query
                .clone()
                .set_limit(limit.take())
                .set_exclusive_start_key(start.take());
            let answer = request
                .send()
                .await
                .map_err(|error| unavailable(format!("reading the entries of partition {partition}"), &error))?;
            for item in answer.items() {
                if !run.take(item)? {
                    return Ok(());
                }
            }
            match answer.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return run.check(),
            }
        }
    }

    async fn append_all(&self, append: &Append) -> Result<(), AppendError> {
        // One after the other: none may be there without those before it.
        for entry in &append.entries {
            let mut items = items_of(&append.partition, entry);
            if items.len() > 1 {
                self.put_together(&append.partition, entry, items).await?;
            } else if let Some(item) = items.pop() {
                self.put_entry(&append.partition, entry, item).await?;
            }
        }
        Ok(())
    }

    async fn put_entry(&self, partition: &PartitionName, entry: &Entry, item: Item) -> Result<(), AppendError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = request
            .condition_expression(NEWER)
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", integer(entry.version));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if refused(&error, |error| error.is_conditional_check_failed_exception()) => {
                Err(AppendError::Conflict)
            }
            Err(error) => Err(unavailable(appending(partition, entry), &error).into()),
        }
    }

    /// Puts an entry that one item does not hold: all of its items or none. DynamoDB takes 4 MB so.
    async fn put_together(
        &self,
        partition: &PartitionName,
        entry: &Entry,
        items: Vec<Item>,
    ) -> Result<(), AppendError> {
        let puts = items.into_iter().enumerate().map(|(part, item)| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = match part {
                0 => put
                    .condition_expression(NEWER)
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":version", integer(entry.version)),
                _ => put,
            };
            let put = put.build().expect("it has a table and an item");
            TransactWriteItem::builder().put(put).build()
        });
        let request = self
            .client
            .transact_write_items()
            .set_transact_items(Some(puts.collect()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if refused(&error, is_cancelled_by_condition) => Err(AppendError::Conflict),
            Err(error) => Err(unavailable(appending(partition, entry), &error).into()),
        }
    }

    async fn checkpoint_one(
        &self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> Result<Checkpointed, StoreError> {
        let doing = || format!("writing checkpoint {} of partition {partition}", checkpoint.version);
        let state = checkpoint.encode();
        let mut pointer = Item::from([
            ("partition".to_owned(), text(partition.as_str())),
            ("item".to_owned(), text("checkpoint")),
            ("version".to_owned(), integer(checkpoint.version)),
        ]);
        let mut parts = Vec::new();
        if state.len() <= MOST_BYTES {
            pointer.insert("state".to_owned(), bytes(state));
        } else {
            // Never written by two: until the pointer names them nobody reads them.
            let generation = format!("{:016x}", fastrand::u64(..));
            for (part, state) in state.chunks(MOST_BYTES).enumerate() {
                let name = format!("checkpoint/{generation}/{part:04}");
                let request = self.client.put_item().table_name(&self.table);
                let request = request
                    .item("partition", text(partition.as_str()))
                    .item("item", text(&name))
                    .item("state", bytes(state.to_vec()));
                request.send().await.map_err(|error| unavailable(doing(), &error))?;
                parts.push(name);
            }
            pointer.insert("parts".to_owned(), integer(parts.len() as u64));
            pointer.insert("generation".to_owned(), text(generation));
        }
        let request = self.client.put_item().table_name(&self.table).set_item(Some(pointer));
        let request = request
            .return_values(ReturnValue::AllOld)
            .condition_expression(NEWER)
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", integer(checkpoint.version));
        match request.send().await {
            Ok(answer) => {
                self.delete(partition, &parts_of(answer.attributes.as_ref())).await;
                Ok(Checkpointed::Written)
            }
            Err(error) if refused(&error, |error| error.is_conditional_check_failed_exception()) => {
                self.delete(partition, &parts).await;
                Ok(Checkpointed::Superseded)
            }
            Err(error) => Err(unavailable(doing(), &error)),
        }
    }

    /// Deletes parts that no checkpoint names. What is left by a failure takes space and harms nobody.
    async fn delete(&self, partition: &PartitionName, parts: &[String]) {
        for part in parts {
            let request = self.client.delete_item().table_name(&self.table);
            let request = request
                .key("partition", text(partition.as_str()))
                .key("item", text(part));
            if let Err(error) = request.send().await {
                tracing::warn!(%partition, part, error = super::said(&error), "an old part of a checkpoint is left behind");
            }
        }
    }
}

impl Partitions for TablePartitions {
    async fn load(&mut self, partitions: &[PartitionName]) -> Vec<Result<Option<Stored>, StoreError>> {
        let mut loads = Vec::with_capacity(partitions.len());
        for partition in partitions {
            loads.push(self.load_one(partition));
        }
        stream::iter(loads).buffered(CONCURRENCY).collect().await
    }

    async fn since(&mut self, partitions: &[(PartitionName, u64)]) -> Vec<Result<Vec<Entry>, StoreError>> {
        let mut loads = Vec::with_capacity(partitions.len());
        for (partition, version) in partitions {
            loads.push(self.load_entries(partition, version + 1));
        }
        stream::iter(loads).buffered(CONCURRENCY).collect().await
    }

    async fn append(&mut self, appends: &[Append]) -> Vec<Result<(), AppendError>> {
        let mut puts = Vec::with_capacity(appends.len());
        for append in appends {
            puts.push(self.append_all(append));
        }
        stream::iter(puts).buffered(CONCURRENCY).collect().await
    }

    async fn checkpoint(
        &mut self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> Result<Checkpointed, StoreError> {
        self.checkpoint_one(partition, checkpoint).await
    }
}

/// Entries as they are read: in the order of their places, until one is not the next version.
struct Run<'a> {
    partition: &'a PartitionName,
    next: u64,
    ended: bool,
    entries: Vec<Entry>,
    /// An entry whose parts are still to come: its version, its journal so far, and how many.
    open: Option<(u64, Vec<u8>, usize)>,
}

impl<'a> Run<'a> {
    fn new(partition: &'a PartitionName, from: u64) -> Self {
        Self {
            partition,
            next: from,
            ended: false,
            entries: Vec::new(),
            open: None,
        }
    }

    /// Nothing is missing of the last entry.
    fn check(&self) -> Result<(), StoreError> {
        match self.open {
            Some((version, ..)) => Err(StoreError::Damaged {
                what: format!("entry {version} of partition {}", self.partition),
                problem: "its last part is missing".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Takes the next item; false where it belongs to an older round.
    fn take(&mut self, item: &Item) -> Result<bool, StoreError> {
        let what = format!("an entry of partition {}", self.partition);
        let reader = Reader { item, what: &what };
        let version: u64 = reader.number("version")?;
        let is_part = reader.text("item")?.matches('/').count() > 1;
        match &mut self.open {
            Some((open, journal, missing)) if is_part && *open == version => {
                journal.extend_from_slice(reader.bytes("journal")?);
                *missing -= 1;
            }
            Some(_) => return Err(reader.damaged("a part of it is missing")),
            // Left over from an entry that was larger than the one in its place.
            None if is_part => return Ok(true),
            None if version != self.next => {
                self.ended = true;
                return Ok(false);
            }
            None => {
                let journal = reader.bytes("journal")?.to_vec();
                self.open = Some((version, journal, reader.optional_number("parts").unwrap_or_default()));
            }
        }
        if let Some((version, journal, 0)) = &self.open {
            let (marks, journal) = encoding::decode(journal, || what.clone())?;
            self.entries.push(Entry {
                version: *version,
                marks,
                journal,
                // They were told from the table's stream.
                events: Vec::new(),
            });
            self.next += 1;
            self.open = None;
        }
        Ok(true)
    }
}

/// The place of a version in the ring.
fn place(version: u64) -> String {
    format!("entry/{:04}", version % RING)
}

/// The items of an entry: one, or where that is too large several. Each holds some of the journal and, apart from that,
/// whole events, so that the alert function needs no other item.
fn items_of(partition: &PartitionName, entry: &Entry) -> Vec<Item> {
    let journal = encoding::encode(&(&entry.marks, &entry.journal));
    let events = events_in_pieces(entry);
    let pieces: Vec<&[u8]> = journal.chunks(MOST_BYTES / 2).collect();
    let count = pieces.len().max(events.len());
    let mut events = events.into_iter();
    (0..count)
        .map(|part| {
            let name = match part {
                0 => place(entry.version),
                _ => format!("{}/{part:04}", place(entry.version)),
            };
            let journal = pieces.get(part).copied().unwrap_or_default();
            let mut item = Item::from([
                ("partition".to_owned(), text(partition.as_str())),
                ("item".to_owned(), text(name)),
                ("version".to_owned(), integer(entry.version)),
                ("journal".to_owned(), bytes(journal.to_vec())),
            ]);
            if part == 0 && count > 1 {
                item.insert("parts".to_owned(), integer(count as u64 - 1));
            }
            if let Some(events) = events.next() {
                item.insert("events".to_owned(), bytes(events));
            }
            item
        })
        .collect()
}

/// The events, encoded, in pieces of at most half an item.
fn events_in_pieces(entry: &Entry) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut waiting = vec![entry.events.as_slice()];
    while let Some(events) = waiting.pop() {
        let piece = encode_events(events);
        if piece.len() > MOST_BYTES / 2 && events.len() > 1 {
            let (before, after) = events.split_at(events.len() / 2);
            waiting.extend([after, before]);
        } else if !events.is_empty() {
            pieces.push(piece);
        }
    }
    pieces
}

fn parts_of(pointer: Option<&Item>) -> Vec<String> {
    let Some(pointer) = pointer else {
        return Vec::new();
    };
    let text = |name| pointer.get(name).and_then(|value: &AttributeValue| value.as_s().ok());
    let parts = pointer.get("parts").and_then(|value| value.as_n().ok());
    let parts: usize = parts.and_then(|parts| parts.parse().ok()).unwrap_or_default();
    let generation = text("generation").map(String::as_str).unwrap_or_default();
    (0..parts)
        .map(|part| format!("checkpoint/{generation}/{part:04}"))
        .collect()
}

fn is_cancelled_by_condition(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return false;
    };
    let reasons = cancelled.cancellation_reasons();
    reasons
        .iter()
        .any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}

fn appending(partition: &PartitionName, entry: &Entry) -> String {
    format!("appending entry {} to partition {partition}", entry.version)
}

fn refused<E, R>(error: &SdkError<E, R>, is: impl FnOnce(&E) -> bool) -> bool {
    error.as_service_error().is_some_and(is)
}
