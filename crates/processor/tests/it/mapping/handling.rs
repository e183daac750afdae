//! What the handler promises by itself: cancellation, decode failures, names of partitions, seeding after a change of
//! lanes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use detect::Settings;
use processor::handler::{Counts, Handled, Handler, Limits};
use processor::partition::PartitionName;
use processor::{KinesisRecord, SequenceNumber};
use wire::aggregate::Aggregate;
use wire::{Identity, LaneName, ProducerId, Reading, Sensor, Value, json};

use super::oracle;
use super::random::Random;
use super::restore;
use super::store::{FaultRate, Sandbox, Shared};
use super::stream::{self, Record, at};

fn handler(shared: &Arc<Mutex<Shared>>) -> Handler<Sandbox> {
    let (sandbox, _) = Sandbox::new(shared, Random::new(1), FaultRate::default());
    Handler::new(sandbox, Settings::default(), Limits::default())
}

fn finish<T>(run: impl Future<Output = T>) -> T {
    let mut run = pin!(run);
    loop {
        if let Poll::Ready(value) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Polls at most this many times; true if it ended before.
fn give_up_after(polls: usize, run: impl Future) -> bool {
    let mut run = pin!(run);
    (0..polls).any(|_| run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
}

fn events(records: &[Record]) -> Vec<KinesisRecord<'_>> {
    records.iter().map(Record::event).collect()
}

fn aggregate(key: &str, number: u64, data: &[Vec<u8>]) -> Vec<u8> {
    let identity = Identity {
        producer: ProducerId(9),
        number,
    };
    let mut aggregate = Aggregate::new(key, 0, 1_000_000, identity);
    for data in data {
        aggregate.push(data).unwrap();
    }
    aggregate.seal()
}

fn reading(sensor: &str, second: i64) -> Vec<u8> {
    let sensor = Arc::new(Sensor::new(sensor, "temperature"));
    let mut bytes = Vec::new();
    let reading = Reading::new(sensor, at(second * 1_000_000), Value::Scalar(20.0)).unwrap();
    json::encode(&reading, None, &mut bytes);
    bytes
}

fn one<'a>(sequence: u128, partition_key: &'a str, data: &'a [u8]) -> KinesisRecord<'a> {
    KinesisRecord {
        shard: "shard",
        sequence: sequence.into(),
        partition_key,
        arrival: at(0),
        data,
    }
}

#[test]
fn may_be_given_up_at_any_moment_and_called_again() {
    let shards = stream::draw(&mut Random::new(5), 60, false);
    let settings = Settings::default();
    let oracle = oracle::fold(&shards, &settings);
    let mut polls = 0;
    loop {
        let shared = Arc::<Mutex<Shared>>::default();
        let mut handler = handler(&shared);
        let (first, second) = shards[0].split_at(30);
        finish(handler.handle(&events(first)));
        let ended = give_up_after(polls, handler.handle(&events(second)));
        assert_eq!(finish(handler.handle(&events(second))).failed, None);
        let shared = shared.lock().unwrap();
        for (name, partition) in &oracle.partitions {
            let stored = shared.stored(&PartitionName::of_key(name)).unwrap();
            assert_eq!(
                restore(&stored).encode(),
                partition.encode(),
                "partition {name}, given up after {polls}"
            );
        }
        if ended {
            break;
        }
        polls += 1;
    }
    assert!(polls > 5, "there were moments to give up at");
}

#[test]
fn poison_is_counted_with_its_reason_and_skipped_inside_its_aggregate() {
    let shared = Arc::<Mutex<Shared>>::default();
    let mut handler = handler(&shared);
    let readings = [reading("a", 1), b"{}".to_vec(), b"\xff".to_vec(), reading("a", 2)];
    let mixed = aggregate("4/0", 1, &readings);
    let handled = finish(handler.handle(&[one(1, "4/0", &mixed), one(2, "k", b"nonsense")]));
    assert_eq!(handled.failed, None);
    assert_eq!(handled.counts.readings, 2);
    let decode_failures = BTreeMap::from([("missing_field", 1), ("not_utf8", 1), ("not_an_object", 1)]);
    assert_eq!(handled.counts.decode_failures, decode_failures);
    // Delivered again, the record is repeated as a whole; what named no partition cannot be recognised.
    let handled = finish(handler.handle(&[one(1, "4/0", &mixed)]));
    let expected = Counts {
        repeated_records: 1,
        ..Counts::default()
    };
    assert_eq!(handled.counts, expected);
}

#[test]
fn poison_behind_the_failed_record_is_counted_when_it_is_handled() {
    let shared = Arc::<Mutex<Shared>>::default();
    shared.lock().unwrap().broken = Some(PartitionName::of_key("4/0"));
    let mut handler = handler(&shared);
    let record = aggregate("4/0", 1, &[reading("a", 1)]);
    let event = [one(1, "k", b"x"), one(2, "4/0", &record), one(3, "k", b"y")];
    let handled = finish(handler.handle(&event));
    assert_eq!(handled.failed, Some(SequenceNumber::from(2)));
    assert_eq!(handled.counts.decode_failures.values().sum::<u64>(), 1);
    assert_eq!((handled.counts.readings, handled.counts.failed_partitions), (0, 1));
    shared.lock().unwrap().broken = None;
    let Handled { failed, counts, .. } = finish(handler.handle(&event[1..]));
    assert_eq!((failed, counts.readings), (None, 1));
    assert_eq!(counts.decode_failures.values().sum::<u64>(), 1);
}

#[test]
fn the_lowest_failed_record_is_answered_and_other_partitions_go_on() {
    let shared = Arc::<Mutex<Shared>>::default();
    shared.lock().unwrap().broken = Some(PartitionName::of_key("4/1"));
    let records = [
        aggregate("4/0", 1, &[reading("a", 1)]),
        aggregate("4/1", 1, &[reading("b", 1)]),
        aggregate("4/1", 2, &[reading("b", 2)]),
        aggregate("4/2", 1, &[reading("c", 1)]),
    ];
    let keys = ["4/0", "4/1", "4/1", "4/2"];
    let event: Vec<_> = (7..)
        .zip(keys)
        .zip(&records)
        .map(|((n, key), data)| one(n, key, data))
        .collect();
    let handled = finish(handler(&shared).handle(&event));
    assert_eq!(handled.failed, Some(SequenceNumber::from(8)));
    assert_eq!(handled.counts.readings, 2);
}

#[test]
fn a_record_delivered_again_is_known_when_its_producer_is_forgotten() {
    let shared = Arc::<Mutex<Shared>>::default();
    let old = aggregate("4/0", 1, &[reading("a", 1)]);
    let identity = Identity {
        producer: ProducerId(10),
        number: 1,
    };
    let mut other = Aggregate::new("4/0", 0, 1_000_000, identity);
    other.push(&reading("b", 1)).unwrap();
    let other = other.seal();
    let two_days = at(2 * 86_400_000_000);
    let later = |sequence, shard, data| KinesisRecord {
        shard,
        arrival: two_days,
        ..one(sequence, "4/0", data)
    };
    finish(handler(&shared).handle(&[one(1, "4/0", &old), later(2, "shard", &other)]));
    // A new sandbox: it knows of the shard only what is stored. In another shard it would be somebody else's record.
    for (shard, expected) in [("shard", (1, 0)), ("sibling", (0, 1))] {
        let counts = finish(handler(&shared).handle(&[later(1, shard, &old)])).counts;
        assert_eq!((counts.repeated_records, counts.late), expected, "{shard}");
    }
}

#[test]
fn what_others_wrote_names_its_partition_by_series() {
    let shared = Arc::<Mutex<Shared>>::default();
    let plain = reading("probe", 1);
    let ephemeral = reading("probe", 2);
    let handled = finish(handler(&shared).handle(&[one(1, "8f3a", &plain), one(2, "11c2", &ephemeral)]));
    assert_eq!(handled.counts.readings, 2);
    let shared = shared.lock().unwrap();
    assert_eq!(
        shared.stored(&PartitionName::of_series("probe")).unwrap().entries.len(),
        1
    );
    assert!(shared.stored(&PartitionName::of_key("8f3a")).is_none());
}

/// The lane a sensor has where there are so many.
fn lane(sensor: &str, lanes: u32) -> String {
    LaneName::of(Sensor::new(sensor, "temperature").hash(), lanes).to_string()
}

#[test]
fn a_new_lane_begins_with_what_others_knew_of_its_sensors() {
    let sensors: Vec<String> = (0..40).map(|n| format!("sensor-{n}")).collect();
    // 4 lanes, then 16, then 2: each time, a reading that was sent before must be late.
    let shared = Arc::<Mutex<Shared>>::default();
    let mut sequence = 0;
    let mut send = |lanes, second, number| {
        let mut handler = handler(&shared);
        let mut counts = Counts::default();
        for sensor in &sensors {
            sequence += 1;
            let data = aggregate(
                &lane(sensor, lanes),
                number + sequence as u64,
                &[reading(sensor, second)],
            );
            counts.add(&finish(handler.handle(&[one(sequence, &lane(sensor, lanes), &data)])).counts);
        }
        (counts.readings, counts.late)
    };
    let all = sensors.len() as u64;
    assert_eq!(send(4, 10, 0), (all, 0));
    assert_eq!(send(16, 10, 1_000), (0, all));
    assert_eq!(send(16, 20, 2_000), (all, 0));
    assert_eq!(
        send(2, 20, 3_000),
        (0, all),
        "of the lanes around and within, the newer state counts"
    );
    assert_eq!(send(2, 30, 4_000), (all, 0));
}

#[test]
fn two_invocations_cannot_begin_a_partition_from_different_states() {
    // One finds no partition around 2/0 and is stopped before its write; meanwhile 1/0 is written and another begins
    // 2/0 from it. The first must then fold onto that, at whatever moment it was stopped.
    let sensor = (0..)
        .map(|n| format!("s{n}"))
        .find(|sensor| lane(sensor, 2) == "2/0")
        .unwrap();
    let older = aggregate("1/0", 1, &[reading(&sensor, 50)]);
    let first = aggregate("2/0", 1, &[reading(&sensor, 10)]);
    let second = aggregate("2/0", 2, &[reading(&sensor, 60)]);
    for polls in 0..6 {
        let shared = Arc::<Mutex<Shared>>::default();
        let mut slow = handler(&shared);
        let event = [one(2, "2/0", &first)];
        let mut run = pin!(slow.handle(&event));
        let mut done = (0..polls).any(|_| run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        finish(handler(&shared).handle(&[one(1, "1/0", &older)]));
        finish(handler(&shared).handle(&[one(3, "2/0", &second)]));
        while !done {
            done = run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        // Whoever was first, checkpoint and entries belong together, and the newest reading is in them.
        let stored = shared.lock().unwrap().stored(&PartitionName::of_key("2/0")).unwrap();
        assert!(stored.checkpoint.is_some(), "stopped after {polls}");
        let late = aggregate("2/0", 9, &[reading(&sensor, 60)]);
        let handled = finish(handler(&shared).handle(&[one(9, "2/0", &late)]));
        assert_eq!(
            (handled.failed, handled.counts.late),
            (None, 1),
            "stopped after {polls}"
        );
    }
}
