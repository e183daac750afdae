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

thread_local! {
    static DECODERS: RefCell<Vec<Decoder>> = RefCell::new(SETTINGS.iter().map(|settings| decoder(settings)).collect());
}

fn decoder(settings: &str) -> Decoder {
    let text = format!("kind = \"mqtt\"\nservers = [\"tcp://127.0.0.1\"]\n{settings}");
    let settings: Settings = toml::from_str(&text).expect("these are settings");
    Decoder::of(&settings, "fuzz").expect("nothing is wrong with them")
}

fuzz_target!(|input: (u8, bool, &str, &[u8])| {
    let (settings, retained, topic, payload) = input;
    let message = Message { topic, payload, retained };
    let mut readings = Vec::new();
    DECODERS.with_borrow_mut(|decoders| {
        let decoder = &mut decoders[usize::from(settings) % SETTINGS.len()];
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
