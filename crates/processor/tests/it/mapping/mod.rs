//! The handler and the outbox behind a model of their event source mappings, against a sequential oracle.

mod groups;
mod handling;
mod model;
mod oracle;
mod publisher;
mod random;
mod store;
mod stream;

use std::collections::BTreeMap;

use detect::{Event, Settings};
use processor::Message;
use processor::handler::Limits;
use processor::partition::{PartitionName, Stored};

use self::model::{Mapping, Outcome, process};
use self::oracle::Oracle;
use self::random::Random;
use self::store::{FaultRate, Shared, events_by_partition};
use self::stream::Record;

const SEEDS: u64 = 600;

fn settings() -> Settings {
    Settings {
        quiet: jiff::SignedDuration::from_secs(20).try_into().unwrap(),
        rates: serde_json::from_value(serde_json::json!({
            "clicks": {
                "count": {"action": "Click"}, "per": {"action": "Impression"}, "window": "4s", "lateness": "3s",
            },
        }))
        .unwrap(),
        ..Settings::default()
    }
}

/// Small, so that entries are cut, checkpoints written and warm partitions let go all the time.
fn limits(random: &mut Random, batch_size: usize) -> Limits {
    Limits {
        entry_bytes: 100 + random.below(400),
        checkpoint_ratio: random.below(3),
        checkpoint_entries: 1 + random.below(6) * random.below(6),
        checkpoint_bytes: 2_000 + 100_000 * random.below(2),
        // A record makes at most one entry of its partition.
        max_entries: 2 * batch_size,
        warm_bytes: random.below(4) * 6_000,
        open_bytes: random.below(4) * 20_000,
        tries: 1 + random.below(4) as u32,
    }
}

fn mapping(random: &mut Random) -> Mapping {
    let batch_size = 1 + random.below(20);
    Mapping {
        batch_size,
        parallelization: 1 + random.below(4),
        bisect: random.percent(50),
        max_retries: None,
        max_age: None,
        duplicates: 20,
        faults: FaultRate {
            errors: random.below(8) as u64,
            crashes: random.below(5) as u64,
        },
        limits: limits(random, batch_size),
    }
}

#[test]
fn equals_the_oracle_through_retries_overlaps_and_crashes() {
    let mut anomalies = 0;
    let mut messages = 0;
    let mut repeated = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let split = random.percent(50);
        let shards = stream::draw(&mut random, 40, split);
        let mapping = mapping(&mut random);
        let most_entries = mapping.limits.max_entries;
        let oracle = oracle::fold(&shards, &settings());
        let outcome = process(&shards, mapping, &settings(), random, Shared::default());
        assert!(outcome.destination.is_empty(), "seed {seed}: nothing is given up");
        check_partitions(seed, &oracle, &outcome, |_| true);
        repeated += check_told(seed, &oracle, &outcome, |_| true);
        assert!(
            outcome.counts.readings <= oracle.fresh,
            "seed {seed}: a reading counted twice"
        );
        let shared = outcome.shared.lock().unwrap();
        assert!(
            shared.most_entries() <= most_entries,
            "seed {seed}: more entries than a store keeps"
        );
        anomalies += shared.anomalies.len();
        messages += shared.told.len();
    }
    // Had nothing happened, nothing would be shown.
    assert!(
        anomalies > 10_000 && messages > 10_000 && repeated > 100,
        "{anomalies} {messages} {repeated}"
    );
}

#[test]
fn without_faults_every_message_is_told_once_and_every_reading_counted_once() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let shards = stream::draw(&mut random, 40, true);
        let mut mapping = mapping(&mut random);
        mapping.faults = FaultRate::default();
        // Of several entries of a partition some may be appended and the next lose a race: then they are not counted.
        mapping.limits.entry_bytes = 1_000_000;
        let oracle = oracle::fold(&shards, &settings());
        let outcome = process(&shards, mapping, &settings(), random, Shared::default());
        check_partitions(seed, &oracle, &outcome, |_| true);
        assert_eq!(check_told(seed, &oracle, &outcome, |_| true), 0, "seed {seed}");
        assert_eq!(outcome.counts.readings, oracle.fresh, "seed {seed}");
    }
}

#[test]
fn a_partition_that_always_fails_is_given_up_and_holds_nobody_else_up() {
    let mut given_up = 0;
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let shards = stream::draw(&mut random, 40, false);
        let mut mapping = mapping(&mut random);
        mapping.faults = FaultRate::default();
        // A partition that loses a race too often may be given up too.
        mapping.duplicates = 0;
        mapping.max_retries = random.percent(50).then_some(2);
        mapping.max_age = mapping.max_retries.is_none().then_some(60);
        // The partition of a lane, so that its records come in batches with others.
        let broken = PartitionName::of_key("4/1");
        let mut shared = Shared::default();
        shared.broken = Some(broken.clone());
        let outcome = process(&shards, mapping, &settings(), random, shared);
        let others = |partition: &str| partition != broken.as_str();
        let oracle = oracle::fold(&shards, &settings());
        check_partitions(seed, &oracle, &outcome, others);
        check_told(seed, &oracle, &outcome, others);
        let of_partition = |records: &[Record]| {
            let mut sequences: Vec<u128> = records
                .iter()
                .filter(|record| record.partition_key == "4/1")
                .map(|record| record.sequence)
                .collect();
            sequences.sort_unstable();
            sequences
        };
        let all: Vec<Record> = shards.into_iter().flatten().collect();
        assert_eq!(
            of_partition(&outcome.destination),
            of_partition(&all),
            "seed {seed}: all of the partition is given up, once"
        );
        given_up += outcome.destination.len();
    }
    assert!(given_up > 100, "{given_up}");
}

/// Each partition was moved exactly as the oracle's, event by event, and is stored so.
fn check_partitions(seed: u64, oracle: &Oracle, outcome: &Outcome, included: impl Fn(&str) -> bool) {
    let shared = outcome.shared.lock().unwrap();
    let committed = events_by_partition(&shared);
    for (partition, expected) in oracle.events.iter().filter(|(partition, _)| included(partition)) {
        assert_eq!(
            committed.get(partition),
            Some(expected),
            "seed {seed}: events of partition {partition}"
        );
    }
    for partition in committed.keys() {
        assert!(
            oracle.events.contains_key(partition),
            "seed {seed}: partition {partition} has invented events"
        );
    }
    for (name, expected) in oracle.partitions.iter().filter(|(partition, _)| included(partition)) {
        let stored = shared.stored(&PartitionName::of_key(name)).unwrap_or_default();
        assert_eq!(
            restore(&stored).encode(),
            expected.encode(),
            "seed {seed}: state of partition {name}"
        );
    }
}

/// Every anomaly and message of the oracle and no other; answers how many messages were told more than once.
fn check_told(seed: u64, oracle: &Oracle, outcome: &Outcome, included: impl Fn(&str) -> bool) -> usize {
    let shared = outcome.shared.lock().unwrap();
    let mut anomalies = BTreeMap::new();
    let mut messages: BTreeMap<String, usize> = BTreeMap::new();
    for (_, events) in oracle.events.iter().filter(|(partition, _)| included(partition)) {
        for event in events {
            match event {
                Event::Anomaly(anomaly) => {
                    anomalies.insert((anomaly.sensor.id().to_owned(), anomaly.time), anomaly.clone());
                }
                Event::Incident(transition) => {
                    messages.insert(Message::of(transition, "").text, 0);
                }
            }
        }
    }
    assert_eq!(shared.anomalies, anomalies, "seed {seed}");
    for message in &shared.told {
        let told = messages.get_mut(&message.text);
        *told.unwrap_or_else(|| panic!("seed {seed}: invented: {}", message.text)) += 1;
    }
    assert_eq!(shared.unmarked, [], "seed {seed}: all that was told is marked");
    let mut repeated = 0;
    for (text, times) in &messages {
        assert!(*times > 0, "seed {seed}: lost: {text}");
        let interrupted = shared
            .interrupted
            .iter()
            .filter(|message| message.text == *text)
            .count();
        assert!(
            *times <= 1 + interrupted,
            "seed {seed}: told again although it was marked: {text}"
        );
        repeated += times - 1;
    }
    repeated
}

fn restore(stored: &Stored) -> detect::Partition {
    let mut partition = match &stored.checkpoint {
        Some(checkpoint) => detect::Partition::decode(&checkpoint.state, u64::MAX).unwrap(),
        None => detect::Partition::new(),
    };
    for entry in &stored.entries {
        partition.replay(&entry.journal).unwrap();
    }
    partition
}
