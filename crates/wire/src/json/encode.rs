//! A reading written as JSON. Allocates nothing but room in the output.

use crate::literal::{number, string};
use crate::{Form, Identity, Reading, Sensor, Value};

/// Appends `reading` as one JSON object without spaces or a line end, in its sensor's form; a vector and an event
/// always in the general form. Where the object is a record by itself, `identity` goes last, as `producer` and `number`.
pub fn encode(reading: &Reading, identity: Option<Identity>, out: &mut Vec<u8>) {
    match (reading.sensor().form(), reading.value()) {
        (Form::Device, Value::Scalar(value)) => device(reading, *value, out),
        _ => general(reading, out),
    }
    if let Some(Identity { producer, number }) = identity {
        out.extend_from_slice(b",\"producer\":\"");
        out.extend_from_slice(&producer.digits());
        out.extend_from_slice(b"\",\"number\":");
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
    out.push(b'}');
}

fn general(reading: &Reading, out: &mut Vec<u8>) {
    let sensor = reading.sensor();
    out.extend_from_slice(b"{\"sensor\":");
    string(sensor.id(), out);
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(&reading.time().rfc3339());
    out.extend_from_slice(b"\",\"kind\":");
    string(sensor.kind(), out);
    optional(b",\"unit\":", sensor.unit(), out);
    match reading.value() {
        Value::Scalar(value) => {
            out.extend_from_slice(b",\"value\":");
            number(*value, out);
        }
        Value::Event(fields) => {
            out.extend_from_slice(b",\"event\":");
            out.extend_from_slice(fields.as_json().as_bytes());
        }
        Value::Vector(values) => {
            out.extend_from_slice(b",\"value\":");
            for (index, value) in values.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                number(*value, out);
            }
            out.push(b']');
        }
    }
    bounds(b",\"lowest\":", b",\"highest\":", sensor, out);
    optional(b",\"group\":", sensor.group(), out);
}

fn device(reading: &Reading, value: f64, out: &mut Vec<u8>) {
    let sensor = reading.sensor();
    let time = reading.time().zoneless();
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\",\"datatype\":");
    string(sensor.kind(), out);
    out.extend_from_slice(b",\"value\":");
    number(value, out);
    out.extend_from_slice(b",\"deviceid\":");
    string(sensor.id(), out);
    out.extend_from_slice(b",\"date\":\"");
    out.extend_from_slice(&time.as_bytes()[..10]);
    out.push(b'"');
    bounds(b",\"lowest_temp\":", b",\"highest_temp\":", sensor, out);
    optional(b",\"unit\":", sensor.unit(), out);
    optional(b",\"group\":", sensor.group(), out);
}

fn optional(key: &[u8], text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        out.extend_from_slice(key);
        string(text, out);
    }
}

fn bounds(lowest: &[u8], highest: &[u8], sensor: &Sensor, out: &mut Vec<u8>) {
    if let Some(bounds) = sensor.bounds() {
        out.extend_from_slice(lowest);
        number(bounds.lowest, out);
        out.extend_from_slice(highest);
        number(bounds.highest, out);
    }
}
