//! A configuration that Kinesis refuses: waited for and said loudly, whatever code Kinesis gives.

use kinesis_fake::{Command, Config, Operation};

use super::Scene;
use crate::support::{Daemon, check_ledger, get, metric};

const READINGS: u64 = 2_000;

/// The stream of another account is refused as an invalid argument, as records are that nobody can take. All readings are
/// kept, and delivered once the stream is the right one.
#[tokio::test]
async fn a_wrong_stream_is_waited_for_and_nothing_is_dead_lettered() {
    let scene = Scene::new(20, READINGS, Config::default());
    let endpoint = &scene.endpoint;
    // Where the stream may not be described, it is the puts that are refused.
    endpoint
        .apply(Command::Deny(vec![Operation::DescribeStreamSummary]))
        .unwrap();
    let arn = |account: &str| format!("stream = \"arn:aws:kinesis:us-east-1:{account}:stream/readings\"");
    let config = |account| scene.config("grace = \"0ms\"\nbudget = \"1MiB\"", &arn(account));
    let mut daemon = Daemon::start(scene.path(), &config("999999999999"), Some(&endpoint.url()), &[]);
    let address = daemon.address();
    let said = daemon.logged("waiting for the sink, which needs a person");
    for words in [
        "ERROR",
        "invalid_request",
        "999999999999:stream/readings",
        "InvalidArgumentException",
        "correct kinesis.stream",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // The probe follows the log.
    let ready = loop {
        let ready = get(&address, "/readyz");
        if ready.1.contains("the sink accepts nothing: putting records into") {
            break ready;
        }
    };
    assert_eq!(ready.0, "HTTP/1.1 200 OK", "{ready:?}");
    let scrape = loop {
        let scrape = get(&address, "/metrics").1;
        if scrape.contains("temp_ingest_sink_failing{cause=\"configuration\"} 1\n")
            && metric(&scrape, "temp_ingest_readings_produced_total") as u64 == READINGS
        {
            break scrape;
        }
    };
    assert_eq!(
        metric(&scrape, "temp_ingest_readings_dead_lettered_total"),
        0.0,
        "{scrape}"
    );
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["spooled"], READINGS);

    let mut daemon = Daemon::start(scene.path(), &config("123456789012"), Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["dead_lettered"], 0);
    check_ledger(&scene.ledger, &scene.readings, &["--exactly-once"]);
}
