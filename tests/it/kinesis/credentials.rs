//! Credentials that expire, change or cannot be had: waited for, and nothing is lost.

use std::path::Path;
use std::time::Duration;

use kinesis_fake::{Command, Config, Credentials, Metadata, Operation};

use super::Scene;
use crate::support::{Daemon, check_ledger, get};

const READINGS: u64 = 10_000;

fn scene() -> Scene {
    // The SDK renews credentials from five to ten seconds before their end on: these at every request.
    let session = Duration::from_secs(4);
    Scene::new(
        50,
        READINGS,
        Config {
            session,
            ..Config::default()
        },
    )
}

/// Nothing but the metadata service has credentials.
fn on_an_instance(scene: &Scene) -> Daemon {
    let url = scene.endpoint.url();
    let environment = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url),
    ];
    // The SDK asks the metadata service several times, which takes longer than the two seconds of the other tests.
    let config = scene.config("", "").replace("timeout = \"2s\"\n", "");
    Daemon::start(scene.path(), &config, Some(&url), &environment)
}

fn all_is_delivered(scene: &Scene, mut daemon: Daemon) {
    assert!(daemon.ended().success(), "{}", daemon.log.join("\n"));
    assert_eq!(daemon.counts()["delivered"], READINGS);
    check_ledger(&scene.ledger, &scene.readings, &[]);
}

#[test]
fn an_instances_credentials_are_renewed_before_they_expire() {
    let scene = scene();
    all_is_delivered(&scene, on_an_instance(&scene));
    let counters = scene.endpoint.counters();
    assert!(counters.callers[&Operation::PutRecords].len() > 1, "{counters:?}");
    assert!(counters.faults.is_empty(), "{counters:?}");
    assert_eq!(counters.metadata.without_token, 0, "{counters:?}");
}

#[test]
fn a_metadata_service_that_is_down_is_waited_for() {
    let scene = scene();
    scene.endpoint.apply(Command::Metadata(Metadata::Down)).unwrap();
    let mut daemon = on_an_instance(&scene);
    let address = daemon.address();
    let said = daemon.logged("waiting for the sink");
    assert!(
        said.contains("no_credentials") && said.contains("finding credentials"),
        "{said}"
    );
    assert_eq!(
        get(&address, "/readyz").0,
        "HTTP/1.1 200 OK",
        "it accepts while it waits"
    );
    scene.endpoint.apply(Command::Metadata(Metadata::Up)).unwrap();
    all_is_delivered(&scene, daemon);
}

/// Version 1 gives credentials to whoever can make the instance send a request: it is never asked.
#[test]
fn a_metadata_service_that_refuses_tokens_is_not_asked_without_one() {
    let scene = scene();
    scene.endpoint.apply(Command::Metadata(Metadata::WithoutToken)).unwrap();
    let mut daemon = on_an_instance(&scene);
    let said = daemon.logged("waiting for the sink");
    assert!(said.contains("no_credentials"), "{said}");
    let asked = scene.endpoint.counters().metadata;
    assert!(asked.tokens > 0, "{asked:?}");
    scene.endpoint.apply(Command::Metadata(Metadata::Up)).unwrap();
    all_is_delivered(&scene, daemon);
    let asked = scene.endpoint.counters().metadata;
    assert_eq!(asked.without_token, 0, "{asked:?}");
}

#[tokio::test]
async fn a_credentials_file_that_changes_is_read_again_once_the_old_ones_have_expired() {
    let scene = scene();
    let (endpoint, file) = (&scene.endpoint, scene.path().join("credentials"));
    write_credentials(&file, "AKIAFIRST");
    let environment = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()),
    ];
    let mut daemon = Daemon::start(scene.path(), &scene.config("", ""), Some(&endpoint.url()), &environment);
    endpoint.until(|counters| counters.accepted >= 100).await;
    endpoint.apply(Command::Credentials(Credentials::Expire)).unwrap();
    let said = daemon.logged("waiting for the sink");
    assert!(
        said.contains("expired_credentials") && !said.contains('{'),
        "a line for people: {said}"
    );
    write_credentials(&file, "AKIASECOND");
    all_is_delivered(&scene, daemon);
    let counters = endpoint.counters();
    let callers: Vec<_> = counters.callers[&Operation::PutRecords].iter().collect();
    assert_eq!(callers, ["AKIAFIRST", "AKIASECOND"]);
}

/// As whoever rotates them does it: nobody reads half of them.
fn write_credentials(file: &Path, key: &str) {
    let new = file.with_extension("new");
    let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}
