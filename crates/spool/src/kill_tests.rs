//! A spool killed at any moment loses nothing that it acknowledged.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::tests::{all, keys, lane, open, record, store};

const DIR: &str = "TEMP_INGEST_TEST_SPOOL_DIR";
const PRODUCER: &str = "TEMP_INGEST_TEST_SPOOL_PRODUCER";
const KILLS: u64 = 20;

/// The process that the test below starts and kills: appends, removes, and prints which numbers are safe. Does nothing
/// without its variables.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(producer)) = (env::var(DIR), env::var(PRODUCER)) else {
        return;
    };
    let producer = producer.parse().unwrap();
    let (spool, _) = open(dir.as_ref());
    let mut number = 0;
    loop {
        let several = number % 3 + 1;
        store(
            &spool,
            (1..=several)
                .map(|more| record("a", producer, number + more, 700))
                .collect(),
        )
        .await;
        number += several;
        writeln!(io::stdout(), "safe {number}").unwrap();
        if number % 5 == 0 {
            let next = spool.next(&lane("a"), None, 20_000).await.unwrap();
            // Printed before the removal: a kill between the two leaves the record in the spool, which is allowed.
            for (_, (producer, number)) in next.records.iter().zip(keys(&next.records)) {
                writeln!(io::stdout(), "removed {producer} {number}").unwrap();
            }
            spool
                .remove(next.records.iter().map(|(position, _)| *position).collect())
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_each_of_twenty_kills() {
    let dir = TempDir::new().unwrap();
    let mut safe = Vec::new();
    let mut removed = Vec::new();
    for producer in 1..=KILLS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["kill_tests::child", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .env(PRODUCER, producer.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut last = 0;
        let mut heed = |line: &str| {
            // The kill may cut off a line.
            let words: Vec<_> = line.strip_suffix('\n').unwrap_or_default().split(' ').collect();
            match words[..] {
                ["safe", number] => last = number.parse().unwrap(),
                ["removed", producer, number] => removed.push((producer.parse().unwrap(), number.parse().unwrap())),
                _ => return false,
            }
            true
        };
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let mut heard = 0;
        while output.read_line(&mut line).unwrap() > 0 {
            heard += u64::from(heed(&line));
            line.clear();
            if heard == producer * 10 {
                child.kill().unwrap();
            }
        }
        assert!(heard >= producer * 10, "the child ended by itself");
        child.wait().unwrap();
        safe.extend((1..=last).map(|number| (producer, number)));

        let (spool, recovered) = open(dir.path());
        assert!(recovered.set_aside.is_none());
        let found = keys(&all(&spool, "a").await);
        assert!(found.is_sorted(), "producers count up here, so generations do");
        for key in &safe {
            assert!(
                found.contains(key) || removed.contains(key),
                "{key:?} is lost after kill {producer}"
            );
        }
    }
    assert!(safe.len() > 1000, "{} acknowledged", safe.len());
}
