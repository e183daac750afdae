//! Any topic and payload under several settings: nothing panics, and what is read is written and read again as it was.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use temp_ingest::source::Settings;
use temp_ingest::source::mqtt::{Decoder, Message, Outcome};
use wire::Timestamp;

/// What of the configuration changes how messages are read.
const SETTINGS: [&str; 5] = [
    "devices = \"zigbee2mqtt\"",
    "devices = \"tasmota\"\nzone = \"Europe/Berlin\"",
    "devices = \"home_assistant\"",
    "topics = [\"#\"]\nbooleans = true\ntext_numbers = true",
    "topics = [\"{site}/{device}/#\"]\nsensor = \"{payload.id}-{field}\"\ntime = \"at\"\nfields = [\"*t*\"]",
];
/// Without one of these, hardly a topic would be asked for.
const TOPICS: [&str; 4] = ["zigbee2mqtt/a", "tele/a/SENSOR", "homeassistant/sensor/a/state", "a/b/c"];

thread_local! {
    static DECODERS: RefCell<Vec<Decoder>> = RefCell::new(SETTINGS.iter().map(|settings| decoder(settings)).collect());
}

fn decoder(settings: &str) -> Decoder {
    let text = format!("kind = \"mqtt\"\nservers = [\"tcp://127.0.0.1\"]\n{settings}");
    let settings: Settings = toml::from_str(&text).expect("these are settings");
    Decoder::of(&settings, "fuzz").expect("nothing is wrong with them")
}

fuzz_target!(|input: &[u8]| {
    let [choice, topic_bytes, rest @ ..] = input else {
        return;
    };
    let (own, payload) = rest.split_at(rest.len().min(usize::from(*topic_bytes)));
    let own = String::from_utf8_lossy(own);
    let topic = match own.is_empty() {
        true => TOPICS[usize::from(choice >> 1) % TOPICS.len()],
        false => &own,
    };
    let message = Message {
        topic,
        payload,
        retained: choice & 1 == 1,
    };
    let mut readings = Vec::new();
    DECODERS.with_borrow_mut(|decoders| {
        let decoder = &mut decoders[usize::from(choice >> 3) % SETTINGS.len()];
        let decoded = decoder.decode(&message, Timestamp::default(), &mut readings);
        assert_eq!(decoded == Ok(Outcome::Readings), !readings.is_empty());
    });
    for reading in readings {
        let mut written = Vec::new();
        wire::json::encode(&reading, None, &mut written);
        let again = wire::json::Decoder::new().decode(&written).expect("what is written can be read");
        assert_eq!(again.reading, reading);
    }
});
