//! Puts many items, as many at once as DynamoDB takes, and again what it was too busy for.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::attribute::Item;
use super::{CONCURRENCY, unavailable};
use crate::store_error::StoreError;

/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>: no key twice in one of them.
const MOST_ITEMS: usize = 25;

/// Then the event source mapping delivers all of it again.
const TRIES: u32 = 6;

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

fn write(item: Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build();
    WriteRequest::builder()
        .put_request(put.expect("it has an item"))
        .build()
}

/// The items by their keys: of two with the same key the later one.
pub(super) fn by_key<K: std::hash::Hash + Eq>(items: impl IntoIterator<Item = (K, Item)>) -> Vec<Item> {
    items.into_iter().collect::<HashMap<K, Item>>().into_values().collect()
}
