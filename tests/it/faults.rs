//! The daemon against an endpoint at fault, judged by the independent reader of the ledger.

use std::path::Path;

use kinesis_fake::{Command, Config, Endpoint, Fault};

use crate::support::{Daemon, check_ledger, conserved, get, metric, write_readings};

fn config(readings: &Path, more: &str) -> String {
    format!(
        "sink = \"kinesis\"\nlinger = \"20ms\"\n{more}\n[kinesis]\nstream = \"readings\"\ntimeout = \"1s\"\n\
         backoff_base = \"5ms\"\nbackoff_cap = \"100ms\"\n[source.file]\nkind = \"replay\"\npath = {readings:?}\n\
         speed = \"max\"\n"
    )
}

/// Guarantees 1 and 2: with 40 % of requests at fault nothing is lost, nothing out of order on first delivery, and what
/// the daemon counts as delivered is what the endpoint's ledger holds.
#[test]
fn a_hundred_thousand_readings_through_faults() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 200, 100_000);
    let faults = [
        (Fault::Partial, 0.16),
        (Fault::InternalFailure, 0.04),
        (Fault::Unavailable, 0.04),
        (Fault::Throttled, 0.04),
        (Fault::ResetBefore, 0.03),
        (Fault::ResetAfter, 0.03),
        (Fault::TimeoutAfter, 0.01),
        (Fault::Truncated, 0.03),
        (Fault::ExpiredToken, 0.02),
    ];
    let endpoint = Endpoint::start(Config {
        chances: faults.into(),
        ledger: Some(ledger.clone()),
        keep: false,
        seed: 11,
        ..Config::default()
    })
    .unwrap();
    // Small records, so that there are many requests to go wrong.
    let config = config(&readings, "budget = \"2MiB\"").replace("timeout =", "target_bytes = 8192\ntimeout =");
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let counts = daemon.counts();
    assert_eq!((counts["produced"], counts["delivered"]), (100_000, 100_000));
    let counters = endpoint.stop();
    let faulty: u64 = counters.faults.values().sum();
    assert!(faulty > 200, "{counters:?}");
    let report = check_ledger(&ledger, &readings, &[]);
    assert_eq!(report["distinct_readings"], 100_000, "{report}");
}

/// Kinesis' own throttling: more than a shard takes is refused record by record, and paced.
#[test]
fn throttled_by_shard_as_kinesis_does_it() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 200, 20_000);
    let endpoint = Endpoint::start(Config {
        throttle: Some(0.3),
        ledger: Some(ledger.clone()),
        keep: false,
        shards: 2,
        ..Config::default()
    })
    .unwrap();
    let mut daemon = Daemon::start(dir.path(), &config(&readings, ""), Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert!(endpoint.stop().throttled > 0);
    check_ledger(&ledger, &readings, &[]);
}

/// Guarantee 7: a stream that is missing is waited for, and said; then everything is delivered.
#[tokio::test]
async fn a_missing_stream_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 10, 1_000);
    let endpoint = Endpoint::start(Config {
        exists: false,
        ledger: Some(ledger.clone()),
        ..Config::default()
    })
    .unwrap();
    let mut daemon = Daemon::start(dir.path(), &config(&readings, ""), Some(&endpoint.url()), &[]);
    let address = daemon.address();
    let said = daemon.logged("waiting for the sink");
    assert!(said.contains("stream_missing") && said.contains("readings"), "{said}");
    assert_eq!(
        get(&address, "/readyz").0,
        "HTTP/1.1 200 OK",
        "it accepts while it waits"
    );
    let scrape = get(&address, "/metrics").1;
    assert!(conserved(&scrape), "{scrape}");
    assert_eq!(metric(&scrape, "temp_ingest_readings_delivered_total"), 0.0);
    endpoint.apply(Command::CreateStream).unwrap();
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    endpoint.stop();
    check_ledger(&ledger, &readings, &["--exactly-once"]);
}

/// A stream that ignores partition keys cannot keep order: refused by name, and what was read stays in the spool.
#[test]
fn a_stream_with_strategy_auto_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let readings = dir.path().join("readings.jsonl");
    write_readings(&readings, 10, 1_000);
    let endpoint = Endpoint::start(Config {
        strategy: kinesis_fake::Strategy::Auto,
        ..Config::default()
    })
    .unwrap();
    let mut daemon = Daemon::start(dir.path(), &config(&readings, ""), Some(&endpoint.url()), &[]);
    assert_eq!(daemon.ended().code(), Some(1));
    assert!(
        daemon
            .log
            .iter()
            .any(|line| line.contains("AUTO") && line.contains("readings")),
        "{:?}",
        daemon.log
    );
    assert_eq!(endpoint.stop().accepted, 0);
}

/// Guarantee 4: SIGTERM during an outage ends within the grace; what is left is first out after the next start.
#[test]
fn what_an_outage_holds_back_goes_first_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 10, 5_000);
    let endpoint = Endpoint::start(Config {
        ledger: Some(ledger.clone()),
        ..Config::default()
    })
    .unwrap();
    endpoint
        .apply(Command::Chances([(Fault::Unavailable, 1.0)].into()))
        .unwrap();
    let config = config(&readings, "grace = \"300ms\"");
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    daemon.logged("waiting for the sink");
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let first = daemon.counts();
    assert_eq!((first["delivered"], first["in_flight"]), (0, 0));
    assert!(first["spooled"] > 0, "{first:?}");
    endpoint.apply(Command::Chances([].into())).unwrap();
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["recovered"], first["spooled"]);
    endpoint.stop();
    check_ledger(&ledger, &readings, &[]);
}
