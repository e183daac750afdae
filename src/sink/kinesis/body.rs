//! The body of a PutRecords request, written straight from the records. The SDK would copy each record into its own
//! type, then to base64, then to JSON; it still does everything else.
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>

use std::io::Write;
use std::sync::Arc;

use base64_simd::STANDARD;
use bytes::Bytes;
use delivery::record::Record;

use super::Target;

/// The size of a record besides its data and key: names, quotes and a hash of 39 digits.
const FRAME_BYTES: usize = 96;

/// Returns the body that puts the records into the stream, in their order.
pub(super) fn write(records: &[Arc<Record>], target: &Target) -> Bytes {
    let size = |record: &Arc<Record>| STANDARD.encoded_length(record.data.len()) + record.lane.name.len() + FRAME_BYTES;
    let mut body = Vec::with_capacity(records.iter().map(size).sum::<usize>() + target.stream.len() + FRAME_BYTES);
    body.extend_from_slice(b"{\"Records\":");
    for (index, record) in records.iter().enumerate() {
        body.extend_from_slice(if index == 0 { b"[{\"Data\":\"" } else { b",{\"Data\":\"" });
        STANDARD.encode_append(&record.data, &mut body);
        body.extend_from_slice(b"\",\"PartitionKey\":");
        text(&record.lane.name, &mut body);
        let slice = &record.lane.slice;
        // A slice of a single hash belongs to a plain sensor, and is the hash that Kinesis computes from its key.
        if slice.start() != slice.end() {
            write!(body, ",\"ExplicitHashKey\":\"{}\"", slice.start()).expect("memory takes all that is written");
        }
        body.push(b'}');
    }
    let by = if target.arn().is_some() {
        "StreamARN"
    } else {
        "StreamName"
    };
    write!(body, "],\"{by}\":").expect("memory takes all that is written");
    text(&target.stream, &mut body);
    body.push(b'}');
    body.into()
}

fn text(text: &str, body: &mut Vec<u8>) {
    serde_json::to_writer(body, text).expect("a text is always JSON");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use delivery::record::LaneKey;
    use proptest::prelude::*;
    use serde_json::Value;
    use wire::{Identity, ProducerId, Timestamp};

    use super::*;

    fn record(name: &str, slice: std::ops::RangeInclusive<u128>, data: &[u8]) -> Arc<Record> {
        Arc::new(Record {
            lane: Arc::new(LaneKey {
                name: name.into(),
                slice,
            }),
            identity: Identity {
                producer: ProducerId(1),
                number: 1,
            },
            readings: 1,
            since: Timestamp::default(),
            data: data.to_vec(),
            receipts: Vec::new(),
        })
    }

    fn target(stream: &str) -> Target {
        Target {
            stream: stream.into(),
            region: None,
            timeout: Duration::from_secs(1),
            fips: None,
            dual_stack: None,
            role: None,
        }
    }

    fn read(body: &[u8]) -> Value {
        serde_json::from_slice(body).expect("a body is JSON")
    }

    #[test]
    fn a_stream_goes_by_its_name_or_its_arn() {
        let records = [record("16/03", 7..=9, b"x")];
        assert_eq!(read(&write(&records, &target("readings")))["StreamName"], "readings");
        let arn = "arn:aws:kinesis:eu-central-1:000000000000:stream/readings";
        let body = read(&write(&records, &target(arn)));
        assert_eq!(body["StreamARN"], arn);
        assert_eq!(body.get("StreamName"), None);
    }

    #[test]
    fn a_lane_names_its_hash_and_a_sensor_leaves_it_to_kinesis() {
        let records = [record("16/03", 7..=u128::MAX, b"x"), record("house-1", 7..=7, b"x")];
        let body = read(&write(&records, &target("readings")));
        assert_eq!(body["Records"][0]["ExplicitHashKey"], "7");
        assert_eq!(body["Records"][1].get("ExplicitHashKey"), None);
    }

    proptest! {
        #[test]
        fn any_records_arrive_as_they_are(
            records in proptest::collection::vec((".{1,40}", proptest::collection::vec(any::<u8>(), 0..200)), 1..20),
        ) {
            let sent: Vec<_> = records.iter().map(|(name, data)| record(name, 0..=1, data)).collect();
            let body = read(&write(&sent, &target("readings")));
            let got = body["Records"].as_array().expect("records are an array");
            prop_assert_eq!(got.len(), records.len());
            for (got, (name, data)) in got.iter().zip(&records) {
                prop_assert_eq!(got["PartitionKey"].as_str(), Some(&**name));
                let text = got["Data"].as_str().expect("data are a text");
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                prop_assert_eq!(decoded.as_ref(), Ok(data));
            }
        }
    }
}
