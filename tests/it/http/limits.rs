//! Clients that are slow, silent or many, beside one that is good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::client::{Client, lines, post, post_to, reading};
use super::{Trial, eventually};

const HEAD: &[u8] = b"POST /readings HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n";

#[test]
fn who_is_too_slow_is_cut_off_by_name() {
    let trial = Trial::new("header_timeout = \"200ms\"\nbody_timeout = \"200ms\"\nidle_timeout = \"200ms\"");
    let mut half = Client::connect(trial.address);
    half.write(HEAD).write(b"{\"sensor\"");
    let answer = half.answer().unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (408, Some("close")),
        "{answer:?}"
    );
    assert!(
        answer.body.contains("body_timeout = 200ms") && half.is_closed(),
        "{answer:?}"
    );
    for beginning in [&b""[..], b"POST /readings HTT"] {
        let mut silent = Client::connect(trial.address);
        silent.write(beginning);
        let answer = silent.answer().unwrap();
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(
            answer.body.contains("header_timeout = 200ms") && silent.is_closed(),
            "{answer:?}"
        );
    }
    let mut idle = Client::connect(trial.address);
    assert_eq!(idle.post(&[], reading("a", 0).as_bytes()).status, 200);
    assert_eq!(idle.answer(), None, "closed without a word");
}

/// Slow-loris clients that send a header a while, bodies byte by byte, answers nobody reads: the good client's requests all
/// succeed, and in order.
#[test]
fn bad_clients_do_not_slow_a_good_one() {
    let trial = Trial::new("max_client_connections = 40\nheader_timeout = \"60s\"\nbody_timeout = \"60s\"");
    let address = trial.address;
    let over = Arc::new(AtomicBool::new(false));
    let mut bad = Vec::new();
    for number in 0..30 {
        let over = over.clone();
        bad.push(thread::spawn(move || {
            let mut client = Client::connect(address);
            let bytes: Box<dyn Iterator<Item = u8>> = match number % 3 {
                // Headers without end.
                0 => Box::new(
                    b"POST /readings HTTP/1.1\r\nx: "
                        .iter()
                        .copied()
                        .chain(std::iter::repeat(b'x')),
                ),
                // A body without end.
                1 => Box::new(post(&[], &[b' '; 1 << 20]).into_iter()),
                // Requests whose answers it does not read.
                _ => Box::new(std::iter::repeat_n(*b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n", 1_000).flatten()),
            };
            for byte in bytes {
                client.write(&[byte]);
                thread::yield_now();
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }));
    }
    let mut good = Client::connect(address);
    for number in 0..200 {
        let answer = good.post(&[], reading("good", number).as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    over.store(true, Ordering::Relaxed);
    bad.into_iter().for_each(|bad| bad.join().unwrap());
    let expected: Vec<_> = (0..200)
        .map(|number| reading("good", number).replace("Z\"", ".000000Z\""))
        .collect();
    assert_eq!(trial.delivered(), expected);
}

#[test]
fn connections_are_bounded_for_each_client() {
    let trial = Trial::new("max_client_connections = 2");
    let mut held: Vec<_> = (0..2).map(|_| Client::connect(trial.address)).collect();
    for client in &mut held {
        assert_eq!(client.post(&[], reading("a", 0).as_bytes()).status, 200);
    }
    let mut third = Client::connect(trial.address);
    let answer = third.post(&[], reading("a", 1).as_bytes());
    assert_eq!(
        (answer.status, answer.header("connection")),
        (429, Some("close")),
        "{answer:?}"
    );
    assert!(
        answer.body.contains("max_client_connections = 2") && third.is_closed(),
        "{answer:?}"
    );
    drop(held.pop());
    eventually("a place is free", || {
        post_to(trial.address, &[], reading("a", 1).as_bytes()).status == 200
    });
    assert_eq!(trial.delivered().len(), 3);
    let trial = Trial::new("max_connections = 1");
    let mut held = Client::connect(trial.address);
    assert_eq!(held.post(&[], reading("a", 0).as_bytes()).status, 200);
    let answer = post_to(trial.address, &[], reading("a", 1).as_bytes());
    assert!(
        answer.status == 503 && answer.body.contains("max_connections = 1"),
        "{answer:?}"
    );
}

/// Bytes are counted as they arrive: a client that declares much and sends little takes no room from others, one that sends
/// much has half of the room at most.
#[test]
fn bodies_under_way_are_bounded() {
    let trial = Trial::new("max_body = \"64KiB\"\nmax_bodies = \"256KiB\"");
    let head = "POST /readings HTTP/1.1\r\nhost: test\r\ncontent-length: 65536\r\n\r\n";
    let mut declared: Vec<_> = (0..10).map(|_| Client::connect(trial.address)).collect();
    for client in &mut declared {
        client.write(head.as_bytes());
    }
    assert_eq!(post_to(trial.address, &[], lines("a", 0..10).as_bytes()).status, 200);
    for client in &mut declared {
        client.write(&[b' '; 60_000]);
    }
    let refused: Vec<_> = declared
        .iter_mut()
        .skip(1)
        .filter_map(|client| client.write(&[b' '; 6_000]).answer())
        .collect();
    let told = |answer: &&super::client::Answer| answer.status == 429 && answer.body.contains("half of max_bodies");
    assert!(refused.iter().any(|answer| told(&answer)), "{refused:?}");
    drop(declared);
    eventually("the bodies are gone", || {
        post_to(trial.address, &[], lines("a", 10..20).as_bytes()).status == 200
    });
}

/// A reload exchanges limits, and no request is lost meanwhile: also on connections that were open before.
#[test]
fn a_reload_loses_no_request() {
    let mut trial = Trial::new("");
    let (address, over) = (trial.address, Arc::new(AtomicBool::new(false)));
    let posting: Vec<_> = ["kept", "new"]
        .map(|name| {
            let over = over.clone();
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut sent = 0;
                while !over.load(Ordering::Relaxed) {
                    if name == "new" {
                        client = Client::connect(address);
                    }
                    let answer = client.post(&[], reading(name, sent).as_bytes());
                    assert_eq!(answer.status, 200, "{answer:?}");
                    sent += 1;
                }
                sent
            })
        })
        .into();
    for limit in 1..=20 {
        let config = super::config(&format!("max_readings = {limit}"));
        std::fs::write(trial.file("config.toml"), config).unwrap();
        trial.daemon.signal("HUP");
        trial.daemon.logged("reloaded the sources");
    }
    over.store(true, Ordering::Relaxed);
    let sent: u32 = posting.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(trial.delivered().len(), sent as usize);
    let mut client = Client::connect(address);
    eventually("the last limit holds", || {
        let answer = client.post(&[], lines("a", 0..21).as_bytes());
        answer.body.contains("at most 20 at once")
    });
    // A port that is taken changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap();
    let config = super::config("").replace("127.0.0.1:0\"", &format!("{other}\""));
    std::fs::write(trial.file("config.toml"), config).unwrap();
    trial.daemon.signal("HUP");
    let said = trial.daemon.logged("not reloaded, keeping the current settings");
    assert!(
        said.contains(&format!("source.posts.listen: binding {other}: ")),
        "{said}"
    );
    assert_eq!(client.post(&[], reading("a", 0).as_bytes()).status, 200);
}

/// The port is bound before the daemon is ready; one that is taken is named with its key.
#[test]
fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = super::config("").replace("127.0.0.1:0\"", &format!("{address}\""));
    let mut daemon = super::Daemon::start(dir.path(), &config, None, &[]);
    assert_eq!(daemon.ended().code(), Some(1));
    let log = daemon.log.join("\n");
    assert!(
        log.contains(&format!("source.posts.listen: binding {address}: ")),
        "{log}"
    );
    assert!(log.contains("write another port here"), "{log}");
}
