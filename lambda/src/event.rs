//! Events of the event source mappings, and the answers to them:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-example.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use processor::SequenceNumber;
use serde::{Deserialize, Deserializer, Serialize};

/// Records of one shard.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    pub records: Vec<StreamRecord>,
}

/// One record of a stream.
#[derive(Debug, Deserialize)]
pub struct StreamRecord {
    /// Shard and sequence number, with a colon between them.
    #[serde(rename = "eventID")]
    pub event_id: String,
    pub kinesis: StreamData,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamData {
    pub sequence_number: SequenceNumber,
    pub partition_key: String,
    /// Seconds since 1970.
    pub approximate_arrival_timestamp: f64,
    #[serde(deserialize_with = "base64")]
    pub data: Vec<u8>,
}

impl StreamRecord {
    /// The shard it was read from.
    pub fn shard(&self) -> &str {
        self.event_id.split_once(':').map_or("", |(shard, _)| shard)
    }
}

/// Changes of items of the partitions table.
#[derive(Debug, Deserialize)]
pub struct TableEvent {
    #[serde(rename = "Records")]
    pub records: Vec<TableRecord>,
}

/// One change of an item.
#[derive(Debug, Deserialize)]
pub struct TableRecord {
    pub dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    pub sequence_number: String,
    /// Empty if the item was deleted.
    #[serde(default)]
    pub new_image: Image,
}

/// The attributes of an item that are used.
#[derive(Debug, Default, Deserialize)]
pub struct Image {
    #[serde(default)]
    pub partition: Option<Text>,
    #[serde(default)]
    pub events: Option<Binary>,
}

#[derive(Debug, Deserialize)]
pub struct Text {
    #[serde(rename = "S")]
    pub text: String,
}

#[derive(Debug, Deserialize)]
pub struct Binary {
    #[serde(rename = "B", deserialize_with = "base64")]
    pub bytes: Vec<u8>,
}

/// The first record that failed: it and all after it are delivered again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl Answer {
    /// This record failed first; or none did.
    pub fn of(failed: Option<impl Into<String>>) -> Self {
        let failures = failed.map(|sequence| Failure {
            item_identifier: sequence.into(),
        });
        Self {
            batch_item_failures: failures.into_iter().collect(),
        }
    }
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_documented_events_are_read() {
        let stream = r#"{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"16/03",
            "sequenceNumber":"49590338271490256608559692538361571095921575989136588898",
            "data":"SGVsbG8=","approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis",
            "eventVersion":"1.0","eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/role",
            "awsRegion":"us-east-2","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/stream"}]}"#;
        let event: StreamEvent = serde_json::from_str(stream).unwrap();
        let record = &event.records[0];
        assert_eq!(record.shard(), "shardId-000000000006");
        assert_eq!(
            (record.kinesis.data.as_slice(), record.kinesis.partition_key.as_str()),
            (&b"Hello"[..], "16/03")
        );
        let table = r#"{"Records":[{"eventID":"c4ca","eventName":"MODIFY","eventSource":"aws:dynamodb","dynamodb":{
            "ApproximateCreationDateTime":1479499740,"Keys":{"partition":{"S":"16/03"},"item":{"S":"entry/0001"}},
            "NewImage":{"partition":{"S":"16/03"},"version":{"N":"1"},"events":{"B":"SGVsbG8="}},
            "SequenceNumber":"13021600000000001596893679","SizeBytes":112,"StreamViewType":"NEW_IMAGE"}},
            {"eventID":"1","eventName":"REMOVE","dynamodb":{"SequenceNumber":"2"}}]}"#;
        let event: TableEvent = serde_json::from_str(table).unwrap();
        assert_eq!(
            event.records[0].dynamodb.new_image.events.as_ref().unwrap().bytes,
            b"Hello"
        );
        assert!(event.records[1].dynamodb.new_image.events.is_none());
    }

    #[test]
    fn the_answer_names_what_failed() {
        assert_eq!(
            serde_json::to_string(&Answer::of(None::<String>)).unwrap(),
            r#"{"batchItemFailures":[]}"#
        );
        let failed = serde_json::to_string(&Answer::of(Some("7"))).unwrap();
        assert_eq!(failed, r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#);
    }
}
