//! The aggregated format against its oracle, the PyPI package `aws_kinesis_agg`, both ways. The oracle ignores tags:
//! `aggregates.rs` tests those.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wire::aggregate::{Aggregate, deaggregate};
use wire::{Identity, ProducerId};

type UserRecord = (String, Option<String>, String);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kinesis_agg.py");

/// The oracle's answer to each line.
fn oracle(verb: &str, lines: &[String]) -> Vec<String> {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let path = format!("{}/kinesis_agg_{verb}.in", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, lines.join("\n")).unwrap();
    let output = Command::new(&python)
        .args([SCRIPT, verb])
        .stdin(Stdio::from(File::open(&path).unwrap()))
        .output()
        .unwrap_or_else(|error| panic!("running {python}: {error}: set PYTHON to a Python 3.10 or later"));
    assert!(
        output.status.success(),
        "{}: `{python} -m pip install -r requirements-test.txt` gives it what it needs; PYTHON names another Python",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let answers: Vec<_> = str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(String::from)
        .collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// Lengths on both sides of where a varint grows, and data of no particular kind.
fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..400),
        prop::sample::select(vec![0, 1, 117, 118, 127, 128, 16_377, 16_378, 16_383, 16_384, 25_000])
            .prop_map(|length| vec![7; length]),
    ]
}

/// Some hundred cases, the same in each run.
fn cases<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..200)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[test]
fn the_oracle_unpacks_what_we_pack() {
    let cases = cases(("\\PC{1,40}", any::<u128>(), any::<(u64, u64)>(), vec(data(), 1..12)));
    let mut records = Vec::new();
    let mut expected = Vec::new();
    for (partition_key, hash_key, (producer, number), user_records) in &cases {
        let identity = Identity {
            producer: ProducerId(*producer),
            number: *number,
        };
        let mut aggregate = Aggregate::new(partition_key, *hash_key, 1 << 20, identity);
        for data in user_records {
            aggregate.push(data).unwrap();
        }
        records.push(hex(&aggregate.seal()));
        let user_record = |data: &Vec<u8>| (partition_key.clone(), Some(hash_key.to_string()), hex(data));
        expected.push(user_records.iter().map(user_record).collect::<Vec<UserRecord>>());
    }
    let unpacked = oracle("unpack", &records);
    for (unpacked, expected) in unpacked.iter().zip(&expected) {
        assert_eq!(&serde_json::from_str::<Vec<UserRecord>>(unpacked).unwrap(), expected);
    }
}

#[test]
fn we_unpack_what_the_oracle_packs() {
    // Few keys and many records, so that records share table entries; some have no explicit hash key.
    let keys = (
        "[ab]",
        prop::option::of(prop::sample::select(vec!["0".to_owned(), u128::MAX.to_string()])),
    );
    let user_record = (keys, data()).prop_map(|((key, hash_key), data)| (key, hash_key, hex(&data)));
    let cases = cases(vec(user_record, 1..12));
    let lines: Vec<_> = cases.iter().map(|case| serde_json::to_string(case).unwrap()).collect();
    for (packed, expected) in oracle("pack", &lines).iter().zip(&cases) {
        let record = bytes(packed);
        let deaggregated = deaggregate(&record).unwrap();
        assert_eq!(deaggregated.identity(), None);
        let unpacked: Vec<UserRecord> = deaggregated
            .records()
            .map(Result::unwrap)
            .map(|user| {
                (
                    user.partition_key.into(),
                    user.explicit_hash_key.map(String::from),
                    hex(user.data),
                )
            })
            .collect();
        assert_eq!(&unpacked, expected);
    }
}
