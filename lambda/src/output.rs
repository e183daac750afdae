//! The output stream: every reading with its score, as lines of JSON, many to a record.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use processor::StoreError;
use processor::dynamodb::said;
use processor::partition::PartitionName;
use processor::scores::Scored;
use serde_json::{Map, Value};

/// Kinesis charges in steps of 25 KB: <https://aws.amazon.com/kinesis/data-streams/pricing/>.
const RECORD_BYTES: usize = 25_000;

/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const MOST_RECORDS: usize = 500;

/// Below the 10 MiB of a request, for lines longer than a record should be.
const REQUEST_BYTES: usize = 5_000_000;

/// Then the event source mapping delivers all of it again.
const TRIES: u32 = 6;

/// Puts scores into one stream. Readings of a partition stay together, by their partition key.
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
    /// Into the stream of this name.
    pub fn new(client: Client, stream: String) -> Self {
        Self { client, stream }
    }

    /// Puts all of them.
    pub async fn put(&self, partitions: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        let mut request = Vec::new();
        let mut bytes = 0;
        for (partition, scores) in partitions {
            for data in records(scores) {
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
            "{} records were refused {TRIES} times: it needs more shards",
            records.len()
        );
        Err(StoreError::unavailable(doing(), problem))
    }
}

/// Lines of JSON, in records.
fn records(scores: &[Scored]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut data = Vec::new();
    let mut line = Vec::new();
    for scored in scores {
        line.clear();
        write_line(scored, &mut line);
        if !data.is_empty() && data.len() + line.len() > RECORD_BYTES {
            records.push(std::mem::take(&mut data));
        }
        data.extend_from_slice(&line);
    }
    if !data.is_empty() {
        records.push(data);
    }
    records
}

/// The reading in the form it came in, and what it came to.
fn write_line(scored: &Scored, line: &mut Vec<u8>) {
    wire::json::encode(&scored.reading, None, line);
    let mut more = Map::new();
    match scored.score {
        // To four decimals: less says nothing.
        Some(score) => more.insert("anomaly_score".to_owned(), ((score * 1e4).round() / 1e4).into()),
        None => more.insert("late".to_owned(), true.into()),
    };
    if let Some((lowest, highest)) = scored.expected {
        more.insert("expected_lowest".to_owned(), lowest.into());
        more.insert("expected_highest".to_owned(), highest.into());
    }
    if !scored.kinds.is_empty() {
        let kinds = scored.kinds.joined(scored.reading.sensor().kind(), ",");
        more.insert("anomalyType".to_owned(), kinds.into());
    }
    let more = Value::from(more).to_string();
    // Two objects become one.
    line.pop();
    line.push(b',');
    line.extend_from_slice(&more.as_bytes()[1..]);
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::sync::Arc;

    use detect::Kinds;
    use wire::{Reading, Sensor};

    use super::*;

    fn scored(score: Option<f64>) -> Scored {
        let sensor = Arc::new(Sensor::new("DHT_001", "Temperature"));
        let time = "2024-05-01 10:00:00".parse().unwrap();
        Scored {
            reading: Reading::new(sensor, time, wire::Value::Scalar(104.2)).unwrap(),
            score,
            expected: score.map(|_| (96.0, 101.5)),
            kinds: if score.is_some() { Kinds::ABOVE } else { Kinds::NONE },
        }
    }

    #[test]
    fn a_line_is_the_reading_and_its_score() {
        let mut line = Vec::new();
        write_line(&scored(Some(3.123_456)), &mut line);
        write_line(&scored(None), &mut line);
        let lines: Vec<Value> = line
            .split(|byte| *byte == b'\n')
            .take(2)
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["sensor"], &lines[0]["value"]),
            (&"DHT_001".into(), &104.2.into())
        );
        assert_eq!(
            (&lines[0]["anomaly_score"], &lines[0]["anomalyType"]),
            (&3.1235.into(), &"Hot".into())
        );
        assert_eq!(lines[0]["expected_highest"], 101.5);
        assert_eq!((&lines[1]["late"], lines[1].get("anomaly_score")), (&true.into(), None));
    }

    #[test]
    fn records_hold_whole_lines_and_are_of_one_payload_unit() {
        let records = records(&vec![scored(Some(0.1)); 1_000]);
        assert!(
            records.len() > 1
                && records
                    .iter()
                    .all(|data| data.len() <= RECORD_BYTES && data.ends_with(b"}\n"))
        );
        let lines: usize = records
            .iter()
            .map(|data| data.iter().filter(|byte| **byte == b'\n').count())
            .sum();
        assert_eq!(lines, 1_000);
    }
}
