//! The daemon as a subscriber of a real Mosquitto.

use std::path::Path;

use kinesis_fake::{Command, Config, Endpoint, Fault};

use crate::mosquitto::{Broker, certificates};
use crate::support::{Daemon, PATIENCE, check_ledger, conserved, get, metric, write_readings};

/// A daemon that reads messages of `sensors` from a broker at this URL into Kinesis.
fn config(url: &str, more: &str) -> String {
    format!(
        "sink = \"kinesis\"\nlinger = \"5ms\"\nlanes = 4\n[kinesis]\nstream = \"readings\"\ntimeout = \"1s\"\n\
         backoff_base = \"5ms\"\nbackoff_cap = \"50ms\"\n[source.broker]\nkind = \"mqtt\"\nservers = [\"{url}\"]\n\
         topics = [\"sensors\"]\nformat = \"reading\"\n{more}"
    )
}

fn endpoint(ledger: &Path) -> Endpoint {
    Endpoint::start(Config {
        ledger: Some(ledger.to_owned()),
        keep: false,
        ..Config::default()
    })
    .unwrap()
}

/// Waits until a metric, summed over its labels, is at least this.
fn until(daemon: &mut Daemon, address: &str, name: &str, least: f64) -> String {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let scrape = get(address, "/metrics").1;
        assert!(conserved(&scrape), "{scrape}");
        if metric(&scrape, name) >= least {
            return scrape;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{name} is never {least}:\n{scrape}"
        );
        assert!(daemon.child.try_wait().unwrap().is_none(), "{}", daemon.log.join("\n"));
    }
}

/// Waits until every message that was read, one reading each, is the pipeline's: a stop before that leaves them to the broker.
fn handed_over(daemon: &mut Daemon, address: &str) {
    let scrape = get(address, "/metrics").1;
    let line = scrape.lines().find(|line| line.contains("outcome=\"readings\""));
    let read = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    until(daemon, address, "temp_ingest_readings_produced_total", read);
}

/// Guarantee 3: while the sink does not answer, messages stay the broker's; after a SIGKILL they come again.
#[test]
fn nothing_is_acknowledged_before_it_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 5, 15);
    let broker = Broker::start("");
    let endpoint = endpoint(&ledger);
    endpoint
        .apply(Command::Chances([(Fault::TimeoutBefore, 1.0)].into()))
        .unwrap();
    // So patient that nothing goes to the spool meanwhile.
    let config = config(&broker.url("tcp"), "").replace("timeout = \"1s\"", "timeout = \"60s\"");
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    daemon.logged("connected to the broker");
    assert!(broker.publish("sensors", &readings).wait().unwrap().success());
    let scrape = until(&mut daemon, &address, "temp_ingest_readings_produced_total", 15.0);
    assert_eq!(metric(&scrape, "temp_ingest_readings_in_flight"), 15.0, "{scrape}");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    endpoint.apply(Command::Chances([].into())).unwrap();
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    let scrape = until(&mut daemon, &address, "temp_ingest_readings_delivered_total", 15.0);
    assert_eq!(metric(&scrape, "temp_ingest_readings_recovered_total"), 0.0, "{scrape}");
    // What is delivered is acknowledged: nothing comes a third time.
    broker.say("sensors", "the end", &[]);
    daemon.logged("the end");
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["produced"], 15);
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    daemon.logged("connected to the broker");
    broker.say("sensors", "once more", &[]);
    daemon.logged("once more");
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["produced"], 0);
    endpoint.stop();
    check_ledger(&ledger, &readings, &["--exactly-once"]);
}

/// Ten kills while messages come in: each that the broker accepted is delivered, in the order of its sensor.
async fn kills_lose_nothing(protocol: &str) {
    const KILLS: u64 = 10;
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 20, 10_000);
    let broker = Broker::start("");
    let faults = [
        (Fault::Partial, 0.1),
        (Fault::ResetAfter, 0.05),
        (Fault::Unavailable, 0.05),
    ];
    let endpoint = Endpoint::start(Config {
        chances: faults.into(),
        ledger: Some(ledger.clone()),
        keep: false,
        // So slow that the messages outlast the kills.
        throttle: Some(0.2),
        seed: 3,
        ..Config::default()
    })
    .unwrap();
    let config = config(&broker.url("tcp"), &format!("protocol = \"{protocol}\"\n"));
    let config = config.replace("timeout =", "target_bytes = 2048\ntimeout =");
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    daemon.logged("connected to the broker");
    let mut publisher = broker.publish("sensors", &readings);
    for kill in 0..KILLS {
        let wanted = endpoint.counters().accepted + 1 + 3 * kill;
        let reached = endpoint.until(|counters| counters.accepted >= wanted);
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
        daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    }
    assert!(publisher.wait().unwrap().success());
    let address = daemon.address();
    // The broker gives what it holds in order, so this comes after all.
    broker.say("sensors", "the end", &[]);
    daemon.logged("the end");
    until(&mut daemon, &address, "temp_ingest_malformed_total", 1.0);
    handed_over(&mut daemon, &address);
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["spooled"], 0, "{}", daemon.log.join("\n"));
    endpoint.stop();
    let report = check_ledger(&ledger, &readings, &["--allow-gaps"]);
    assert_eq!(report["distinct_readings"], 10_000, "{report}");
}

#[tokio::test]
async fn kills_lose_nothing_with_version_3() {
    kills_lose_nothing("3.1.1").await;
}

#[tokio::test]
async fn kills_lose_nothing_with_version_5() {
    kills_lose_nothing("5").await;
}

/// A broker that is not there is waited for, said once, and found again; what it was given meanwhile it gives us.
#[test]
fn a_broker_may_come_late_and_go_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 5, 200);
    let mut broker = Broker::start("");
    broker.stop();
    let endpoint = endpoint(&ledger);
    // The first server is never there.
    let url = broker.url("tcp");
    let config = config(&url, "").replace("servers = [", "servers = [\"tcp://127.0.0.1:1\", ");
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    assert_eq!(
        get(&address, "/readyz").0,
        "HTTP/1.1 200 OK",
        "it accepts while it waits"
    );
    let said = daemon.logged("cannot reach the MQTT broker");
    assert!(said.contains("tcp://127.0.0.1:1") && said.contains("refused"), "{said}");
    let scrape = until(&mut daemon, &address, "temp_ingest_mqtt_messages_total", 0.0);
    assert_eq!(metric(&scrape, "temp_ingest_mqtt_connected"), 0.0, "{scrape}");
    broker.start_again();
    daemon.logged("connected to the broker");
    until(&mut daemon, &address, "temp_ingest_mqtt_connected", 1.0);
    broker.stop();
    daemon.logged("cannot reach the MQTT broker");
    broker.start_again();
    let said = daemon.logged("connected to the broker");
    assert!(said.contains("session=true"), "{said}");
    until(&mut daemon, &address, "temp_ingest_mqtt_reconnects_total", 1.0);
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    // Nobody is there to hear it, and the broker is started anew in between.
    assert!(broker.publish("sensors", &readings).wait().unwrap().success());
    broker.stop();
    broker.start_again();
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    until(&mut daemon, &address, "temp_ingest_readings_delivered_total", 200.0);
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    endpoint.stop();
    check_ledger(&ledger, &readings, &["--exactly-once"]);
}

/// TLS both ways: the broker shows who it is, and so do we; without that it lets nobody in.
#[test]
fn certificates_are_asked_for_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 5, 100);
    certificates(dir.path());
    let files = dir.path().display().to_string();
    let tls = format!("cafile {files}/ca.pem\ncertfile {files}/server.pem\nkeyfile {files}/server.key\n");
    let broker = Broker::start(&format!("{tls}require_certificate true\n"));
    let endpoint = endpoint(&ledger);
    let url = broker.url("ssl");
    let trusting = format!("protocol = \"5\"\ntls_ca = \"{files}/ca.pem\"\n");
    let mut stranger = Daemon::start(dir.path(), &config(&url, &trusting), Some(&endpoint.url()), &[]);
    let said = stranger.logged("cannot reach the MQTT broker");
    assert!(said.contains("ertificate"), "{said}");
    drop(stranger);
    let mut wary = Daemon::start(dir.path(), &config(&url, ""), Some(&endpoint.url()), &[]);
    let said = wary.logged("cannot reach the MQTT broker");
    assert!(
        said.contains("agreeing on TLS") && said.contains("UnknownIssuer"),
        "{said}"
    );
    drop(wary);
    // Relative names are those of credentials, as systemd hands them over.
    let known = "tls_ca = \"ca.pem\"\ntls_cert = \"client.pem\"\ntls_key = \"client.key\"\nprotocol = \"5\"\n";
    let environment = [("CREDENTIALS_DIRECTORY", files.as_str())];
    let mut daemon = Daemon::start(dir.path(), &config(&url, known), Some(&endpoint.url()), &environment);
    let address = daemon.address();
    daemon.logged("connected to the broker");
    let options = ["--cafile", "--cert", "--key"];
    let paths = ["ca.pem", "client.pem", "client.key"].map(|name| format!("{files}/{name}"));
    let options: Vec<&str> = options
        .into_iter()
        .zip(&paths)
        .flat_map(|(option, path)| [option, path])
        .collect();
    for line in std::fs::read_to_string(&readings).unwrap().lines() {
        broker.say("sensors", line, &options);
    }
    until(&mut daemon, &address, "temp_ingest_readings_delivered_total", 100.0);
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    endpoint.stop();
    check_ledger(&ledger, &readings, &["--exactly-once"]);
}

/// A house of Zigbee2MQTT needs servers and devices, and here a password; a wrong one is named, and does not show.
#[test]
fn a_password_opens_a_house_of_devices() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::prepared("allow_anonymous false\npassword_file {dir}/users\n", |dir| {
        let users = dir.join("users");
        let made = std::process::Command::new("mosquitto_passwd")
            .args(["-c", "-b"])
            .arg(&users)
            .args(["house", "open sesame"])
            .status();
        assert!(made.expect("mosquitto_passwd is installed: make tools").success());
    });
    let password = dir.path().join("password");
    std::fs::write(&password, "let me in\n").unwrap();
    let config = format!(
        "sink = \"embedded\"\nlinger = \"20ms\"\n[source.house]\nkind = \"mqtt\"\ndevices = \"zigbee2mqtt\"\nservers = [\"{}\"]\n\
         username = \"house\"\npassword_file = {password:?}\n",
        broker.url("mqtt")
    );
    let mut daemon = Daemon::start(dir.path(), &config, None, &[]);
    let address = daemon.address();
    let said = daemon.logged("cannot reach the MQTT broker");
    assert!(
        said.contains("refuses the user name or password of \\\"house\\\""),
        "{said}"
    );
    assert!(!daemon.log.iter().any(|line| line.contains("let me in")));
    // The file is read at each try.
    std::fs::write(&password, "open sesame\n").unwrap();
    daemon.logged("connected to the broker");
    let login = ["-u", "house", "-P", "open sesame"];
    broker.say(
        "zigbee2mqtt/bath",
        r#"{"humidity":61,"linkquality":90,"temperature":23.5}"#,
        &login,
    );
    broker.say("zigbee2mqtt/bath/availability", r#"{"state":"online"}"#, &login);
    broker.say("zigbee2mqtt/bath", "{", &login);
    let said = daemon.logged("malformed message");
    assert!(said.contains("zigbee2mqtt/bath") && said.contains("EOF"), "{said}");
    until(&mut daemon, &address, "temp_ingest_readings_delivered_total", 2.0);
    until(&mut daemon, &address, "temp_ingest_mqtt_messages_total", 3.0);
    let scrape = until(&mut daemon, &address, "temp_ingest_malformed_total", 1.0);
    for series in [
        "temp_ingest_mqtt_messages_total{source=\"house\",outcome=\"readings\"} 1",
        "temp_ingest_mqtt_messages_total{source=\"house\",outcome=\"ignored\"} 1",
        "temp_ingest_mqtt_messages_total{source=\"house\",outcome=\"malformed\"} 1",
        "temp_ingest_malformed_total{source=\"house\"} 1",
    ] {
        assert!(scrape.contains(series), "no {series} in\n{scrape}");
    }
}

/// Two daemons share a subscription: each message goes to one of them.
#[test]
fn two_daemons_share_a_subscription() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (readings, ledger) = (
        dirs[0].path().join("readings.jsonl"),
        dirs[0].path().join("ledger.jsonl"),
    );
    write_readings(&readings, 200, 1_000);
    let broker = Broker::start("");
    let endpoint = endpoint(&ledger);
    let config = config(&broker.url("tcp"), "").replace("[\"sensors\"]", "[\"$share/ours/sensors\"]");
    let mut daemons = dirs.each_ref().map(|dir| {
        let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
        let address = daemon.address();
        daemon.logged("connected to the broker");
        (daemon, address)
    });
    assert!(broker.publish("sensors", &readings).wait().unwrap().success());
    let deadline = std::time::Instant::now() + PATIENCE;
    let delivered = loop {
        let delivered = daemons
            .each_ref()
            .map(|(_, address)| metric(&get(address, "/metrics").1, "temp_ingest_readings_delivered_total"));
        if delivered.iter().sum::<f64>() >= 1_000.0 || std::time::Instant::now() > deadline {
            break delivered;
        }
    };
    assert!(delivered.iter().all(|count| *count >= 100.0), "{delivered:?}");
    for (daemon, _) in &mut daemons {
        daemon.signal("TERM");
        assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    }
    endpoint.stop();
    // Order is promised by producer; here two share a sensor.
    let report = check_ledger(&ledger, &readings, &[]);
    assert_eq!(report["distinct_readings"], 1_000, "{report}");
}
