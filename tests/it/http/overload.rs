//! More requests at once than the daemon can decode or hand over at once: they wait their turn.

use std::sync::{Arc, Barrier};
use std::thread;

use kinesis_fake::{Config, Endpoint};

use super::client::{Client, gzip, lines, post, reading};
use super::{eventually, listening};
use crate::control_group::ControlGroup;
use crate::support::{Daemon, PROGRAM, conserved, get, metric};

/// Together they take 128 MB of JSON and 512 MB as readings.
const BOMBS: usize = 128;
/// Vectors of one of them.
const VECTORS: u32 = 480;
/// The test ends when so many of them are taken.
const TAKEN: u32 = 8;

/// 480 vectors of 1,024 numbers: 1 MB of JSON, 4 MB in memory, 3 KB packed.
fn bomb() -> Vec<u8> {
    let numbers = vec!["0"; 1_024].join(",");
    let vector =
        format!("{{\"sensor\":\"v\",\"time\":\"2026-05-01T00:00:00Z\",\"kind\":\"k\",\"value\":[{numbers}]}}\n");
    gzip(vector.repeat(VECTORS as usize).as_bytes())
}

/// A daemon with the unit's memory gets more such bodies at once than would fit into it, and goes on to serve a client that
/// posts a reading at a time.
#[test]
fn bodies_that_unpack_to_much_do_not_exhaust_memory() {
    let Some(group) = ControlGroup::with_limits_of_unit() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config {
        keep: false,
        ..Config::default()
    });
    let endpoint = endpoint.unwrap();
    // The bodies themselves are not what is bounded here.
    let config = "sink = \"kinesis\"\nlinger = \"5ms\"\n[kinesis]\nstream = \"readings\"\n[source.posts]\n\
                  kind = \"http\"\nlisten = \"127.0.0.1:0\"\nmax_client_connections = 1000\nmax_bodies = \"512MiB\"\n";
    let mut daemon = Daemon::start_by(group.command(PROGRAM), dir.path(), config, Some(&endpoint.url()), &[]);
    let address = listening(&mut daemon);
    let bomb = bomb();
    assert!(bomb.len() < 4_096, "{}", bomb.len());
    let mut good = Client::connect(address);
    let request = post(&["content-encoding: gzip"], &bomb);
    let mut bad: Vec<_> = (0..BOMBS).map(|_| Client::connect(address)).collect();
    for client in &mut bad {
        client.write(&request);
    }
    let dashboard = daemon.address();
    let mut sent = 0;
    eventually("some of the large bodies are taken", || {
        let answer = good.write(&post(&[], reading("good", sent).as_bytes())).answer();
        sent += 1;
        let peak = group.peak_memory() >> 20;
        assert_eq!(group.oom_kills(), 0, "killed for want of memory, at {peak} MiB");
        assert_eq!(
            answer.map(|answer| answer.status),
            Some(200),
            "reading {sent}, at {peak} MiB"
        );
        let scrape = get(&dashboard, "/metrics").1;
        assert!(conserved(&scrape), "{scrape}");
        let produced = metric(&scrape, "temp_ingest_readings_produced_total");
        produced >= f64::from(sent + TAKEN * VECTORS)
    });
}

/// Many clients at once find room, each: an idle daemon refuses nobody, and what it answered is delivered.
#[test]
fn an_idle_daemon_refuses_nobody() {
    for (clients, readings, rounds) in [(20, 1, 150), (50, 100, 20)] {
        let trial = super::Trial::new("");
        let start = Arc::new(Barrier::new(clients));
        let posting: Vec<_> = (0..clients)
            .map(|client| {
                let (start, address) = (start.clone(), trial.address);
                thread::spawn(move || {
                    let mut connection = Client::connect(address);
                    let mut refused = Vec::new();
                    for round in 0..rounds {
                        start.wait();
                        let body = lines(&format!("s{client}"), round * readings..(round + 1) * readings);
                        let answer = connection.post(&[], body.as_bytes());
                        refused.extend((answer.status != 200).then_some(answer));
                    }
                    refused
                })
            })
            .collect();
        let refused: Vec<_> = posting.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let (requests, first) = (clients * rounds as usize, refused.first());
        assert!(
            refused.is_empty(),
            "{} of {requests} were refused: {first:?}",
            refused.len()
        );
        assert_eq!(trial.delivered().len(), requests * readings as usize);
    }
}
