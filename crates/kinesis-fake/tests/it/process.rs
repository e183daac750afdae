//! The endpoint as a process of its own, changed over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{client, code, entries, put};

/// Ends the process with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status and the body of an answer to one request.
fn http(url: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: endpoint\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        serde_json::from_str(body).unwrap(),
    )
}

#[tokio::test]
async fn faults_are_changed_over_http_and_counts_told_at_the_end() {
    let child = Command::new(env!("CARGO_BIN_EXE_kinesis-fake"))
        .args(["--shards", "2", "--chance", "unavailable=1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let mut output = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let url = output.next().unwrap().unwrap();
    let client = client(&url);
    assert_eq!(
        code(&put(&client, entries(1)).await.unwrap_err()).0,
        "ServiceUnavailable"
    );
    let commands = json!([{ "chances": {} }, { "script": [{ "fault": "throttled" }] }, "create_stream"]);
    assert_eq!(http(&url, "POST", "/_control", &commands.to_string()).0, 200);
    assert_eq!(
        code(&put(&client, entries(1)).await.unwrap_err()).0,
        "ProvisionedThroughputExceededException"
    );
    put(&client, entries(2)).await.unwrap();
    let (status, counters) = http(&url, "GET", "/_control/counters", "");
    assert_eq!((status, &counters["accepted"]), (200, &json!(2)));
    assert_eq!(counters["faults"], json!({ "throttled": 1, "unavailable": 1 }));
    assert_eq!(counters["requests"], json!({ "PutRecords": 3 }));
    for wrong in [
        r#""no_such_command""#,
        r#"{"chances": {"partial": 2}}"#,
        r#"{"throttle": -1}"#,
        "{",
    ] {
        let (status, answer) = http(&url, "POST", "/_control", wrong);
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
    assert_eq!(http(&url, "GET", "/_control/nothing", "").0, 400);
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let told: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(told, counters);
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn a_wrong_flag_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_kinesis-fake"))
        .args(["--chance", "nonsense=1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"nonsense\" is no fault"));
}
