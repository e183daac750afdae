//! A long outage: what it takes on disk, and what becomes of it.

use kinesis_fake::{Command, Config};

use super::Scene;
use crate::support::{Daemon, check_ledger, get, metric};

/// A day of 1,000 readings a second.
const DAY: f64 = 86_400_000.0;

/// What a minute of 1,000 sensors takes says what a day takes, since records are full when they are spooled; afterwards
/// all of it is delivered, in order.
#[test]
fn a_day_without_the_stream_fits_into_a_gibibyte() {
    const READINGS: u64 = 60_000;
    let scene = Scene::new(1_000, READINGS, Config::default());
    let (endpoint, path) = (&scene.endpoint, scene.path());
    endpoint.apply(Command::Outage { millis: None }).unwrap();
    // Full records, as they are where nobody sets their size.
    let config = scene.config("grace = \"0ms\"", "").replace("target_bytes = 2048\n", "");
    let mut daemon = Daemon::start(path, &config, Some(&endpoint.url()), &[]);
    let address = daemon.address();
    let produced = |scrape: &str| metric(scrape, "temp_ingest_readings_produced_total") as u64;
    while produced(&get(&address, "/metrics").1) < READINGS {
        assert!(daemon.child.try_wait().unwrap().is_none(), "it waits");
    }
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["spooled"], READINGS);
    let on_disk = std::fs::metadata(path.join("state/spool/spool.db")).unwrap().len();
    let hours = (1_u64 << 30) as f64 / (on_disk as f64 / READINGS as f64 * DAY) * 24.0;
    assert!(
        hours > 24.0,
        "{hours:.1} hours in a gibibyte, {on_disk} bytes for {READINGS} readings"
    );

    endpoint.apply(Command::Recover).unwrap();
    let mut daemon = Daemon::start(path, &config, Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["recovered"], READINGS);
    scene.endpoint.stop();
    let report = check_ledger(&scene.ledger, &scene.readings, &["--exactly-once"]);
    assert_eq!(report["distinct_readings"], READINGS, "{report}");
}
