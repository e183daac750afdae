//! Records of a CloudWatch Logs subscription: gzip of one JSON object with log events of one log stream.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use wire::fields::{FieldsError, FieldsWriter};
use wire::{Reading, Sensor, Timestamp, Value};

/// The magic number of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The largest envelope, unpacked. A record may have 10 MiB, and gzip packs up to a thousand to one: this bounds the
/// memory a malicious record takes.
pub const MAX_UNPACKED_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a message that are kept: even escaped, it fits an event together with the other fields.
pub const MAX_MESSAGE_BYTES: usize = 2 * 1024;

/// The kind of a log group as a sensor.
pub const KIND: &str = "log";

/// Why an envelope, or one of its log events, cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not gzip.
    #[error("an envelope that cannot be unpacked: {0}")]
    Packed(io::Error),
    /// More than [`MAX_UNPACKED_BYTES`].
    #[error("an envelope of more than {MAX_UNPACKED_BYTES} bytes")]
    TooLarge,
    /// Not the JSON of a subscription.
    #[error("not an envelope of CloudWatch Logs: {0}")]
    Malformed(serde_json::Error),
    /// An unknown type.
    #[error("an envelope of type {0:?}, which is neither DATA_MESSAGE nor CONTROL_MESSAGE")]
    Type(String),
    /// A log group that cannot name a sensor.
    #[error("log group {0:?}: {1}")]
    LogGroup(String, wire::sensor::SensorError),
    /// One of its log events.
    #[error("log event {0}: {1}")]
    LogEvent(usize, serde_json::Error),
    /// The instant of one of its log events.
    #[error("log event {0}: {1} ms since 1970 is beyond the calendar")]
    Time(usize, i64),
    /// The fields of one of its log events.
    #[error("log event {0}: {1}")]
    Fields(usize, FieldsError),
}

impl EnvelopeError {
    /// A word of a closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge => "envelope_too_large",
            Self::Packed(_) | Self::Malformed(_) | Self::Type(_) | Self::LogGroup(..) => "malformed_envelope",
            Self::LogEvent(..) | Self::Time(..) | Self::Fields(..) => "malformed_log_event",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    log_group: Cow<'a, str>,
    #[serde(borrow, default)]
    log_stream: Cow<'a, str>,
    /// The raw array: it may have millions of elements, and is decoded one by one.
    #[serde(borrow, default = "no_events")]
    log_events: &'a RawValue,
}

fn no_events<'a>() -> &'a RawValue {
    serde_json::from_str("[]").expect("an array is well-formed")
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// Milliseconds since 1970.
    timestamp: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// True if a record can be an envelope: neither JSON nor an aggregate begins like this.
pub fn is_packed(data: &[u8]) -> bool {
    data.starts_with(&GZIP)
}

/// Opens an envelope. Each log event is passed to `take` as an event of its log group, and each one that cannot be
/// decoded to `failures`. A control message, with which CloudWatch Logs tests the stream, has none.
pub fn open(
    data: &[u8],
    mut take: impl FnMut(Reading),
    mut failures: impl FnMut(EnvelopeError),
) -> Result<(), EnvelopeError> {
    let unpacked = unpack(data)?;
    let envelope: Envelope<'_> = serde_json::from_slice(&unpacked).map_err(EnvelopeError::Malformed)?;
    match &*envelope.message_type {
        "DATA_MESSAGE" => {}
        "CONTROL_MESSAGE" => return Ok(()),
        other => return Err(EnvelopeError::Type(other.to_owned())),
    }
    let sensor = Sensor::new(&envelope.log_group, KIND);
    if let Err(error) = sensor.check() {
        return Err(EnvelopeError::LogGroup(envelope.log_group.into_owned(), error));
    }
    let sensor = Arc::new(sensor);
    let mut writer = FieldsWriter::new();
    let each = |place, raw: &RawValue| match read(place, raw, &envelope.log_stream, &mut writer) {
        Ok((time, event)) => {
            // Only numbers can be refused.
            if let Ok(reading) = Reading::new(sensor.clone(), time, event) {
                take(reading);
            }
        }
        Err(error) => failures(error),
    };
    let mut log_events = serde_json::Deserializer::from_str(envelope.log_events.get());
    log_events
        .deserialize_seq(Elements(each))
        .map_err(EnvelopeError::Malformed)
}

/// Passes on each element of an array with its index.
struct Elements<F>(F);

impl<'de, F: FnMut(usize, &'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of log events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(element) = elements.next_element()? {
            (self.0)(place, element);
            place += 1;
        }
        Ok(())
    }
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let mut unpacked = Vec::new();
    let mut limited = GzDecoder::new(data).take(MAX_UNPACKED_BYTES as u64 + 1);
    limited.read_to_end(&mut unpacked).map_err(EnvelopeError::Packed)?;
    match unpacked.len() {
        0..=MAX_UNPACKED_BYTES => Ok(unpacked),
        _ => Err(EnvelopeError::TooLarge),
    }
}

fn read(
    place: usize,
    raw: &RawValue,
    log_stream: &str,
    writer: &mut FieldsWriter,
) -> Result<(Timestamp, Value), EnvelopeError> {
    let event: LogEvent<'_> = serde_json::from_str(raw.get()).map_err(|error| EnvelopeError::LogEvent(place, error))?;
    let time = event.timestamp.checked_mul(1_000).and_then(Timestamp::from_micros);
    let time = time.ok_or(EnvelopeError::Time(place, event.timestamp))?;
    let kept = &event.message[..event.message.floor_char_boundary(MAX_MESSAGE_BYTES)];
    writer.text("message", kept).whole("length", event.message.len() as i64);
    writer.text("log_stream", log_stream).text("id", &event.id);
    let fields = writer.finish().map_err(|error| EnvelopeError::Fields(place, error))?;
    Ok((time, Value::Event(fields)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value as Json, json};
    use wire::FieldValue;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The readings, and the kinds of errors.
    fn opened(envelope: &Json) -> (Vec<Reading>, Vec<&'static str>) {
        let (mut readings, mut wrong) = (Vec::new(), Vec::new());
        let data = packed(envelope.to_string().as_bytes());
        assert!(is_packed(&data));
        let result = open(
            &data,
            |reading| readings.push(reading),
            |error| wrong.push(error.kind()),
        );
        wrong.extend(result.err().map(|error| error.kind()));
        (readings, wrong)
    }

    fn envelope(events: &Json) -> Json {
        json!({"messageType": "DATA_MESSAGE", "owner": "123456789123", "logGroup": "/app/house", "logStream": "i-1",
            "subscriptionFilters": ["all"], "logEvents": events})
    }

    #[test]
    fn each_log_event_is_an_event_of_its_group() {
        let (readings, wrong) = opened(&envelope(&json!([
            {"id": "31953", "timestamp": 1_432_826_855_000_i64, "message": "GET /a took 3 ms"},
            {"id": "31954", "timestamp": 1_432_826_855_000_i64, "message": "ü".repeat(5_000)},
        ])));
        assert_eq!((readings.len(), wrong.len()), (2, 0));
        let Value::Event(fields) = readings[0].value() else {
            panic!("no event")
        };
        assert_eq!(
            (readings[0].sensor().id(), readings[0].sensor().kind()),
            ("/app/house", "log")
        );
        assert_eq!(readings[0].time().to_string(), "2015-05-28T15:27:35.000000Z");
        assert_eq!(fields.get("message"), Some(FieldValue::Text("GET /a took 3 ms".into())));
        assert_eq!(fields.get("log_stream"), Some(FieldValue::Text("i-1".into())));
        assert_eq!(fields.get("id"), Some(FieldValue::Text("31953".into())));
        let Value::Event(long) = readings[1].value() else {
            panic!("no event")
        };
        assert_eq!(long.get("length"), Some(FieldValue::Number(10_000.0)));
        assert_eq!(long.get("message"), Some(FieldValue::Text("ü".repeat(1_024).into())));
    }

    #[test]
    fn the_largest_event_that_can_be_fits() {
        let events = json!([{"id": "7".repeat(64), "timestamp": 0, "message": "\u{1}".repeat(MAX_MESSAGE_BYTES)}]);
        let mut largest = envelope(&events);
        largest["logStream"] = "\u{1}".repeat(512).into();
        assert_eq!(opened(&largest).0.len(), 1);
    }

    #[test]
    fn a_control_message_is_ignored() {
        let control = json!({"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "",
            "logStream": "", "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": 1,
            "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]});
        assert_eq!(opened(&control), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_log_event_that_cannot_be_decoded_affects_no_other() {
        let good = json!({"id": "1", "timestamp": 5, "message": "m"});
        let (readings, wrong) = opened(&envelope(&json!([
            {"id": "1", "message": "no time"}, good, {"id": "2", "timestamp": i64::MAX, "message": "m"}, 7,
        ])));
        assert_eq!((readings.len(), wrong), (1, vec!["malformed_log_event"; 3]));
        let mut nobody = envelope(&json!([good]));
        nobody["logGroup"] = "".into();
        let mut other = envelope(&json!([good]));
        other["messageType"] = "OTHER".into();
        let [no_array, nothing] = [7.into(), Json::Null].map(|events| envelope(&events));
        for wrong in [nobody, other, no_array, nothing, json!({"values": [1]}), json!([1])] {
            assert_eq!(opened(&wrong), (Vec::new(), vec!["malformed_envelope"]), "{wrong}");
        }
        let mut torn = packed(envelope(&json!([good])).to_string().as_bytes());
        torn.truncate(torn.len() - 9);
        let error = open(&torn, |_| panic!("torn"), |_| panic!("torn")).unwrap_err();
        assert_eq!(error.kind(), "malformed_envelope");
    }

    /// Two bytes per element: each is decoded and dropped.
    #[test]
    fn an_array_of_nothing_is_counted_element_by_element() {
        const ELEMENTS: usize = 100_000;
        let text = envelope(&json!([0]))
            .to_string()
            .replace("[0]", &format!("[{}0]", "0,".repeat(ELEMENTS - 1)));
        let data = packed(text.as_bytes());
        assert!(data.len() < 2_000, "{}", data.len());
        let mut wrong = 0;
        let opened = open(
            &data,
            |_| panic!("no event"),
            |error| {
                assert!(matches!(error, EnvelopeError::LogEvent(place, _) if place == wrong));
                wrong += 1;
            },
        );
        assert!(opened.is_ok());
        assert_eq!(wrong, ELEMENTS);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = packed(&vec![b' '; MAX_UNPACKED_BYTES + 1]);
        assert!(bomb.len() < 20_000);
        let error = open(&bomb, |_| panic!("bomb"), |_| panic!("bomb")).unwrap_err();
        assert_eq!(error.kind(), "envelope_too_large");
    }
}
