//! Tables as people write them, and what they come to.

#![allow(clippy::unwrap_used)]

use super::*;

/// Each key once.
const EVERY_KEY: &str = r#"
    profile = "temperature"
    sensors = 10
    rate = 5.0
    interval = "1s"
    seed = 42
    count = 100
    start = "2024-05-01T00:00:00Z"
    prefix = "a-"
    faults = 24
    form = "general"
    decimals = 1
    lowest = 10
    highest = 30
    correlation = 0.5
    mean = 20
    noise = 1
    daily = 1
    yearly = 1
    spread = 1
    scale = 8
    shape = 2
    gusts = 6
    path = "history.csv"
    times = "keep"
    speed = "max"
    group = "g"
    sensor = "s"
    datatype = "d"
    unit = "u"
    listen = "127.0.0.1:0"
    token_file = "/none/tokens"
    tls_certificate = "/none/cert.pem"
    tls_key = "/none/key.pem"
    reply_timeout = "1s"
    header_timeout = "1s"
    body_timeout = "1s"
    idle_timeout = "1s"
    max_body = "1KiB"
    max_bodies = "1MiB"
    max_readings = 10
    max_headers = "1KiB"
    max_connections = 2
    max_client_connections = 1
    idempotency_keys = 1
    idempotency_time = "1m"
    max_new_sensors_per_hour = 1
    servers = ["tcp://127.0.0.1:1883"]
    devices = "zigbee2mqtt"
    topics = ["{device}"]
    ignore_topics = ["x"]
    qos = 1
    protocol = "3.1.1"
    client_id = "a"
    persistent_session = true
    session_expiry = "1h"
    username = "a"
    password_file = "a"
    password_in_clear = false
    tls_ca = "a"
    tls_cert = "a"
    keep_alive = "60s"
    connection_timeout = "30s"
    max_undelivered_messages = 10
    max_message_bytes = "1KiB"
    format = "auto"
    fields = ["a"]
    ignore_fields = ["b"]
    units = { a = "b" }
    text_numbers = true
    booleans = true
    time = "a"
    zone = "UTC"
"#;

fn config(text: &str) -> Result<Validated, Vec<Problem>> {
    toml::from_str::<Settings>(text).unwrap().validate("house")
}

fn simulation(text: &str) -> simulated::Config {
    match config(&format!("kind = \"simulate\"\n{text}")).unwrap() {
        Validated::Simulate(config) => config,
        other => panic!("{other:?}"),
    }
}

fn fleet(config: &simulated::Config) -> &simulate::Plan {
    match &config.simulation {
        Simulation::Fleet(fleet) => fleet,
        other => panic!("{other:?}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    config(text).unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn spec_s_example_is_a_house_in_real_time() {
    let config = simulation("profile = \"temperature\"\nsensors = 10\ninterval = \"1s\"\nseed = 42");
    let fleet = fleet(&config);
    assert_eq!(fleet.profile, Profile::Temperature(Temperature::HOUSE));
    assert_eq!(fleet.prefix, "house-");
    assert_eq!((fleet.sensors, fleet.interval_micros, fleet.seed), (10, 1_000_000, 42));
    assert_eq!(
        (config.speed, config.count, fleet.faults_per_day),
        (Speed::REAL, None, 0.0)
    );
}

#[test]
fn the_device_form_is_seed_a_s_device() {
    let config = simulation("profile = \"temperature\"\nform = \"device\"");
    let fleet = fleet(&config);
    assert_eq!(fleet.profile, Profile::Temperature(Temperature::DEVICE));
    let mut line = Vec::new();
    let reading = simulate::Fleet::new(fleet, "2024-05-01T10:00:00.123456Z".parse().unwrap()).step(&mut Vec::new());
    wire::json::encode(&reading.unwrap(), None, &mut line);
    let line = String::from_utf8(line).unwrap();
    let value = line.split("\"value\":").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(
        line,
        format!(
            "{{\"timestamp\":\"2024-05-01 10:00:00.123456\",\"datatype\":\"Temperature\",\"value\":{value},\
             \"deviceid\":\"DHT_001\",\"date\":\"2024-05-01\",\"lowest_temp\":96,\"highest_temp\":101}}"
        )
    );
}

#[test]
fn a_profile_file_is_a_template_of_events_and_its_mistakes_name_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.toml");
    let text = format!("profile = {path:?}\nsensors = 3\nrate = 7.5\n");
    std::fs::write(&path, "kind = \"order\"\nrate = 1.0\n[event]\na = 1\n").unwrap();
    let Simulation::Events(events) = simulation(&text).simulation else {
        panic!("no events")
    };
    assert_eq!(
        (&*events.datatype, &*events.prefix, events.rate, events.sensors),
        ("order", "house-", 7.5, 3)
    );
    let refused = problems(&format!(
        "kind = \"simulate\"\n{text}mean = 1.0\nunit = \"%\"\ninterval = \"1s\"\n"
    ));
    assert_eq!(refused.len(), 3, "{refused:?}");
    std::fs::write(&path, "rate = 1.0\n[event]\na = { chioce = [1] }\n").unwrap();
    let refused = problems(&format!("kind = \"simulate\"\n{text}"));
    assert!(
        refused.concat().contains("shop.toml:3:") && refused.concat().contains("unknown field `chioce`"),
        "{refused:?}"
    );
    std::fs::remove_file(&path).unwrap();
    assert!(problems(&format!("kind = \"simulate\"\n{text}"))[0].contains("name a profile file that is there"));
    let Simulation::Events(sites) = simulation("profile = \"clickstream\"").simulation else {
        panic!("no events")
    };
    assert_eq!((&*sites.datatype, &*sites.prefix), ("clickstream", "site-"));
}

#[test]
fn every_key_belongs_to_a_kind_and_is_refused_under_another() {
    let names: Vec<&str> = EVERY_KEY
        .lines()
        .filter_map(|line| line.trim().split_once(" ="))
        .map(|(key, _)| key)
        .collect();
    let Value::Object(all) = serde_json::to_value(Settings::default()).unwrap() else {
        panic!()
    };
    assert_eq!(names.len() + 1, all.len(), "a key is missing here");
    let lists = [
        EVERY_KIND,
        SIMULATE,
        EVENTS,
        TEMPERATURE,
        WIND,
        REPLAY,
        STDIN,
        ADMISSION,
        http::http_config::KEYS,
        mqtt::KEYS,
    ]
    .concat();
    for name in &names {
        assert!(lists.contains(name), "{name} belongs to no kind");
    }
    let refused = problems(&format!("kind = \"stdin\"\n{EVERY_KEY}"));
    assert_eq!(refused.len(), names.len() - 5, "{refused:#?}");
    assert!(refused.contains(&"source.house.sensors = 10: is no key of kind = \"stdin\": remove it".into()));
    let refused = problems(&format!("kind = \"simulate\"\n{EVERY_KEY}"));
    let keys: Vec<&str> = refused
        .iter()
        .map(|problem| problem.split(" = ").next().unwrap())
        .collect();
    let mut others = ["gusts", "path", "rate", "scale", "sensor", "shape", "times"].to_vec();
    others.extend(ADMISSION);
    others.extend(http::http_config::KEYS);
    others.extend(mqtt::KEYS);
    others.sort();
    others.dedup();
    assert_eq!(
        keys,
        others
            .iter()
            .map(|key| format!("source.house.{key}"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn an_unknown_key_fails() {
    let error = toml::from_str::<Settings>("kind = \"stdin\"\nsensro = \"a\"")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2") && error.contains("sensro"), "{error}");
}

#[test]
fn an_unknown_kind_is_refused_with_those_there_are() {
    let error = toml::from_str::<Settings>("kind = \"coap\"").unwrap_err().to_string();
    assert!(
        error.contains("stdin, http or mqtt") && error.contains("line 1"),
        "{error}"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let found =
        problems("kind = \"simulate\"\nprofile = \"wind\"\nform = \"device\"\nlowest = 3\nmean = 1\nsensors = 200000");
    let keys: Vec<&str> = found
        .iter()
        .map(|problem| problem.split(" = ").next().unwrap())
        .collect();
    assert_eq!(
        keys,
        ["form", "mean", "sensors", "lowest"].map(|key| format!("source.house.{key}"))
    );
    assert_eq!(problems("").len(), 1);
    assert_eq!(problems("kind = \"simulate\"").len(), 1);
    assert!(
        problems("kind = \"simulate\"\nprofile = \"wind\"\nlowest = 3\nhighest = 2")[0].contains("above highest = 2")
    );
    let long = format!(
        "kind = \"simulate\"\nprofile = \"wind\"\nprefix = \"{}\"",
        "x".repeat(254)
    );
    assert!(problems(&long)[0].contains("257 bytes"));
    for text in ["kind = \"replay\"\npath = \"nyc_taxi\"", "kind = \"stdin\""] {
        let problems = problems(&format!("{text}\ndatatype = \"\""));
        assert!(
            problems.iter().any(|problem| problem.contains("the kind is empty")),
            "{problems:?}"
        );
    }
}

#[test]
fn a_replay_needs_a_regular_file_or_an_example() {
    let missing = problems("kind = \"replay\"\npath = \"no/such/file.csv\"");
    assert!(
        missing[0].contains("no/such/file.csv") && missing[0].contains("name a file that is there"),
        "{missing:?}"
    );
    assert!(problems("kind = \"replay\"")[0].contains("is missing"));
    assert!(problems("kind = \"replay\"\npath = \"/\"")[0].contains("regular file"));
    assert!(problems("kind = \"replay\"\npath = \"example:none\"")[0].contains("rds_cpu_utilization"));
    assert!(config("kind = \"replay\"\npath = \"example:rds_cpu_utilization\"").is_ok());
}

#[test]
fn times_follow_the_pace_unless_there_is_none() {
    let times = |rest: &str| match config(&format!(
        "kind = \"replay\"\npath = \"example:rds_cpu_utilization\"\n{rest}"
    )) {
        Ok(Validated::Replay(config)) => Some(config.times),
        _ => None,
    };
    assert_eq!(times(""), Some(Times::Shift));
    assert_eq!(times("speed = 60"), Some(Times::Shift));
    assert_eq!(times("speed = 60\ntimes = \"keep\""), Some(Times::Keep));
    assert_eq!(times("speed = \"max\""), Some(Times::Keep));
    assert_eq!(times("speed = \"max\"\ntimes = \"shift\""), None);
}
