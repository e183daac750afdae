//! A client that makes up names of sensors.

use super::client::{Client, reading};
use super::listening;
use crate::control_group::ControlGroup;
use crate::support::{Daemon, PROGRAM, conserved, get, metric};

/// Requests with so many new sensors each: 65,000 together.
const REQUESTS: u32 = 65;
const SENSORS: u32 = 1_000;
/// With its names as long as they may be.
const NAME: usize = 256;

/// A daemon with the unit's memory judges readings itself, and goes on to serve a client whose sensors it knows.
#[test]
fn made_up_sensors_neither_exhaust_memory_nor_hold_up_known_ones() {
    let Some(group) = ControlGroup::with_limits_of_unit() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = "sink = \"embedded\"\nlinger = \"5ms\"\n[source.posts]\nkind = \"http\"\nlisten = \"127.0.0.1:0\"\n\
                  max_new_sensors_per_hour = 9001\n";
    let mut daemon = Daemon::start_by(group.command(PROGRAM), dir.path(), config, None, &[]);
    let address = listening(&mut daemon);
    let dashboard = daemon.address();
    let (mut good, mut bad) = (Client::connect(address), Client::connect(address));
    let mut refused = 0;
    for request in 0..REQUESTS {
        let answer = good.post(&[], reading("good", request).as_bytes());
        let peak = group.peak_memory() >> 20;
        assert_eq!(group.oom_kills(), 0, "killed for want of memory, at {peak} MiB");
        assert_eq!(answer.status, 200, "request {request}, at {peak} MiB: {}", answer.body);
        let sensors = request * SENSORS..(request + 1) * SENSORS;
        let body: String = sensors
            .map(|sensor| reading(&format!("{sensor:0>NAME$}"), 0) + "\n")
            .collect();
        let answer = bad.post(&[], body.as_bytes());
        // The good one, and nine requests of others. Room for another thousand takes seven minutes.
        if request < 9 {
            assert_eq!(answer.status, 200, "{}", answer.body);
        } else {
            assert_eq!(answer.status, 429, "{}", answer.body);
            assert!(answer.header("retry-after").is_some(), "{}", answer.head);
            assert!(
                answer.body.contains("max_new_sensors_per_hour = 9001"),
                "{}",
                answer.body
            );
            refused += 1;
        }
    }
    let scrape = get(&dashboard, "/metrics").1;
    assert!(conserved(&scrape), "{scrape}");
    assert_eq!(
        metric(&scrape, "temp_ingest_readings_produced_total"),
        f64::from(9 * SENSORS + REQUESTS)
    );
    assert_eq!(metric(&scrape, "temp_ingest_http_overloads_total"), f64::from(refused));
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let logged = daemon
        .log
        .iter()
        .filter(|line| line.contains("refusing readings of new sensors"));
    assert!((1..3).contains(&logged.count()), "{}", daemon.log.join("\n"));
}
