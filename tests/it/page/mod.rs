//! The page of a real daemon, in a real browser and from programs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use kinesis_fake::{Config, Endpoint};

use crate::support::{Daemon, check_ledger, get, write_readings};

const TOKEN: &str = "a-token-of-the-test";

/// Ten sensors at sixty times real time: about two fail a second.
const HOUSE: &str = "sink = \"embedded\"\nlinger = \"20ms\"\n[source.house]\nkind = \"simulate\"\nprofile = \"temperature\"\n\
    sensors = 10\nspeed = 60\nfaults = 288\nseed = 22\n[source.posts]\nkind = \"http\"\nlisten = \"127.0.0.1:0\"\n\
    [source.clicks]\nkind = \"simulate\"\nprofile = \"clickstream\"\n";

/// A daemon whose page knows the token.
fn daemon(dir: &Path, config: &str, endpoint: Option<&str>) -> Daemon {
    let tokens = dir.join("tokens");
    std::fs::write(&tokens, format!("{TOKEN}\n")).unwrap();
    let config = format!("{config}[dashboard]\ntoken_file = {tokens:?}\n");
    Daemon::start(dir, &config, endpoint, &[])
}

/// Goes through the steps for such a daemon in a browser.
fn browse(steps: &str, daemon: &mut Daemon) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = std::env::var_os("PAGE_TOOLS").map_or_else(|| root.join("target/tools/page"), Into::into);
    assert!(
        modules.join("node_modules/playwright-core").is_dir(),
        "{} has no playwright-core: `make test` installs it",
        modules.display()
    );
    let status = Command::new("node")
        .arg(root.join("tests/it/page/browse.mjs"))
        .args([
            steps.as_ref(),
            modules.as_os_str(),
            daemon.address().as_ref(),
            TOKEN.as_ref(),
        ])
        .args(std::env::var_os("PAGE_SHOTS"))
        .status()
        .unwrap();
    assert!(status.success());
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
}

#[test]
fn people_look_on_and_change_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    browse("house", &mut daemon(dir.path(), HOUSE, None));
}

#[test]
fn people_name_a_stream_and_send_data_there() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(Config::default()).unwrap();
    let config = "sink = \"kinesis\"\nlinger = \"20ms\"\n[kinesis]\nstream = \"readings\"\n[source.farm]\nkind = \"simulate\"\n\
                  profile = \"wind\"\nsensors = 5\ninterval = \"100ms\"\n";
    browse("stream", &mut daemon(dir.path(), config, Some(&endpoint.url())));
}

/// What a program sends with a token: the status and what it is told.
fn post(address: &str, path: &str, token: &str, form: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), body.to_owned())
}

/// A daemon takes up another name of its stream in the middle of a file: all of it arrives, once and in order.
#[tokio::test]
async fn another_stream_is_taken_up_and_nothing_is_lost() {
    const READINGS: u64 = 30_000;
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 200, READINGS);
    let endpoint = Endpoint::start(Config {
        shards: 2,
        ledger: Some(ledger.clone()),
        keep: false,
        ..Config::default()
    })
    .unwrap();
    let config = format!(
        "sink = \"kinesis\"\nlinger = \"20ms\"\n[kinesis]\nstream = \"readings\"\ntarget_bytes = 2048\n\
         [source.file]\nkind = \"replay\"\npath = {readings:?}\nspeed = \"max\"\n"
    );
    let mut daemon = daemon(dir.path(), &config, Some(&endpoint.url()));
    let address = daemon.address();
    endpoint.until(|counters| counters.accepted >= 200).await;
    for (wrong, why) in [
        ("no+stream", "is not a stream"),
        ("", "is not a stream"),
        ("%24%7BSTREAM%7D", "placeholder"),
        ("arn:aws:kinesis:eu-central-1:12345:stream/readings", "not an account"),
    ] {
        let (status, said) = post(&address, "/stream", TOKEN, &format!("stream={wrong}"));
        assert!(status == "422" && said.contains(why), "{status} {said}");
    }
    let (status, _) = post(&address, "/stream", "wrong", "stream=other");
    assert_eq!(status, "403");
    let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/readings";
    let (status, said) = post(&address, "/stream", TOKEN, &format!("stream={arn}"));
    assert!(
        status == "200" && said.contains("draining, then restarting with the stream"),
        "{status} {said}"
    );
    daemon.logged("restarting with the settings of the dashboard");
    daemon.logged("metrics=http://");
    let (status, page) = get(&address, "/");
    assert!(
        status.contains("200") && page.contains(arn),
        "the same port shows the new daemon: {page}"
    );
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    let delivered: u64 = daemon
        .log
        .iter()
        .filter(|line| line.contains(" ended produced="))
        .filter_map(|line| line.split("delivered=").nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(delivered, READINGS);
    let producers = daemon.log.iter().filter(|line| line.contains("producer=")).count();
    assert_eq!(producers, 2, "it was started twice");
    check_ledger(&ledger, &readings, &[]);
}
