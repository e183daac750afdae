//! The order of lanes after the layout has changed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wire::{Identity, ProducerId, Reading, Sensor, Timestamp, Value};

use super::*;
use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::lane::{Arrival, Packing};
use crate::lanes::Limits;
use crate::record::{LaneKey, Record};
use crate::sink::Answer;
use crate::spool::{Appended, Next, Position, Recovered, RecoveredLane};

#[test]
fn a_lane_waits_for_older_ones_over_its_hashes() {
    let mut older = OlderLanes::default();
    older.insert(&(0..=99), 7, 0);
    older.insert(&(50..=59), 8, 1);
    older.insert(&(200..=299), 9, 2);
    assert!(!older.block(&(0..=99), 7) && older.block(&(50..=59), 8) && !older.block(&(200..=299), 9));
    let blocked = |older: &OlderLanes| [10..=19, 55..=55, 100..=199, 290..=500].map(|slice| older.block(&slice, 1));
    assert_eq!(blocked(&older), [true, true, false, true]);
    assert_eq!(older.over(&(55..=250)).collect::<Vec<_>>(), [8, 7, 9]);
    assert!(older.remove(&(0..=99), 7) && !older.remove(&(0..=99), 7) && !older.remove(&(50..=59), 1));
    assert!(!older.block(&(50..=59), 8));
    assert_eq!(blocked(&older), [false, true, false, true]);
    assert!(older.remove(&(50..=59), 8) && older.remove(&(200..=299), 9) && older.is_empty());
}

#[test]
fn the_whole_hash_space_is_over_everything() {
    let mut older = OlderLanes::default();
    older.insert(&(0..=u128::MAX), 0, 0);
    assert!(older.block(&(0..=0), 1) && older.block(&(u128::MAX..=u128::MAX), 1));
}

/// A daemon with this many lanes, or one lane per sensor.
fn daemon(lanes: Option<u32>) -> Lanes {
    let limits = Limits {
        packing: Packing {
            producer: ProducerId(9),
            aggregated: lanes.is_some(),
            target_bytes: 25_600,
            max_record_bytes: 1 << 20,
        },
        lanes: lanes.unwrap_or(1),
        linger: Duration::from_millis(100),
        budget: 32 << 20,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
    };
    Lanes::new(limits, Arc::default(), ChaCha8Rng::seed_from_u64(1))
}

fn lane(name: &str) -> Arc<LaneKey> {
    let slice = name.parse().map_or_else(
        |_| {
            let hash = Sensor::new(name, "t").hash();
            hash..=hash
        },
        |name: LaneName| name.slice(),
    );
    Arc::new(LaneKey {
        name: name.into(),
        slice,
    })
}

/// Two records of each of these lanes in the spool, stored in this order.
fn recovered<'a>(names: impl IntoIterator<Item = &'a str>) -> Recovered {
    let lanes = names.into_iter().map(|name| RecoveredLane {
        lane: lane(name),
        records: 2,
        readings: 2,
    });
    Recovered {
        lanes: lanes.collect(),
        ..Recovered::default()
    }
}

fn old_record(key: &Arc<LaneKey>, number: u64) -> Record {
    Record {
        lane: key.clone(),
        identity: Identity {
            producer: ProducerId(1),
            number,
        },
        readings: 1,
        since: Timestamp::default(),
        data: vec![b'0'; 50],
        receipts: Vec::new(),
    }
}

/// Runs until everything is delivered, starting from the recovered records. Returns the lanes' names in order of
/// delivery; records of this run are marked " new".
fn deliver_all(lanes: &mut Lanes, mut at: Instant) -> Vec<String> {
    let mut delivered = Vec::new();
    let mut spooled: Vec<Record> = Vec::new();
    for _ in 0..10_000 {
        at += Duration::from_millis(100);
        if let Some(spill) = lanes.spill(at) {
            spooled.extend(spill.records.iter().cloned());
            let stored = Appended {
                stored: spill.records,
                ..Appended::default()
            };
            lanes.appended(&spill.lanes, stored, at);
        }
        for fetch in lanes.fetches() {
            let mut records: Vec<Record> = Vec::new();
            if fetch.after.is_none() {
                records.extend((1..=2).map(|number| old_record(&fetch.key, number)));
            } else {
                let (these, others) = spooled.into_iter().partition(|record| record.lane == fetch.key);
                (records, spooled) = (these, others);
            }
            let records = records.into_iter().map(|record| (Position::of_test(1), record));
            let next = Next {
                records: records.collect(),
                ..Next::default()
            };
            lanes.fetched(fetch.lane, next, at);
        }
        while let Some(request) = lanes.request(at) {
            for record in &request.records {
                let is_new = record.identity.producer == ProducerId(9);
                delivered.push(format!("{}{}", record.lane.name, if is_new { " new" } else { "" }));
            }
            let answers = vec![Answer::Accepted(None); request.records.len()];
            lanes.answer(request, Ok(answers), at);
        }
    }
    assert!(lanes.older.is_empty());
    for (_, lane) in &lanes.table {
        assert!(!lane.blocked && lane.exhausted(), "{lane:?}");
    }
    delivered
}

fn accept(lanes: &mut Lanes, sensor: &str, at: Instant) {
    let reading = Reading::new(
        Arc::new(Sensor::new(sensor, "t")),
        Timestamp::default(),
        Value::Scalar(1.0),
    )
    .unwrap();
    lanes.ledger.record(|counts| counts.in_flight += 1);
    let batch = Batch {
        readings: vec![reading],
        receipt: None,
    };
    let wall = Timestamp::default();
    lanes.accept(&batch, Arrival { at, wall });
}

/// With records of two earlier layouts, the lanes of the first go before those of the second.
#[test]
fn after_two_changes_the_oldest_lane_goes_first() {
    for layout in [Some(2), None] {
        for order in [["1/0", "4/0"], ["4/0", "1/0"]] {
            let mut lanes = daemon(layout);
            lanes.recover(&recovered(order));
            let delivered = deliver_all(&mut lanes, Instant::now());
            assert_eq!(delivered, [order[0], order[0], order[1], order[1]]);
        }
    }
}

/// A layout that returns: its own lane holds the oldest records, the other layout's lane follows, and new records come
/// last.
#[test]
fn after_a_change_and_back_new_readings_come_last() {
    for (layout, order, new) in [(Some(1), ["1/0", "4/1"], "1/0"), (None, ["sensor", "1/0"], "sensor")] {
        let (mut lanes, at) = (daemon(layout), Instant::now());
        lanes.recover(&recovered(order));
        accept(&mut lanes, "sensor", at);
        let delivered = deliver_all(&mut lanes, at);
        let expected = [order[0], order[0], order[1], order[1], &format!("{new} new")];
        assert_eq!(delivered, expected);
    }
}

/// Lanes take over thousands of sensors spooled in plain mode, and the reverse, without comparing every lane with every
/// other.
#[test]
fn thousands_of_older_lanes_are_taken_up() {
    let sensors: Vec<String> = (0..20_000).map(|sensor| format!("sensor-{sensor}")).collect();
    let mut lanes = daemon(Some(4));
    lanes.recover(&recovered(sensors.iter().map(String::as_str)));
    assert!((0..4).all(|index| lanes.table[index].blocked));
    let mut lanes = daemon(None);
    lanes.recover(&recovered(
        ["1/0"].into_iter().chain(sensors.iter().map(String::as_str)),
    ));
    assert_eq!(lanes.table.iter().filter(|(_, lane)| lane.blocked).count(), 20_000);
}
