//! 2xx only once every reading is safe, and then for good.

use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

use kinesis_fake::{Command, Fault};

use super::client::{Client, lines, post_to, reading};
use super::{LANE, Trial, eventually};
use crate::support::{conserved, get, metric};

async fn hanging(trial: &Trial, requests: u64) {
    let reached = trial.endpoint.until(|counters| counters.hanging >= requests);
    tokio::time::timeout(crate::support::PATIENCE, reached).await.unwrap();
}

/// One reading, an array and lines, in both forms; each is at the endpoint once it is answered.
#[test]
fn what_is_answered_is_delivered() {
    let trial = Trial::new("");
    let device = r#"{"timestamp":"2024-05-01 10:00:00","datatype":"Temperature","value":97.3,"deviceid":"DHT_001","date":"2024-05-01"}"#;
    let mut client = Client::connect(trial.address);
    let array = format!("[{}, {device}]", reading("a", 1));
    for (kind, body, count, so_far) in [
        ("", reading("a", 0), 1, 1),
        ("application/json", array, 2, 3),
        ("application/x-ndjson", lines("a", 2..5), 3, 6),
        ("", lines("a", 5..7), 2, 8),
    ] {
        let kind = format!("content-type: {kind}");
        let answer = client.post(&[&kind], body.as_bytes());
        assert_eq!(
            (answer.status, answer.body.trim_end()),
            (200, &*format!("{{\"readings\":{count}}}")),
            "{answer:?}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(trial.delivered().len(), so_far);
    }
    // One after the other: in order.
    let of_a: Vec<_> = trial
        .delivered()
        .into_iter()
        .filter(|line| line.contains("\"sensor\":\"a\""))
        .collect();
    let expected: Vec<_> = (0..7)
        .map(|number| reading("a", number).replace("Z\"", ".000000Z\""))
        .collect();
    assert_eq!(of_a, expected);
}

/// While the endpoint says nothing the client hears nothing; then it does.
#[tokio::test]
async fn nothing_is_answered_before_it_is_delivered() {
    let trial = Trial::new("");
    trial.endpoint.apply(Command::Hang(LANE.into())).unwrap();
    let (answered, answers) = channel();
    let address = trial.address;
    thread::spawn(move || answered.send(post_to(address, &[], reading("a", 0).as_bytes())));
    hanging(&trial, 1).await;
    assert_eq!(answers.try_recv(), Err(TryRecvError::Empty));
    trial.endpoint.apply(Command::Release(LANE.into())).unwrap();
    assert_eq!(answers.recv().unwrap().status, 200);
    assert_eq!(trial.delivered().len(), 1);
}

/// While the endpoint is away readings are answered from the spool, and SIGKILL right after the answer loses none.
#[tokio::test]
async fn what_was_answered_from_the_spool_survives_a_kill() {
    let mut trial = Trial::new("");
    let unavailable = [(Fault::Unavailable, 1.0)].into();
    trial.endpoint.apply(Command::Chances(unavailable)).unwrap();
    let answer = post_to(trial.address, &[], lines("a", 0..100).as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(trial.delivered().len(), 0);
    trial.endpoint.apply(Command::Chances([].into())).unwrap();
    trial.kill_and_start();
    let reached = trial.endpoint.until(|counters| counters.accepted > 0);
    tokio::time::timeout(crate::support::PATIENCE, reached).await.unwrap();
    // What comes later is behind it.
    assert_eq!(post_to(trial.address, &[], reading("a", 100).as_bytes()).status, 200);
    assert_eq!(trial.delivered().len(), 101);
}

/// The same key while the request is under way waits for the same outcome; afterwards it answers the same; with another body
/// it is refused. The readings are handed over once.
#[tokio::test]
async fn a_key_is_taken_once() {
    let mut trial = Trial::new("reply_timeout = \"200ms\"");
    trial.endpoint.apply(Command::Hang(LANE.into())).unwrap();
    let (address, body) = (trial.address, lines("a", 0..3));
    let key = &["idempotency-key: first"];
    let late = post_to(address, key, body.as_bytes());
    assert_eq!((late.status, late.header("retry-after")), (503, Some("1")), "{late:?}");
    assert!(
        late.body.contains("reply_timeout = 200ms") && late.body.contains("same Idempotency-Key"),
        "{late:?}"
    );
    assert_eq!(
        post_to(address, key, body.as_bytes()).status,
        503,
        "it waits for the same"
    );
    let other = post_to(address, key, reading("b", 0).as_bytes());
    assert_eq!(other.status, 422, "{other:?}");
    assert!(
        other.body.contains("\"first\" was used before with another body"),
        "{other:?}"
    );
    trial.endpoint.apply(Command::Release(LANE.into())).unwrap();
    let mut answer = late;
    eventually("the key's readings are safe", || {
        answer = post_to(address, key, body.as_bytes());
        answer.status != 503
    });
    assert_eq!((answer.status, &*answer.body), (200, "{\"readings\":3}\n"));
    assert_eq!(post_to(address, key, body.as_bytes()), answer);
    assert_eq!(
        post_to(address, &["idempotency-key: second"], reading("a", 3).as_bytes()).status,
        200
    );
    assert_eq!(trial.delivered().len(), 4);
    // What is not taken may come again with anything.
    let third = &["idempotency-key: third"];
    assert_eq!(post_to(address, third, b"{}").status, 400);
    assert_eq!(post_to(address, third, reading("a", 4).as_bytes()).status, 200);
    let dashboard = trial.daemon.address();
    let scrape = get(&dashboard, "/metrics").1;
    assert!(conserved(&scrape), "{scrape}");
    assert_eq!(metric(&scrape, "temp_ingest_readings_produced_total"), 5.0);
    assert!(
        scrape.contains("temp_ingest_http_requests_total{source=\"posts\",status=\"422\"} 1\n"),
        "{scrape}"
    );
}

/// While memory and spool fill, a client waits for room as long as it would for its answer; once both are full, nothing more
/// is taken: at once, and said.
#[test]
fn a_client_is_asked_to_come_back_where_memory_and_spool_are_full() {
    let trial = Trial::new("reply_timeout = \"100ms\"\n[spool]\nmax_bytes = \"64KiB\"");
    let unavailable = [(Fault::Unavailable, 1.0)].into();
    trial.endpoint.apply(Command::Chances(unavailable)).unwrap();
    let body = lines("a", 0..2_000);
    let (mut taken, mut refused) = (0, None);
    let mut client = Client::connect(trial.address);
    eventually("memory and spool are full", || {
        let answer = client.post(&[], body.as_bytes());
        match answer.status {
            503 | 200 => taken += 1,
            _ if answer.body.contains("reply_timeout = 100ms") => assert_eq!(answer.header("connection"), None),
            _ => refused = Some(answer),
        }
        assert!(taken < 100, "nothing bounds what is taken");
        refused.is_some()
    });
    let refused = refused.unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1")),
        "{refused:?}"
    );
    assert!(
        refused.body.contains("memory and spool are full: nothing was accepted"),
        "{refused:?}"
    );
    assert!(taken > 0);
    // What is small is passed over, and the connection goes on; what is large ends it.
    assert!(
        refused.header("connection") == Some("close") && client.is_closed(),
        "{refused:?}"
    );
    let mut client = Client::connect(trial.address);
    for _ in 0..2 {
        assert_eq!(client.post(&[], reading("b", 0).as_bytes()).status, 429);
    }
    trial.endpoint.apply(Command::Chances([].into())).unwrap();
    // Taken, and perhaps answered too late: with a key it is not taken twice.
    let key = &["idempotency-key: b"];
    eventually("there is room again", || {
        client.post(key, reading("b", 0).as_bytes()).status == 200
    });
    let of_b = || trial.delivered().iter().filter(|line| line.contains("\"b\"")).count();
    eventually("what was safe in the spool is delivered", || of_b() == 1);
}

/// A stop: those under way get their answer, whoever comes gets 503 and a closed connection.
#[tokio::test]
async fn a_drain_answers_those_who_wait_and_nobody_else() {
    let mut trial = Trial::new("");
    trial.endpoint.apply(Command::Hang(LANE.into())).unwrap();
    let address = trial.address;
    let mut open = Client::connect(address);
    open.write(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(open.answer().unwrap().body, "temp-ingest is alive\n");
    let under_way = thread::spawn(move || post_to(address, &[], reading("a", 0).as_bytes()));
    hanging(&trial, 1).await;
    let mut half = Client::connect(address);
    half.write(b"POST /readings HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{");
    trial.daemon.signal("TERM");
    trial.daemon.logged("stopping: delivering");
    let cut_off = half.answer().unwrap();
    assert_eq!(
        (cut_off.status, cut_off.header("connection")),
        (503, Some("close")),
        "{cut_off:?}"
    );
    for mut client in [open, Client::connect(address)] {
        let answer = client.post(&[], reading("a", 1).as_bytes());
        assert_eq!(
            (answer.status, answer.header("connection")),
            (503, Some("close")),
            "{answer:?}"
        );
        assert!(answer.header("retry-after").is_some() && client.is_closed());
    }
    let mut health = Client::connect(address);
    assert_eq!(
        health
            .write(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n")
            .answer()
            .unwrap()
            .status,
        503
    );
    trial.endpoint.apply(Command::Release(LANE.into())).unwrap();
    assert_eq!(under_way.join().unwrap().status, 200);
    assert!(trial.daemon.ended().success(), "{}", trial.daemon.log.join("\n"));
    assert_eq!(trial.delivered().len(), 1);
}

/// A drain whose grace ends: what went to the spool is safe, and said so.
#[tokio::test]
async fn what_a_drain_spools_is_answered() {
    let mut trial = Trial::new("");
    let config = super::config("").replace("linger =", "grace = \"0s\"\nlinger =");
    trial.daemon.signal("TERM");
    assert!(trial.daemon.ended().success());
    trial.daemon = super::Daemon::start(trial.dir.path(), &config, Some(&trial.endpoint.url()), &[]);
    let address = super::listening(&mut trial.daemon);
    trial.endpoint.apply(Command::Hang(LANE.into())).unwrap();
    let under_way = thread::spawn(move || post_to(address, &[], reading("a", 0).as_bytes()));
    hanging(&trial, 1).await;
    trial.daemon.signal("TERM");
    assert_eq!(under_way.join().unwrap().status, 200);
    assert!(trial.daemon.ended().success(), "{}", trial.daemon.log.join("\n"));
    assert_eq!(trial.daemon.counts()["spooled"], 1);
}

/// A drain whose grace ends while the spool has no room: who waits hears that the readings are not safe.
#[tokio::test]
async fn what_cannot_be_saved_is_not_called_safe() {
    let mut trial = Trial::new("[spool]\nmax_bytes = \"1KiB\"");
    let config = super::config("[spool]\nmax_bytes = \"1KiB\"").replace("linger =", "grace = \"0s\"\nlinger =");
    trial.daemon.signal("TERM");
    assert!(trial.daemon.ended().success());
    trial.daemon = super::Daemon::start(trial.dir.path(), &config, Some(&trial.endpoint.url()), &[]);
    let address = super::listening(&mut trial.daemon);
    trial.endpoint.apply(Command::Hang(LANE.into())).unwrap();
    let under_way = thread::spawn(move || post_to(address, &[], lines("a", 0..2_000).as_bytes()));
    hanging(&trial, 1).await;
    trial.daemon.signal("TERM");
    let answer = under_way.join().unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (503, Some("close")),
        "{answer:?}"
    );
    assert!(
        answer.body.contains("ended before the readings were safe"),
        "{answer:?}"
    );
    assert_eq!(trial.daemon.ended().code(), Some(1));
    assert!(trial.daemon.log.join("\n").contains("readings could not be saved"));
}
