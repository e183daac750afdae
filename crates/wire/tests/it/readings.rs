//! Readings as JSON, from outside: both forms, and what is refused.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use wire::fields::{FieldValue, FieldsWriter};
use wire::json::{DecodeError, Decoded, Decoder, encode};
use wire::{Bounds, Fields, Form, Identity, ProducerId, Reading, Sensor, Timestamp, Value};

/// The DHT record.
const SEED_A: &str = r#"{"timestamp": "2024-05-01 10:00:00.123456", "datatype": "Temperature", "value": 97.3, "deviceid": "DHT_001", "date": "2024-05-01", "lowest_temp": 96, "highest_temp": 101}"#;

const GENERAL: &str = r#"{"sensor":"s","time":"2024-05-01T10:00:00.123456Z","kind":"wind_speed","unit":"m/s","value":[1,-2.5,1e+300],"lowest":0,"highest":25,"group":"site \"A\""}"#;

const IDENTITY: Identity = Identity {
    producer: ProducerId(0x0123_4567_89ab_cdef),
    number: 42,
};

fn read(json: &str) -> Decoded {
    Decoder::new().decode(json.as_bytes()).unwrap()
}

fn written(reading: &Reading, identity: Option<Identity>) -> String {
    let mut out = b"before ".to_vec();
    encode(reading, identity, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().into()
}

fn reading(sensor: Sensor, value: Value) -> Reading {
    let time = "2024-05-01T10:00:00.123456Z".parse().unwrap();
    Reading::new(Arc::new(sensor), time, value).unwrap()
}

#[test]
fn an_event_is_put_together_field_by_field() {
    let mut writer = FieldsWriter::new();
    writer.text("site", "a \"b\"").whole("bytes", i64::MIN);
    writer.number("seconds", 0.25).boolean("ok", true);
    let event = writer.finish().unwrap();
    let json = r#"{"site":"a \"b\"","bytes":-9223372036854775808,"seconds":0.25,"ok":true}"#;
    assert_eq!(event.as_json(), json);
    assert!(writer.finish().is_err(), "the next one begins anew");
}

#[test]
fn seed_a_is_read_and_written_field_for_field() {
    let sensor = Sensor::new("DHT_001", "Temperature")
        .with_form(Form::Device)
        .with_bounds(Bounds::new(96.0, 101.0).unwrap());
    let expected = reading(sensor, Value::Scalar(97.3));
    let decoded = read(SEED_A);
    assert_eq!(decoded.reading, expected);
    assert_eq!(decoded.identity, None);
    // The seed's own writer puts a space after each comma and colon; no value here holds either with a space.
    let packed = written(&decoded.reading, None);
    assert_eq!(packed, SEED_A.replace(": ", ":").replace(", ", ","));
}

#[test]
fn seed_a_without_fraction_and_bounds_is_read() {
    let decoded = read(r#"{"deviceid":"d","value":-0.5,"datatype":"t","timestamp":"2024-05-01 10:00:00"}"#);
    assert_eq!(decoded.reading.time().to_string(), "2024-05-01T10:00:00.000000Z");
    assert_eq!(decoded.reading.sensor().bounds(), None);
    assert_eq!(
        written(&decoded.reading, None),
        r#"{"timestamp":"2024-05-01 10:00:00.000000","datatype":"t","value":-0.5,"deviceid":"d","date":"2024-05-01"}"#
    );
}

#[test]
fn the_general_form_is_read_and_written() {
    let sensor = Sensor::new("s", "wind_speed")
        .with_unit("m/s")
        .with_group("site \"A\"")
        .with_bounds(Bounds::new(0.0, 25.0).unwrap());
    let expected = reading(sensor, Value::Vector(Arc::new([1.0, -2.5, 1e300])));
    assert_eq!(read(GENERAL).reading, expected);
    assert_eq!(written(&expected, None), GENERAL);
}

#[test]
fn identity_goes_last_and_is_read() {
    for json in [SEED_A, GENERAL] {
        let mut decoded = read(json);
        let json = written(&decoded.reading, Some(IDENTITY));
        assert!(
            json.ends_with(r#","producer":"0123456789abcdef","number":42}"#),
            "{json}"
        );
        decoded.identity = Some(IDENTITY);
        assert_eq!(read(&json), decoded);
    }
}

#[test]
fn fields_of_others_are_ignored() {
    let general = GENERAL.trim_end_matches('}');
    for extra in [
        r#""deviceid":7,"producer":"acme","number":1"#,
        r#""producer":"0123456789abcdef","number":"1""#,
        r#""producer":{"a":[]},"number":[1]"#,
        r#""other":{"sensor":["x",{"value":null}]}"#,
        r#""producer":null"#,
    ] {
        let json = format!("\n {general} , {extra} }} \n");
        assert_eq!(read(&json), read(GENERAL), "{json}");
    }
    assert_eq!(
        read(r#"{"sensor":"s","kind":"k","time":"2024-05-01 10:00:00","value":1,"unit":null}"#)
            .reading
            .sensor()
            .unit(),
        None
    );
}

#[test]
fn a_vector_of_a_device_is_written_in_the_general_form() {
    let sensor = Sensor::new("d", "t").with_form(Form::Device);
    let json = written(&reading(sensor, Value::Vector(Arc::new([1.0]))), None);
    assert_eq!(
        json,
        r#"{"sensor":"d","time":"2024-05-01T10:00:00.123456Z","kind":"t","value":[1]}"#
    );
}

const EVENT: &str = r#"{"sensor":"site-1","time":"2024-05-01T10:00:00.123456Z","kind":"clickstream","event":{"browseraction":"Click","bytes":1e3,"bot":false},"group":"shop"}"#;

#[test]
fn an_event_is_read_and_written_byte_for_byte() {
    let decoded = read(EVENT);
    let Value::Event(fields) = decoded.reading.value() else {
        panic!("not an event: {decoded:?}")
    };
    assert_eq!(fields.get("browseraction"), Some(FieldValue::Text("Click".into())));
    assert_eq!(fields.get("bytes"), Some(FieldValue::Number(1000.0)));
    assert_eq!(fields.get("bot"), Some(FieldValue::Boolean(false)));
    assert_eq!(fields.get("click"), None);
    assert_eq!(written(&decoded.reading, None), EVENT);
    let wide = EVENT
        .replace(",\"b", " ,\t\"b")
        .replace("Click\"", "Click\" , \"gone\" : null ");
    assert_eq!(written(&read(&wide).reading, None), EVENT);
}

#[test]
fn an_event_beside_a_value_is_a_field_of_others_and_in_the_device_form_none_at_all() {
    let both = EVENT.replace("\"group\"", "\"value\":7,\"group\"");
    assert_eq!(read(&both).reading.value(), &Value::Scalar(7.0));
    let device = SEED_A.replace("\"value\": 97.3", "\"event\":{\"a\":1}");
    let error = Decoder::new().decode(device.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("no field `value`"), "{error}");
    let device = Sensor::new("d", "t").with_form(Form::Device);
    let json = written(
        &reading(device, Value::Event(Fields::parse("{\"a\":1}").unwrap())),
        None,
    );
    assert!(
        json.starts_with("{\"sensor\":\"d\"") && json.ends_with(",\"event\":{\"a\":1}}"),
        "{json}"
    );
}

#[test]
fn what_no_event_can_carry_is_refused_with_its_remedy() {
    let many: Vec<String> = (0..65).map(|at| format!("\"f{at}\":1")).collect();
    for (event, message) in [
        ("7".to_owned(), "an event is an object of fields"),
        ("{ }".to_owned(), "the event has no field"),
        ("{\"a\":null}".to_owned(), "the event has no field"),
        ("{\"a\":1,\"a\":2}".to_owned(), "the event has the field \"a\" twice"),
        (
            "{\"a\":{\"b\":1}}".to_owned(),
            "the field \"a\" is no text, number or boolean",
        ),
        (
            "{\"a\":[1,2]}".to_owned(),
            "the field \"a\" is no text, number or boolean",
        ),
        ("{\"a\":1e999}".to_owned(), "the field \"a\" is beyond the range"),
        ("{\"a\":\"\\ud800\"}".to_owned(), "an escape in the field \"a\""),
        ("{\"\":1}".to_owned(), "\"\" cannot name a field"),
        ("{\"a\\n\":1}".to_owned(), "cannot name a field"),
        (format!("{{{}}}", many.join(",")), "the event has more than 64 fields"),
        (
            format!("{{\"a\":\"{}\"}}", "x".repeat(16_377)),
            "the event takes 16385 bytes",
        ),
    ] {
        let json = EVENT.replace(r#"{"browseraction":"Click","bytes":1e3,"bot":false}"#, &event);
        let error = Decoder::new().decode(json.as_bytes()).unwrap_err().to_string();
        assert!(
            error.starts_with("field `event` at byte 85 is ") && error.contains(message),
            "{event}\n{error}"
        );
    }
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(16_376));
    assert!(Fields::parse(&fits).is_ok() && Fields::parse("{").is_err());
}

#[test]
fn control_characters_are_escaped_and_escapes_read() {
    let id = "a\"b\\c\u{0}\n\u{1f}\u{7f}é\u{2028}😀";
    let json = written(&reading(Sensor::new(id, "t"), Value::Scalar(1.0)), None);
    assert!(json.contains(r#""a\"b\\c\u0000\u000a\u001f"#), "{json}");
    assert_eq!(read(&json).reading.sensor().id(), id);
    let json = GENERAL.replace(r#""s""#, r#""\ud83d\ude00\u00e9\n\/""#);
    assert_eq!(read(&json).reading.sensor().id(), "😀é\n/");
}

#[test]
fn readings_of_a_sensor_share_it_until_it_changes() {
    let mut decoder = Decoder::new();
    let mut sensor = |json: &str| Arc::clone(decoder.decode(json.as_bytes()).unwrap().reading.sensor());
    let first = sensor(SEED_A);
    assert!(Arc::ptr_eq(&first, &sensor(&SEED_A.replace("97.3", "98"))));
    sensor(GENERAL);
    assert!(Arc::ptr_eq(&first, &sensor(SEED_A)));
    let changed = sensor(&SEED_A.replace("101", "102"));
    assert_eq!(changed.bounds().unwrap().highest, 102.0);
    assert!(Arc::ptr_eq(&changed, &sensor(&SEED_A.replace("101", "102"))));
}

#[test]
fn sensors_without_number_do_not_fill_the_memory() {
    let mut decoder = Decoder::new();
    let first = Arc::downgrade(decoder.decode(SEED_A.as_bytes()).unwrap().reading.sensor());
    decoder
        .decode(SEED_A.replace("DHT_001", "one more").as_bytes())
        .unwrap();
    assert!(first.upgrade().is_some(), "there is room for both");
    for index in 0..65_535 {
        decoder
            .decode(SEED_A.replace("DHT_001", &index.to_string()).as_bytes())
            .unwrap();
    }
    assert!(first.upgrade().is_none());
}

#[test]
fn a_refusal_names_field_value_place_and_remedy() {
    for (from, to, message) in [
        (
            "97.3",
            r#""97.3""#,
            r#"field `value` at byte 80 is "97.3": not a number: send one such as 97.3, without quotes"#,
        ),
        (
            "97.3",
            "null",
            "a reading has no field `value`: send objects such as {\"timestamp\"",
        ),
        (
            "97.3",
            "NaN",
            "a reading is not well-formed: expected value at line 1 column 81: send objects such as {",
        ),
        ("97.3", "true", "field `value` at byte 80 is true: not a number"),
        (
            "97.3",
            "1e999",
            "field `value` at byte 80 is 1e999: beyond the range of a 64-bit floating point number",
        ),
        (
            "97.3",
            "[ ]",
            "field `value` at byte 80 is [ ]: the vector is empty: send at least one number",
        ),
        (
            "97.3",
            "[1, 2, \"x\"]",
            "field `value` at byte 87 is \"x\": not a number",
        ),
        ("97.3", "[[1,2],3]", "field `value` at byte 81 is [1: not a number"),
        (
            "97.3",
            "1,\"value\":2",
            "a reading is not well-formed: duplicate field `value` at line 1 column",
        ),
        (
            "DHT_001",
            "",
            r#"field `deviceid` at byte 98 is "": it is empty: name the sensor"#,
        ),
        (
            r#""DHT_001""#,
            "1",
            "field `deviceid` at byte 98 is 1: not a string: send one in quotes",
        ),
        (
            "DHT_001",
            r"\ud800",
            r#"field `deviceid` at byte 98 is "\ud800": an escape in it is no character"#,
        ),
        (
            "deviceid",
            "device",
            "a reading has no field `deviceid`: send objects such as {\"timestamp\"",
        ),
        (
            "2024-05-01 ",
            "2023-02-29 ",
            r#"field `timestamp` at byte 14 is "2023-02-29 10:00:00.123456": no such day"#,
        ),
        ("datatype", "data", "a reading has no field `datatype`"),
        (
            "96",
            "102",
            "field `lowest_temp` at byte 146 is 102: bounds from 102 to 101: use two finite numbers",
        ),
        (
            "lowest_temp",
            "low",
            "field `highest_temp` at byte 158 is 101: a bound without the other",
        ),
        (
            "101",
            "\"101\"",
            "field `highest_temp` at byte 166 is \"101\": not a number",
        ),
    ] {
        let json = SEED_A.replacen(from, to, 1);
        assert_ne!(json, SEED_A);
        let error = Decoder::new().decode(json.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(message), "{json}\n{error}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let refusal = |json: &[u8]| Decoder::new().decode(json).unwrap_err();
    assert!(matches!(refusal(b"{\"sensor\":\"\xff"), DecodeError::NotUtf8(11)));
    for json in [
        "",
        " ",
        "[]",
        r#"["s","2024-05-01 10:00:00","k",null,1]"#,
        "7",
        "timestamp,value",
    ] {
        assert_eq!(refusal(json.as_bytes()).kind(), "not_an_object", "{json}");
    }
    for json in ["{", r#"{"sensor"}"#, r#"{"sensor":"s"#, "{} {}", r#"{"value":01}"#] {
        assert_eq!(refusal(json.as_bytes()).kind(), "malformed", "{json}");
    }
    let message = refusal(b"{}").to_string();
    assert!(
        message.starts_with("a reading has no field `sensor`: send objects such as {\"sensor\""),
        "{message}"
    );
    let long = refusal("é".repeat(1_000).as_bytes()).to_string();
    assert!(long.len() < 250, "{long}");
}

#[test]
fn names_and_vectors_have_limits() {
    let with_id = |bytes: usize| SEED_A.replace("DHT_001", &"x".repeat(bytes));
    assert_eq!(read(&with_id(256)).reading.sensor().id().len(), 256);
    let error = Decoder::new().decode(with_id(257).as_bytes()).unwrap_err();
    assert!(
        error.to_string().ends_with("…: it has 257 bytes: use at most 256"),
        "{error}"
    );
    let with_numbers = |numbers: usize| SEED_A.replace("97.3", &format!("[{}]", vec!["1"; numbers].join(" , ")));
    assert!(matches!(read(&with_numbers(1_024)).reading.value(), Value::Vector(numbers) if numbers.len() == 1_024));
    let error = Decoder::new().decode(with_numbers(1_025).as_bytes()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the vector has 1025 numbers: send at most 1024"),
        "{error}"
    );
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
        any::<i32>().prop_map(f64::from),
        (-1_000_i32..2_000).prop_map(|tenths| f64::from(tenths) / 10.0),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1e15,
            1e16,
            1e17,
            1e-7,
            f64::MIN_POSITIVE,
            5e-324,
            f64::MAX,
            f64::MIN
        ]),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_/-]{1,20}",
        "\\PC{1,20}",
        vec(any::<char>(), 1..20).prop_map(String::from_iter)
    ]
}

fn event() -> impl Strategy<Value = Value> {
    let field = (
        "[a-zA-Z_é ]{1,12}",
        prop_oneof![finite().prop_map(Ok), name().prop_map(Err)],
    );
    prop::collection::btree_map(field.0, field.1, 1..8).prop_map(|fields| {
        let mut writer = FieldsWriter::new();
        for (name, value) in &fields {
            match value {
                Ok(number) if *number == 0.0 => writer.boolean(name, number.is_sign_negative()),
                Ok(number) => writer.number(name, *number),
                Err(text) => writer.text(name, text),
            };
        }
        let event = writer.finish().unwrap();
        for ((known, value), (name, read)) in fields.iter().zip(event.iter()) {
            let expected = match value {
                Ok(number) if *number == 0.0 => FieldValue::Boolean(number.is_sign_negative()),
                Ok(number) => FieldValue::Number(*number),
                Err(text) => FieldValue::Text(text.into()),
            };
            assert_eq!((known.as_str(), expected), (name, read));
        }
        assert_eq!(event.iter().count(), fields.len());
        Value::Event(event)
    })
}

fn readings() -> impl Strategy<Value = Reading> {
    let bounds = prop::option::of((finite(), finite()));
    let optional = || prop::option::of(name());
    let value = prop_oneof![
        4 => finite().prop_map(Value::Scalar),
        1 => vec(finite(), 1..20).prop_map(|numbers| Value::Vector(numbers.into())),
        2 => event(),
    ];
    let micros = Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros();
    let sensor = (name(), name(), optional(), optional(), bounds, any::<bool>());
    (sensor, micros, value).prop_map(|((id, kind, unit, group, bounds, device), micros, value)| {
        let mut sensor = Sensor::new(&id, &kind);
        if let Some(unit) = unit {
            sensor = sensor.with_unit(&unit);
        }
        if let Some(group) = group {
            sensor = sensor.with_group(&group);
        }
        if let Some((one, other)) = bounds {
            sensor = sensor.with_bounds(Bounds::new(one.min(other), one.max(other)).unwrap());
        }
        // Vectors and events have no place in the device form.
        if device && matches!(value, Value::Scalar(_)) {
            sensor = sensor.with_form(Form::Device);
        }
        Reading::new(Arc::new(sensor), Timestamp::from_micros(micros).unwrap(), value).unwrap()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(reading in readings(), identity: Option<(u64, u64)>) {
        let identity = identity.map(|(producer, number)| Identity {
            producer: ProducerId(producer),
            number: number.max(1),
        });
        let json = written(&reading, identity);
        prop_assert!(!json.contains(".0,") && !json.contains(".0}"), "{}", json);
        let by_serde: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert!(by_serde.is_object());
        let decoded = Decoder::new().decode(json.as_bytes()).unwrap();
        prop_assert_eq!(&decoded, &Decoded { reading, identity });
    }

    #[test]
    fn garbage_never_panics(
        bytes in vec(any::<u8>(), 0..100), text in "[{}\\[\\]\",:a-z0-9.\\\\ ]{0,60}",
        reading in readings(), at: prop::sample::Index, byte: u8,
    ) {
        let mut decoder = Decoder::new();
        let _ = decoder.decode(&bytes);
        let _ = decoder.decode(text.as_bytes());
        let mut json = written(&reading, None).into_bytes();
        let at = at.index(json.len());
        let _ = decoder.decode(&json[..at]);
        json[at] = byte;
        let _ = decoder.decode(&json);
    }
}

#[test]
fn an_empty_unit_or_group_is_none_and_an_empty_kind_is_refused() {
    let empty = |field: &str| GENERAL.replace(field, &format!("{}\"\"", &field[..field.find(':').unwrap() + 1]));
    let sensor = read(&empty(r#""unit":"m/s""#)).reading.sensor().clone();
    assert_eq!((sensor.unit(), sensor.group()), (None, Some("site \"A\"")));
    let sensor = read(&empty(r#""group":"site \"A\"""#)).reading.sensor().clone();
    assert_eq!((sensor.unit(), sensor.group()), (Some("m/s"), None));
    for (json, message) in [
        (
            empty(r#""kind":"wind_speed""#),
            "field `kind` at byte 58 is \"\": the kind is empty: say what is measured, such as temperature",
        ),
        (SEED_A.replace("\"Temperature\"", "\"\""), "field `datatype` at byte"),
    ] {
        let error = Decoder::new().decode(json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
        // What an earlier version took is not lost.
        let kept = Decoder::of_kept().decode(json.as_bytes()).unwrap();
        assert_eq!(kept.reading.sensor().kind(), "");
    }
}
