//! The output stream: every reading with its score.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use processor::StoreError;
use processor::dynamodb::said;
use processor::partition::PartitionName;
use processor::scores::{Scored, lines};

/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MOST_RECORDS: usize = 500;

/// Below the 10 MiB that a request may have, because a long line makes a large record.
const REQUEST_BYTES: usize = 5_000_000;

/// After these tries the event source mapping delivers all of it again.
const TRIES: u32 = 6;

/// Puts scores into one stream. Readings of a partition share a partition key.
#[derive(Debug)]
pub struct Output {
    client: Client,
    stream: String,
}

struct Record {
    partition_key: String,
    data: Vec<u8>,
}

impl Output {
    /// Puts into the stream of this name.
    pub fn new(client: Client, stream: String) -> Self {
        Self { client, stream }
    }

    /// Puts all scores.
    pub async fn put(&self, partitions: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        let mut request = Vec::new();
        let mut bytes = 0;
        for (partition, scores) in partitions {
            for data in lines::records(scores) {
                if request.len() == MOST_RECORDS || bytes + data.len() > REQUEST_BYTES {
                    self.put_records(std::mem::take(&mut request)).await?;
                    bytes = 0;
                }
                bytes += data.len();
                request.push(Record {
                    partition_key: partition.as_str().chars().take(256).collect(),
                    data,
                });
            }
        }
        if request.is_empty() {
            Ok(())
        } else {
            self.put_records(request).await
        }
    }

    async fn put_records(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let doing = || format!("putting scores into stream {}", self.stream);
        let mut records = records;
        for attempt in 0..TRIES {
            let entries = records.iter().map(|record| {
                let entry = PutRecordsRequestEntry::builder().partition_key(&record.partition_key);
                let entry = entry.data(Blob::new(record.data.as_slice())).build();
                entry.expect("a record has data and a key")
            });
            let request = self.client.put_records().stream_name(&self.stream);
            let answer = request.set_records(Some(entries.collect())).send().await;
            let answer = answer.map_err(|error| StoreError::unavailable(doing(), said(&error)))?;
            let mut answers = answer.records().iter();
            records.retain(|_| answers.next().is_none_or(|answer| answer.error_code().is_some()));
            if records.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        let problem = format!(
            "{} records were refused {TRIES} times: the stream needs more shards",
            records.len()
        );
        Err(StoreError::unavailable(doing(), problem))
    }
}
