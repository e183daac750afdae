//! Who is refused, and what they are told.

use super::client::{Answer, Client, gzip, lines, post, post_to, reading};
use super::{Trial, eventually};
use crate::support::get;

fn ask(trial: &Trial, request: &str) -> Answer {
    let request = format!("{request} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    Client::connect(trial.address)
        .write(request.as_bytes())
        .answer()
        .unwrap()
}

#[test]
fn paths_and_methods_are_told() {
    let trial = Trial::new("");
    let unknown = ask(&trial, "POST /reading");
    assert_eq!(unknown.status, 404);
    assert!(
        unknown
            .body
            .contains("there is no /reading: post readings to /readings"),
        "{unknown:?}"
    );
    let wrong = ask(&trial, "GET /readings");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")), "{wrong:?}");
    let wrong = ask(&trial, "POST /healthz");
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET, HEAD")),
        "{wrong:?}"
    );
    assert_eq!(ask(&trial, "GET /healthz").status, 200);
}

/// A request is taken whole or not at all, and every wrong reading is named, ten at most.
#[test]
fn wrong_readings_are_named_and_nothing_is_taken() {
    let mut trial = Trial::new("");
    let good = reading("a", 0);
    let mut client = Client::connect(trial.address);
    let array = client.post(&[], format!("[{good}, 7, {{\"sensor\":\"a\"}}, {good}]").as_bytes());
    assert_eq!(array.status, 400);
    assert!(
        array
            .body
            .contains("reading [1]: a reading is not a JSON object but \"7\""),
        "{array:?}"
    );
    assert!(
        array
            .body
            .contains("reading [2]: a reading has no field `time`: send objects such as {"),
        "{array:?}"
    );
    assert!(
        array.body.ends_with("no reading of the request was accepted\n"),
        "{array:?}"
    );
    let warm = good.replace("\"value\":0", "\"value\":\"warm\"");
    let body = format!("{good}\n\n{}{good}\n", format!("{warm}\n").repeat(12));
    let told = client.post(&["content-type: application/x-ndjson"], body.as_bytes());
    assert_eq!(told.status, 400);
    assert!(told.body.starts_with("line 3: field `value` at byte "), "{told:?}");
    assert!(
        told.body
            .contains("is \"warm\": not a number: send one such as 97.3, without quotes\n"),
        "{told:?}"
    );
    assert!(
        told.body.contains("line 12: ") && !told.body.contains("line 13: "),
        "{told:?}"
    );
    assert!(told.body.contains("\nand 2 more\n"), "{told:?}");
    for body in ["", " \n ", "[]"] {
        let empty = client.post(&[], body.as_bytes());
        assert_eq!(empty.status, 400);
        assert!(empty.body.starts_with("there is no reading in it"), "{empty:?}");
    }
    let broken = client.post(&[], format!("[{good}").as_bytes());
    assert!(
        broken.status == 400 && broken.body.contains("not well-formed: EOF"),
        "{broken:?}"
    );
    assert_eq!(client.post(&[], good.as_bytes()).status, 200);
    let dashboard = trial.daemon.address();
    assert!(
        get(&dashboard, "/metrics")
            .1
            .contains("temp_ingest_readings_produced_total 1\n")
    );
}

#[test]
fn what_is_too_much_is_refused_by_name_and_value() {
    let trial = Trial::new("max_body = \"2MiB\"\nmax_readings = 5\nmax_headers = \"1KiB\"");
    let mut client = Client::connect(trial.address);
    let many = client.post(&[], lines("a", 0..6).as_bytes());
    assert_eq!(many.status, 413);
    assert!(
        many.body
            .contains("max_readings: there are more than 5 readings in it: send at most 5"),
        "{many:?}"
    );
    let long = format!("{{\"note\":\"{}\",{}", "x".repeat(1 << 20), &reading("a", 0)[1..]);
    let large = client.post(&[], format!("{}\n{long}", reading("a", 0)).as_bytes());
    assert_eq!(large.status, 413, "{large:?}");
    let told = format!("line 2 takes {} bytes, and a reading may take 1047552", long.len());
    assert!(
        large.body.contains(&told) && large.body.contains("a record of the stream holds"),
        "{large:?}"
    );
    // As declared, and as it arrives.
    let body = vec![b' '; (2 << 20) + 1];
    let chunked = [
        b"POST /readings HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n200001\r\n",
        &*body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for request in [post(&[], &body), chunked] {
        let answer = Client::connect(trial.address).write(&request).answer().unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (413, Some("close")),
            "{answer:?}"
        );
        assert!(answer.body.contains("max_body = 2097152 bytes"), "{answer:?}");
    }
    for (bytes, told) in [(1_100, "and max_headers is 1024"), (100_000, "")] {
        let header = format!("x-long: {}", "x".repeat(bytes));
        let answer = post_to(trial.address, &[&header], b"{}");
        assert_eq!(answer.status, 431);
        assert!(answer.body.contains(told), "{answer:?}");
    }
    assert_eq!(trial.delivered().len(), 0);
    assert_eq!(post_to(trial.address, &[], lines("a", 0..5).as_bytes()).status, 200);
}

#[test]
fn gzip_is_unpacked_as_far_as_there_is_room() {
    let trial = Trial::new("");
    let mut client = Client::connect(trial.address);
    let encoding = "content-encoding: gzip";
    assert_eq!(
        client.post(&[encoding], &gzip(lines("a", 0..1_000).as_bytes())).status,
        200
    );
    assert_eq!(trial.delivered().len(), 1_000);
    let wrong = client.post(&[encoding], b"[]");
    assert!(
        wrong.status == 400 && wrong.body.contains("the body is not gzip: "),
        "{wrong:?}"
    );
    let bomb = gzip(&vec![b' '; 100 << 20]);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let refused = client.post(&[encoding], &bomb);
    assert_eq!(refused.status, 413);
    assert!(
        refused.body.contains("max_body = 1048576 bytes unpacked"),
        "{refused:?}"
    );
    let unknown = post_to(trial.address, &["content-encoding: br"], b"x");
    assert_eq!(
        (unknown.status, unknown.header("accept-encoding")),
        (415, Some("gzip, identity")),
        "{unknown:?}"
    );
    let unknown = post_to(trial.address, &["content-type: text/csv"], b"x");
    assert_eq!(unknown.status, 415);
    assert!(
        unknown
            .body
            .contains("\"text/csv\" is not supported: send application/json"),
        "{unknown:?}"
    );
    let key = format!("idempotency-key: {}", "k".repeat(256));
    let long = post_to(trial.address, &[&key], b"{}");
    assert!(long.status == 400 && long.body.contains("has 256 bytes"), "{long:?}");
}

/// Only who knows a token is let in; the file is read again on a reload; no token is ever logged.
#[test]
fn only_who_knows_a_token_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "first-secret\nsecond-secret\n").unwrap();
    // Looked for among the unit's credentials.
    let mut trial = Trial::with(dir, "token_file = \"tokens\"");
    let send = |trial: &Trial, headers: &[&str]| post_to(trial.address, headers, reading("a", 0).as_bytes());
    for headers in [
        &[][..],
        &["authorization: Bearer wrong-secret"],
        &["authorization: Basic first-secret"],
    ] {
        let answer = send(&trial, headers);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"temp-ingest\""));
    }
    assert_eq!(send(&trial, &["authorization: Bearer second-secret"]).status, 200);
    let mut open = Client::connect(trial.address);
    assert_eq!(
        open.post(&["authorization: Bearer first-secret"], reading("a", 1).as_bytes())
            .status,
        200
    );
    std::fs::write(&file, "second-secret\nthird-secret\n").unwrap();
    trial.daemon.signal("HUP");
    trial.daemon.logged("reloaded the sources");
    eventually("the new token is known", || {
        send(&trial, &["authorization: Bearer third-secret"]).status == 200
    });
    // Also on a connection that was open before.
    assert_eq!(
        open.post(&["authorization: Bearer first-secret"], reading("a", 2).as_bytes())
            .status,
        401
    );
    assert_eq!(send(&trial, &["authorization: Bearer second-secret"]).status, 200);
    // A file that lets nobody in changes nothing.
    std::fs::write(&file, "\n").unwrap();
    trial.daemon.signal("HUP");
    let said = trial.daemon.logged("keeping the current settings");
    trial.daemon.logged("holds no token");
    assert!(!said.contains("secret"), "{said}");
    assert_eq!(send(&trial, &["authorization: Bearer third-secret"]).status, 200);
    trial.daemon.signal("TERM");
    assert!(trial.daemon.ended().success());
    let log = trial.daemon.log.join("\n");
    assert!(
        log.contains("refused") && log.contains("status=401") && log.contains("client=127.0.0.1:"),
        "{log}"
    );
    assert!(!log.contains("-secret"), "{log}");
}
