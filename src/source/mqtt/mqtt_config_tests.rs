#![allow(clippy::unwrap_used)]

use super::*;
use crate::source::validate;

/// What is wrong with a table, as `key = value: remedy`.
fn problems(settings: &str) -> Vec<String> {
    let settings: Settings = toml::from_str(&format!("kind = \"mqtt\"\n{settings}")).unwrap();
    let mut problems = Vec::new();
    settings.check("b", &mut problems);
    problems.iter().map(ToString::to_string).collect()
}

fn planned(settings: &str) -> Config {
    let settings: Settings = toml::from_str(&format!("kind = \"mqtt\"\n{settings}")).unwrap();
    match settings.validate("b").unwrap() {
        validate::Validated::Mqtt(config) => *config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_and_devices_are_enough() {
    let config = planned("servers = [\"tcp://127.0.0.1\"]\ndevices = \"zigbee2mqtt\"");
    assert!(config.acknowledged && config.persistent);
    assert_eq!(config.most_undelivered, 1_000);
    let filters: Vec<_> = config.rules.topics.iter().map(Pattern::filter).collect();
    assert_eq!(filters, ["zigbee2mqtt/+", "zigbee2mqtt/+/+"]);
    let config = planned("servers = [\"tcp://127.0.0.1\"]\ntopics = [\"#\"]\nqos = 0");
    assert!(!config.acknowledged);
}

#[test]
fn all_that_is_wrong_is_told_with_its_remedy() {
    let missing = problems("");
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(
        missing[0].contains("tcp://127.0.0.1:1883") && missing[1].contains("zigbee2mqtt"),
        "{missing:?}"
    );
    let base = "servers = [\"tcp://127.0.0.1\"]\ntopics = [\"{site}/{device}\", \"x/{device}\"]\n";
    for (more, expected) in [
        ("qos = 3", "source.b.qos = 3: is no quality"),
        ("sensors = 3", "source.b.sensors = 3: is no key of kind = \"mqtt\""),
        ("sensor = \"{site}\"", "the topic \"x/{device}\" does not name"),
        ("group = \"{devic\"", "partner"),
        ("zone = \"Berlin\"", "Europe/Berlin"),
        (
            "ignore_topics = [\"a/#/b\"]",
            "source.b.ignore_topics = \"a/#/b\": has levels after #",
        ),
        ("max_message_bytes = \"1GiB\"", "from \"1KiB\" to \"16MiB\""),
        ("session_expiry = \"1h\"", "protocol = \"5\""),
        (
            "protocol = \"5\"\npersistent_session = false\nsession_expiry = \"1h\"",
            "persistent_session = true",
        ),
        ("client_id = \"\"", "leave it out"),
        ("tls_ca = \"x.pem\"", "ssl://HOST:8883"),
        ("password_file = \"/nowhere\"\nusername = \"u\"", "/nowhere"),
    ] {
        let found = problems(&format!("{base}{more}"));
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(found[0].contains(expected), "{more}: {found:?}");
    }
}

#[test]
fn a_password_stays_here_or_is_encrypted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let login = format!(
        "topics = [\"#\"]\nusername = \"u\"\npassword_file = {:?}\n",
        file.path()
    );
    for (servers, problem) in [
        ("[\"tcp://127.0.0.1\", \"tcp://localhost\"]", None),
        ("[\"ssl://broker.example\"]", None),
        (
            "[\"tcp://127.0.0.1\", \"tcp://broker.example\"]",
            Some("tcp://broker.example:1883"),
        ),
        ("[\"tcp://broker.example\"]\npassword_in_clear = true", None),
    ] {
        let found = problems(&format!("servers = {servers}\n{login}"));
        match problem {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(server) => {
                assert!(
                    found.len() == 1 && found[0].contains(server) && found[0].contains("password_in_clear"),
                    "{found:?}"
                );
            }
        }
    }
}

#[test]
fn files_of_tls_are_read_with_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, "nothing\n").unwrap();
    let base = "servers = [\"ssl://broker.example\"]\ntopics = [\"#\"]\n";
    for (more, key) in [
        (format!("tls_ca = {file:?}"), "source.b.tls_ca"),
        (format!("tls_cert = {file:?}"), "source.b.tls_cert"),
        (format!("tls_key = {file:?}"), "source.b.tls_key"),
        ("tls_ca = \"/nowhere\"".into(), "source.b.tls_ca"),
    ] {
        let found = problems(&format!("{base}{more}"));
        assert!(found.len() == 1 && found[0].starts_with(key), "{found:?}");
    }
}
