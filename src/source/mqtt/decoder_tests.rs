#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::source::settings::Settings;

/// A decoder of these settings, as a configuration has them.
fn decoder(settings: &str) -> Decoder {
    let text = format!("kind = \"mqtt\"\nservers = [\"tcp://127.0.0.1\"]\n{settings}");
    let settings: Settings = toml::from_str(&text).unwrap();
    Decoder::of(&settings, "test").unwrap()
}

fn now() -> Timestamp {
    "2024-05-01T10:00:00Z".parse().unwrap()
}

/// The readings of a message as `id kind value unit group time`, without the time where it is that of arrival.
fn read(decoder: &mut Decoder, topic: &str, payload: &str) -> Result<Vec<String>, String> {
    let message = Message {
        topic,
        payload: payload.as_bytes(),
        retained: false,
    };
    let mut readings = Vec::new();
    let outcome = decoder.decode(&message, now(), &mut readings)?;
    assert_eq!(outcome == Outcome::Readings, !readings.is_empty(), "{outcome:?}");
    Ok(readings.iter().map(shown).collect())
}

fn shown(reading: &Reading) -> String {
    let sensor = reading.sensor();
    let Value::Scalar(value) = reading.value() else {
        panic!("a list")
    };
    let mut shown = format!("{} {} {value}", sensor.id(), sensor.kind());
    for more in [sensor.unit(), sensor.group()] {
        shown += &format!(" {}", more.unwrap_or("-"));
    }
    if reading.time() != now() {
        shown += &format!(" {}", &reading.time().to_string()[..19]);
    }
    shown
}

fn outcome(decoder: &mut Decoder, topic: &str, payload: &str, retained: bool) -> Outcome {
    let message = Message {
        topic,
        payload: payload.as_bytes(),
        retained,
    };
    decoder
        .decode(&message, now(), &mut Vec::new())
        .unwrap_or(Outcome::Malformed)
}

#[test]
fn a_house_of_zigbee2mqtt_works_with_nothing_set() {
    let mut house = decoder("devices = \"zigbee2mqtt\"");
    let climate = r#"{"battery":97,"humidity":46.31,"last_seen":"2024-05-01T11:58:30+02:00","linkquality":120,"pressure":1013.2,"temperature":21.47,"update":{"installed_version":1,"latest_version":2,"state":"idle"},"update_available":false,"voltage":2995}"#;
    assert_eq!(
        read(&mut house, "zigbee2mqtt/Wohnzimmer Süd", climate).unwrap(),
        [
            "Wohnzimmer Süd/humidity humidity 46.31 % Wohnzimmer Süd 2024-05-01T09:58:30",
            "Wohnzimmer Süd/pressure pressure 1013.2 hPa Wohnzimmer Süd 2024-05-01T09:58:30",
            "Wohnzimmer Süd/temperature temperature 21.47 °C Wohnzimmer Süd 2024-05-01T09:58:30",
            "Wohnzimmer Süd/voltage voltage 2995 - Wohnzimmer Süd 2024-05-01T09:58:30",
        ]
    );
    // A name with a slash, its time in milliseconds; a time that is off.
    assert_eq!(
        read(
            &mut house,
            "zigbee2mqtt/kitchen/fridge",
            r#"{"last_seen":1714557500000,"temperature":4.5}"#
        )
        .unwrap(),
        ["kitchen/fridge/temperature temperature 4.5 °C kitchen 2024-05-01T09:58:20"]
    );
    assert_eq!(
        read(
            &mut house,
            "zigbee2mqtt/plug",
            r#"{"state":"ON","power":12.5,"energy":3,"child_lock":"UNLOCK","last_seen":null}"#
        )
        .unwrap(),
        ["plug/power power 12.5 W plug", "plug/energy energy 3 kWh plug"]
    );
    for (topic, payload, expected) in [
        (
            "zigbee2mqtt/door",
            r#"{"contact":true,"battery":100,"linkquality":90}"#,
            Outcome::NoReading,
        ),
        ("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#, Outcome::Ignored),
        ("zigbee2mqtt/bridge/devices", "[]", Outcome::Ignored),
        (
            "zigbee2mqtt/lamp/availability",
            r#"{"state":"online"}"#,
            Outcome::Ignored,
        ),
        ("zigbee2mqtt/lamp/set", r#"{"brightness":120}"#, Outcome::Ignored),
        ("zigbee2mqtt/lamp", "", Outcome::NoReading),
        ("other/lamp", r#"{"temperature":1}"#, Outcome::Ignored),
        ("zigbee2mqtt/lamp", "{\"temperature\":", Outcome::Malformed),
        ("zigbee2mqtt/lamp", "\u{1}", Outcome::Malformed),
    ] {
        assert_eq!(
            outcome(&mut house, topic, payload, false),
            expected,
            "{topic} {payload}"
        );
    }
}

#[test]
fn tasmota_says_its_units_and_its_time_needs_a_zone() {
    let climate = r#"{"Time":"2024-05-01T11:59:00","AM2301":{"Temperature":21.5,"Humidity":50.1,"DewPoint":10.7},"BMP280":{"Temperature":70.9,"Pressure":1013.2},"TempUnit":"F","PressureUnit":"hPa"}"#;
    let expected = [
        "attic/AM2301.Temperature AM2301.Temperature 21.5 °F attic",
        "attic/AM2301.Humidity AM2301.Humidity 50.1 % attic",
        "attic/AM2301.DewPoint AM2301.DewPoint 10.7 °F attic",
        "attic/BMP280.Temperature BMP280.Temperature 70.9 °F attic",
        "attic/BMP280.Pressure BMP280.Pressure 1013.2 hPa attic",
    ];
    let mut house = decoder("devices = \"tasmota\"");
    assert_eq!(read(&mut house, "tele/attic/SENSOR", climate).unwrap(), expected);
    let mut house = decoder("devices = \"tasmota\"\nzone = \"Europe/Berlin\"");
    let zoned = expected.map(|reading| format!("{reading} 2024-05-01T09:59:00"));
    assert_eq!(read(&mut house, "attic/tele/SENSOR", climate).unwrap(), zoned);
    // Three phases in lists, a sensor that fails, and a clock that is not set yet.
    let meter = r#"{"Time":"1970-01-01T00:00:09","ENERGY":{"TotalStartTime":"2023-01-01T00:00:00","Total":1.25,"Power":[10,20.5]},"DS18B20":{"Id":"01131E3A","Temperature":null}}"#;
    assert_eq!(
        read(&mut house, "tele/meter/SENSOR", meter).unwrap(),
        [
            "meter/ENERGY.Total ENERGY.Total 1.25 kWh meter",
            "meter/ENERGY.Power.0 ENERGY.Power.0 10 W meter",
            "meter/ENERGY.Power.1 ENERGY.Power.1 20.5 W meter",
        ]
    );
}

#[test]
fn home_assistants_states_are_numbers_or_passed_over() {
    let mut house = decoder("devices = \"home_assistant\"\nunit = \"°C\"");
    let topic = "homeassistant/sensor/bath_temperature/state";
    assert_eq!(
        read(&mut house, topic, "21.5").unwrap(),
        ["bath_temperature value 21.5 °C -"]
    );
    for state in [
        "unavailable",
        "unknown",
        "",
        "None",
        "sunny",
        "2024-05-01T10:00:00+00:00",
        "on",
        "\"unknown\"",
    ] {
        assert_eq!(outcome(&mut house, topic, state, false), Outcome::NoReading, "{state}");
    }
    assert_eq!(
        outcome(&mut house, "homeassistant/sensor/x/unit_of_measurement", "°C", false),
        Outcome::Ignored
    );
    assert_eq!(outcome(&mut house, topic, "21.5", true), Outcome::Retained);
}

#[test]
fn what_the_broker_kept_counts_only_where_it_tells_its_time() {
    let mut house = decoder("devices = \"zigbee2mqtt\"");
    let topic = "zigbee2mqtt/bath";
    assert_eq!(
        outcome(&mut house, topic, r#"{"temperature":20}"#, true),
        Outcome::Retained
    );
    let told = r#"{"temperature":20,"last_seen":"2024-05-01T09:00:00Z"}"#;
    assert_eq!(outcome(&mut house, topic, told, true), Outcome::Readings);
}

#[test]
fn readings_come_in_the_forms_that_files_have() {
    let mut any = decoder("topics = [\"sensors/#\"]");
    let general =
        r#"{"sensor":"a","time":"2024-05-01T09:00:00Z","kind":"temperature","unit":"K","value":280,"group":"g"}"#;
    assert_eq!(
        read(&mut any, "sensors/x", general).unwrap(),
        ["a temperature 280 K g 2024-05-01T09:00:00"]
    );
    let device = r#"{"timestamp":"2024-05-01 09:00:00","datatype":"Temperature","value":97.3,"deviceid":"DHT_001"}"#;
    assert_eq!(
        read(&mut any, "sensors", device).unwrap(),
        ["DHT_001 Temperature 97.3 - - 2024-05-01T09:00:00"]
    );
    let error = read(&mut any, "sensors/x", &general.replace("280", "\"warm\"")).unwrap_err();
    assert!(error.contains("value"), "{error}");
    let error = read(&mut any, "sensors/x", &general.replace("\"temperature\"", "\"\"")).unwrap_err();
    assert!(error.contains("the kind is empty: say what"), "{error}");
    assert_eq!(
        read(&mut any, "sensors/x", &general.replace("\"g\"", "\"\"")).unwrap(),
        ["a temperature 280 K - 2024-05-01T09:00:00"]
    );
    assert_eq!(
        read(&mut any, "sensors/x", "-3e1").unwrap(),
        ["sensors/x value -30 - -"]
    );
    assert_eq!(
        read(&mut any, "sensors/x", r#"{"t":1}"#).unwrap(),
        ["sensors/x/t t 1 - -"]
    );
    for payload in ["warm", "[1,2]", "inf", "21,5"] {
        assert_eq!(
            outcome(&mut any, "sensors/x", payload, false),
            Outcome::Malformed,
            "{payload}"
        );
    }
    let mut readings = decoder("topics = [\"#\"]\nformat = \"reading\"");
    assert!(read(&mut readings, "x", r#"{"t":1}"#).unwrap_err().contains("`sensor`"));
    assert!(read(&mut readings, "x", "21.5").is_err());
}

#[test]
fn names_come_of_topics_and_payloads() {
    let mut plain = decoder("topics = [\"{site}/{device}/{datatype}\"]");
    assert_eq!(
        read(&mut plain, "berlin/t1/humidity", "40").unwrap(),
        ["berlin/t1/humidity humidity 40 - berlin"]
    );
    let mut made = decoder(
        "topics = [\"+/{device}\"]\nsensor = \"{payload.id}-{device}-{field}\"\ngroup = \"{payload.room}\"\n\
         datatype = \"{field}\"\nfields = [\"t*\"]",
    );
    let payload = r#"{"id":7,"room":"attic","t1":1,"t2":2,"h":3}"#;
    assert_eq!(
        read(&mut made, "a/x", payload).unwrap(),
        ["7-x-t1 t1 1 - attic", "7-x-t2 t2 2 - attic"]
    );
    let error = read(&mut made, "a/x", r#"{"id":7,"t1":1}"#).unwrap_err();
    assert!(error.contains("\"room\""), "{error}");
    let long = format!("a/{}", "x".repeat(300));
    assert!(
        read(&mut plain, &format!("{long}/k"), "1")
            .unwrap_err()
            .contains("at most 256")
    );
}

#[test]
fn texts_and_switches_are_numbers_where_that_is_set() {
    let payload = r#"{"t":"21.5","state":"ON","open":false,"mode":"auto","bad":"inf"}"#;
    let mut strict = decoder("topics = [\"{device}\"]");
    assert_eq!(outcome(&mut strict, "d", payload, false), Outcome::NoReading);
    assert_eq!(outcome(&mut strict, "d", "on", false), Outcome::NoReading);
    let mut lenient = decoder("topics = [\"{device}\"]\ntext_numbers = true\nbooleans = true\nunits = { t = \"°C\" }");
    assert_eq!(
        read(&mut lenient, "d", payload).unwrap(),
        ["d/t t 21.5 °C d", "d/state state 1 - d", "d/open open 0 - d"]
    );
    assert_eq!(read(&mut lenient, "d", "OFF").unwrap(), ["d value 0 - -"]);
}

#[test]
fn a_time_that_is_named_has_to_be_one() {
    let mut decoder = decoder("topics = [\"{device}\"]\ntime = \"meta.at\"");
    let read = |decoder: &mut Decoder, at: &str| {
        read(
            decoder,
            "d",
            &format!("{{\"t\":1,\"time\":5,\"meta\":{{\"at\":{at}}}}}"),
        )
    };
    assert_eq!(
        read(&mut decoder, "1714554000").unwrap(),
        [
            "d/t t 1 - d 2024-05-01T09:00:00",
            "d/time time 5 - d 2024-05-01T09:00:00"
        ]
    );
    assert!(read(&mut decoder, "\"noon\"").unwrap_err().contains("meta.at"));
}

proptest! {
    /// Whatever comes, nothing panics, and what is malformed leaves nothing behind.
    #[test]
    fn any_bytes_come_to_something(
        topic in "(zigbee2mqtt|tele|a)/[a-zé{}+#/]{0,8}(/SENSOR)?",
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            r#"[{}\[\]":,a-ft0-9.eE+-]{0,60}"#.prop_map(String::into_bytes),
            r#"\{("(Time|last_seen|t|value|sensor|time|kind)":("[0-9T:Z-]{0,20}"|[0-9]{1,20}|null|true|\[1\]),?){0,5}\}"#
                .prop_map(String::into_bytes),
        ],
        retained: bool,
    ) {
        for settings in ["topics = [\"#\"]\nbooleans = true\ntext_numbers = true", "devices = \"zigbee2mqtt\"", "devices = \"tasmota\"\nzone = \"Asia/Tokyo\""] {
            let mut decoder = decoder(settings);
            let mut readings = Vec::new();
            let message = Message { topic: &topic, payload: &payload, retained };
            let decoded = decoder.decode(&message, now(), &mut readings);
            prop_assert_eq!(decoded == Ok(Outcome::Readings), !readings.is_empty());
            // The same message is read the same way by a decoder that knows its sensors.
            let mut again = Vec::new();
            prop_assert_eq!(decoder.decode(&message, now(), &mut again), decoded);
            prop_assert_eq!(again, readings);
        }
    }
}
