//! Readings as JSON, from outside: the shipped forms, and what is refused.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wire::json::{Decoder, encode};
use wire::{Bounds, Form, Identity, Reading, Sensor, Value};

/// SPEC.md, seed A.
const SEED_A: &str = r#"{"timestamp": "2024-05-01 10:00:00.123456", "datatype": "Temperature", "value": 97.3, "deviceid": "DHT_001", "date": "2024-05-01", "lowest_temp": 96, "highest_temp": 101}"#;

fn written(reading: &Reading, identity: Option<Identity>) -> String {
    let mut out = Vec::new();
    encode(reading, identity, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn seed_a_is_read_and_written_field_for_field() {
    let decoded = Decoder::new().decode(SEED_A.as_bytes()).unwrap();
    let sensor = Sensor::new("DHT_001", "Temperature")
        .with_form(Form::Device)
        .with_bounds(Bounds::new(96.0, 101.0).unwrap());
    let time = "2024-05-01T10:00:00.123456Z".parse().unwrap();
    let reading = Reading::new(Arc::new(sensor), time, Value::Scalar(97.3)).unwrap();
    assert_eq!(decoded.reading, reading);
    assert_eq!(decoded.identity, None);
    assert_eq!(written(&reading, None), SEED_A.replace(": ", ":").replace(", ", ","));
}
