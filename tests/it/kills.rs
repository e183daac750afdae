//! Killed again and again: nothing that was delivered, spooled or read is lost.

use kinesis_fake::{Command, Config, Endpoint, Fault};

use crate::support::{Daemon, PATIENCE, check_ledger, write_readings};

const KILLS: u64 = 100;

/// The replay goes on where its readings were last safe, and the spool holds what it took: after 100 kills at any moment
/// every reading of the file is in the ledger, and no record has two contents.
#[tokio::test]
async fn a_hundred_kills_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (readings, ledger) = (dir.path().join("readings.jsonl"), dir.path().join("ledger.jsonl"));
    write_readings(&readings, 50, 20_000);
    let faults = [
        (Fault::Partial, 0.2),
        (Fault::ResetAfter, 0.1),
        (Fault::Unavailable, 0.1),
    ];
    let endpoint = Endpoint::start(Config {
        chances: faults.into(),
        ledger: Some(ledger.clone()),
        keep: false,
        // So slow that the file outlasts the kills.
        throttle: Some(0.04),
        seed: 5,
        ..Config::default()
    })
    .unwrap();
    // A budget this small sends much through the spool.
    let config = format!(
        "sink = \"kinesis\"\nlinger = \"5ms\"\nbudget = \"1MiB\"\nlanes = 4\n[kinesis]\nstream = \"readings\"\n\
         timeout = \"1s\"\ntarget_bytes = 2048\nbackoff_base = \"5ms\"\nbackoff_cap = \"50ms\"\n[source.file]\n\
         kind = \"replay\"\npath = {readings:?}\nspeed = \"max\"\n"
    );
    for kill in 0..KILLS {
        let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
        let accepted = endpoint.counters().accepted;
        // Each kill comes a little later in the daemon's life than the one before.
        let wanted = accepted + kill % 10;
        let reached = endpoint.until(|counters| counters.accepted >= wanted);
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
        assert!(
            daemon.child.try_wait().unwrap().is_none(),
            "kill {kill} comes too late: the daemon has ended"
        );
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
    }
    endpoint.apply(Command::Throttle(None)).unwrap();
    let mut daemon = Daemon::start(dir.path(), &config, Some(&endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    endpoint.stop();
    let report = check_ledger(&ledger, &readings, &["--allow-gaps"]);
    assert_eq!(report["distinct_readings"], 20_000, "{report}");
}
