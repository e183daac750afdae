//! Records put in the name of a role, as of another account.

use std::time::Duration;

use kinesis_fake::{Command, Config, Operation};

use super::Scene;
use crate::support::{Daemon, check_ledger};

const READINGS: u64 = 10_000;
const ROLE: &str = "arn:aws:iam::210987654321:role/put-readings";

fn scene() -> (Scene, String) {
    // The SDK renews credentials from five to ten seconds before their end on: these at every request.
    let session = Duration::from_secs(4);
    let scene = Scene::new(
        50,
        READINGS,
        Config {
            session,
            ..Config::default()
        },
    );
    let kinesis = format!(
        "stream = \"arn:aws:kinesis:us-east-1:123456789012:stream/readings\"\nrole_arn = \"{ROLE}\"\n\
         external_id = \"agreed-word\""
    );
    let config = scene.config("", &kinesis);
    (scene, config)
}

#[test]
fn records_are_put_in_its_name_by_sessions_renewed_before_they_expire() {
    let (scene, config) = scene();
    let mut daemon = Daemon::start(scene.path(), &config, Some(&scene.endpoint.url()), &[]);
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    check_ledger(&scene.ledger, &scene.readings, &["--exactly-once"]);
    let counters = scene.endpoint.counters();
    assert!(counters.faults.is_empty(), "{counters:?}");
    assert!(counters.sessions.len() > 1, "{counters:?}");
    for session in &counters.sessions {
        let expected = (ROLE, Some("agreed-word"), "test");
        let found = (&*session.role_arn, session.external_id.as_deref(), &*session.by);
        assert_eq!(found, expected);
        assert!(
            session.name.starts_with("temp-ingest-") && session.name.len() <= 64,
            "{session:?}"
        );
    }
    let callers = &counters.callers[&Operation::PutRecords];
    assert!(callers.iter().all(|key| key.starts_with("ASIAROLE")), "{callers:?}");
}

#[test]
fn a_role_that_may_not_be_assumed_is_said_with_who_asked_and_waited_for() {
    let (scene, config) = scene();
    scene
        .endpoint
        .apply(Command::Deny(vec![Operation::AssumeRole]))
        .unwrap();
    let mut daemon = Daemon::start(scene.path(), &config, Some(&scene.endpoint.url()), &[]);
    let said = daemon.logged("waiting for the sink");
    for words in [
        "no_credentials",
        ROLE,
        "assumed-role/temp-ingest/i-0123456789abcdef0",
        "sts:AssumeRole",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    scene.endpoint.apply(Command::Deny(Vec::new())).unwrap();
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    check_ledger(&scene.ledger, &scene.readings, &["--exactly-once"]);
}
