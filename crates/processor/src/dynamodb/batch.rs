//! Puts and gets many items in batches, and retries what DynamoDB leaves unprocessed.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::attribute::{Item, Reader, text};
use super::{CONCURRENCY, unavailable};
use crate::store_error::StoreError;

/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>: no key twice in one of
/// them.
const MOST_ITEMS: usize = 25;

/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>: no key twice in one of them.
const MOST_KEYS: usize = 100;

/// After these tries the event source mapping delivers all of it again.
const TRIES: u32 = 6;

/// `sensor` and `since` of an item of the incidents table.
pub(super) type Key = (String, String);

/// Puts items whose keys all differ.
pub(super) async fn put(client: &Client, table: &str, items: Vec<Item>, what: &str) -> Result<(), StoreError> {
    let mut writes = items.into_iter().map(write);
    let batches = std::iter::from_fn(|| {
        let batch: Vec<WriteRequest> = writes.by_ref().take(MOST_ITEMS).collect();
        (!batch.is_empty()).then_some(batch)
    });
    stream::iter(batches)
        .map(|batch| put_batch(client, table, batch, what))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

async fn put_batch(client: &Client, table: &str, batch: Vec<WriteRequest>, what: &str) -> Result<(), StoreError> {
    let doing = || format!("putting {what} into table {table}");
    let mut batch = batch;
    for attempt in 0..TRIES {
        let request = client.batch_write_item().request_items(table, batch);
        let answer = request.send().await.map_err(|error| unavailable(doing(), &error))?;
        let left = answer.unprocessed_items.unwrap_or_default().remove(table);
        batch = left.unwrap_or_default();
        if batch.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25 << attempt)).await;
    }
    let problem = format!("{} items were refused {TRIES} times", batch.len());
    Err(StoreError::unavailable(doing(), problem))
}

/// The current items with these keys, as far as they exist.
pub(super) async fn get(
    client: &Client,
    table: &str,
    keys: Vec<Key>,
    what: &str,
) -> Result<HashMap<Key, Item>, StoreError> {
    let keys: Vec<Key> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let batches: Vec<Vec<Key>> = keys.chunks(MOST_KEYS).map(<[Key]>::to_vec).collect();
    let found: Vec<Vec<Item>> = stream::iter(batches)
        .map(|batch| get_batch(client, table, batch, what))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let keyed = found.into_iter().flatten().map(|item| {
        let reader = Reader { item: &item, what };
        let key = (reader.text("sensor")?.to_owned(), reader.text("since")?.to_owned());
        Ok((key, item))
    });
    keyed.collect()
}

async fn get_batch(client: &Client, table: &str, keys: Vec<Key>, what: &str) -> Result<Vec<Item>, StoreError> {
    let doing = || format!("reading {what} in table {table}");
    let mut found = Vec::with_capacity(keys.len());
    let mut wanted = KeysAndAttributes::builder().consistent_read(true);
    for (sensor, since) in keys {
        wanted = wanted.keys(Item::from([
            ("sensor".to_owned(), text(sensor)),
            ("since".to_owned(), text(since)),
        ]));
    }
    let mut wanted = wanted.build().expect("it has keys");
    for attempt in 0..TRIES {
        let request = client.batch_get_item().request_items(table, wanted);
        let answer = request.send().await.map_err(|error| unavailable(doing(), &error))?;
        found.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
        match answer.unprocessed_keys.unwrap_or_default().remove(table) {
            None => return Ok(found),
            Some(left) => wanted = left,
        }
        tokio::time::sleep(Duration::from_millis(25 << attempt)).await;
    }
    let problem = format!("{} items were refused {TRIES} times", wanted.keys.len());
    Err(StoreError::unavailable(doing(), problem))
}

fn write(item: Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build();
    WriteRequest::builder()
        .put_request(put.expect("it has an item"))
        .build()
}

/// One item per key: the last one.
pub(super) fn by_key<K: std::hash::Hash + Eq>(items: impl IntoIterator<Item = (K, Item)>) -> Vec<Item> {
    items.into_iter().collect::<HashMap<K, Item>>().into_values().collect()
}
