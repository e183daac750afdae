//! Partitions in a table: of each partition one item `checkpoint`, and its entries in a ring of `MAX_ENTRIES` places.
//!
//! An entry replaces the one `MAX_ENTRIES` versions before it, on the condition that the place holds no such or later
//! version. So the table does not grow, only parts of large checkpoints are ever deleted, and an invocation that was
//! suspended for any length of time still meets a conflict.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use futures_util::{StreamExt, stream};

use super::attribute::{Item, Reader, bytes, integer, text};
use super::entries::{MOST_BYTES, RING, Run, items_of, place};
use super::{CONCURRENCY, unavailable};
use crate::partition::{Append, AppendError, Checkpoint, Checkpointed, Entry, PartitionName, Partitions, Stored};
use crate::store_error::StoreError;

/// Entries in the first answer: usually few follow a checkpoint.
const FIRST_ENTRIES: i32 = 100;

/// How often a checkpoint is read while other invocations replace it.
const READS: usize = 4;

/// The place holds neither this version nor a later one.
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

    /// The checkpoint, if there is one; `None` if it was replaced while its parts were read.
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
            // At the end of the ring there may be more at its start.
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
        // One after the other: no entry may exist without those before it.
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

    /// Puts an entry too large for one item: all of its items or none. DynamoDB takes up to 4 MB.
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
            // A random name, so that no two write the same parts; they are read only once the pointer names them.
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

    /// Deletes parts that no checkpoint names. Parts left by a failure only take space.
    async fn delete(&self, partition: &PartitionName, parts: &[String]) {
        for part in parts {
            let request = self.client.delete_item().table_name(&self.table);
            let request = request
                .key("partition", text(partition.as_str()))
                .key("item", text(part));
            if let Err(error) = request.send().await {
                tracing::warn!(%partition, part, error = super::said(&error), "old part of a checkpoint not deleted");
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
