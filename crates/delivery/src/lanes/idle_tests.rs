//! Lanes of plain mode that appear and are forgotten.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wire::{ProducerId, Reading, Sensor, Timestamp, Value};

use super::*;
use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::lane::{Arrival, Packing};
use crate::lanes::Limits;
use crate::request::Request;
use crate::sink::{Answer, THROTTLED};
use crate::spool::{Appended, Next};

fn plain(budget: usize) -> Lanes {
    let limits = Limits {
        packing: Packing {
            producer: ProducerId(1),
            aggregated: false,
            target_bytes: 25_600,
            max_record_bytes: 1_000,
        },
        lanes: 1,
        linger: Duration::from_millis(100),
        budget,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
    };
    Lanes::new(limits, Arc::default(), ChaCha8Rng::seed_from_u64(1))
}

fn reading(sensor: &str, value: Value) -> Reading {
    Reading::new(Arc::new(Sensor::new(sensor, "t")), Timestamp::default(), value).unwrap()
}

/// Offers a reading; true if it is too large.
fn accept(lanes: &mut Lanes, sensor: &str, value: Value, at: Instant) -> bool {
    lanes.ledger.record(|counts| counts.in_flight += 1);
    let batch = Batch {
        readings: vec![reading(sensor, value)],
        receipt: None,
    };
    let wall = Timestamp::default();
    !lanes.accept(&batch, Arrival { at, wall }).is_empty()
}

fn offer(lanes: &mut Lanes, sensor: &str, at: Instant) {
    assert!(!accept(lanes, sensor, Value::Scalar(1.0), at));
}

/// The next request, after the linger time.
fn request(lanes: &mut Lanes, at: &mut Instant) -> Option<Request> {
    *at += Duration::from_millis(100);
    lanes.request(*at)
}

fn deliver(lanes: &mut Lanes, request: Request, at: Instant) {
    let shard: Arc<str> = "s".into();
    let answers = vec![Answer::Accepted(Some(shard)); request.records.len()];
    lanes.answer(request, Ok(answers), at);
}

/// Offers one reading from each of this many new sensors, and delivers them.
fn strangers(lanes: &mut Lanes, from: usize, count: usize, at: &mut Instant) {
    for sensor in from..from + count {
        offer(lanes, &format!("stranger-{sensor}"), *at);
    }
    while lanes.bytes() > 0 {
        if let Some(request) = request(lanes, at) {
            deliver(lanes, request, *at);
        }
    }
}

#[test]
fn sensors_that_come_once_take_no_more_than_the_budget() {
    let (mut lanes, mut at) = (plain(200_000), Instant::now());
    let most = 200_000 / LANE_BYTES;
    for round in 0..20 {
        strangers(&mut lanes, round * 500, 500, &mut at);
        assert!(lanes.table.len() <= most + 500, "{} lanes", lanes.table.len());
        assert_eq!(lanes.table.len(), lanes.by_name.len());
    }
    offer(&mut lanes, "one more", at);
    assert!(lanes.table.len() <= most);
}

#[test]
fn a_sensor_whose_readings_are_too_large_is_forgotten_too() {
    let (mut lanes, at) = (plain(100_000), Instant::now());
    for sensor in 0..1_000 {
        let long = Value::Vector(vec![0.123_456; 200].into());
        assert!(accept(&mut lanes, &format!("sensor-{sensor}"), long, at));
    }
    assert!(lanes.table.len() <= 100_000 / LANE_BYTES);
}

/// Otherwise the detector would mistake a returning sensor's readings for ones it has already seen.
#[test]
fn a_forgotten_lane_goes_on_with_higher_numbers() {
    let (mut lanes, mut at) = (plain(50_000), Instant::now());
    let mut last = HashMap::new();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut made = 0;
    for _ in 0..2_000 {
        let sensor = format!("sensor-{}", random.random_range(0..300));
        made += usize::from(!lanes.by_name.contains_key(&*sensor));
        offer(&mut lanes, &sensor, at);
        if random.random_bool(0.2)
            && let Some(request) = request(&mut lanes, &mut at)
        {
            for record in &request.records {
                let number = record.identity.number;
                let before = last.insert(record.lane.name.clone(), number).unwrap_or(0);
                assert!(before < number, "{} then {number}", before);
            }
            deliver(&mut lanes, request, at);
        }
    }
    assert!(made > 600, "lanes come back: {made}");
}

/// A lane is kept while it has records that wait, are in flight, were refused or are in the spool.
#[test]
fn a_lane_that_holds_anything_is_not_forgotten() {
    let (mut lanes, mut at) = (plain(50_000), Instant::now());
    offer(&mut lanes, "under way", at);
    let under_way = request(&mut lanes, &mut at).unwrap();
    offer(&mut lanes, "refused", at);
    let refused = request(&mut lanes, &mut at).unwrap();
    lanes.answer(refused, Ok(vec![Answer::Refused(THROTTLED)]), at);
    for sensor in 0..2_000 {
        lanes.limits.linger = Duration::from_secs(3_600);
        offer(&mut lanes, &format!("stranger-{sensor}"), at);
    }
    assert_eq!(lanes.table.len(), 2_002, "all of them hold a reading");
    lanes.limits.linger = Duration::from_millis(100);
    deliver(&mut lanes, under_way, at);
    let mut delivered = 1;
    while lanes.bytes() > 0 {
        if let Some(request) = request(&mut lanes, &mut at) {
            delivered += request.records.len();
            deliver(&mut lanes, request, at);
        }
    }
    assert_eq!(delivered, 2_002);
}

/// Delivered records may remain in the spool for a moment; they are not read again.
#[test]
fn a_forgotten_lane_reads_the_spool_behind_what_it_has_sent() {
    let (mut lanes, mut at) = (plain(50_000), Instant::now());
    offer(&mut lanes, "a", at);
    lanes.table[0].spill();
    lanes.overflowing = true;
    let spill = lanes.spill(at).unwrap();
    let record = spill.records[0].clone();
    let stored = Appended {
        stored: spill.records,
        ..Appended::default()
    };
    lanes.appended(&spill.lanes, stored, at);
    assert_eq!(lanes.fetches().len(), 1);
    let position = crate::spool::Position::of_test(1);
    let next = Next {
        records: vec![(position, record)],
        ..Next::default()
    };
    lanes.fetched(0, next, at);
    let first = request(&mut lanes, &mut at).unwrap();
    deliver(&mut lanes, first, at);
    strangers(&mut lanes, 0, 500, &mut at);
    offer(&mut lanes, "one more", at);
    assert!(!lanes.by_name.contains_key("a"));
    offer(&mut lanes, "a", at);
    let index = lanes.by_name["a"];
    assert_eq!(lanes.table[index].fetched, Some(position));
}

/// A lane without an answer of its own must still be throttled by a shard that refuses records.
#[test]
fn a_new_lane_is_paced_like_its_neighbours() {
    let (mut lanes, mut at) = (plain(50_000), Instant::now());
    strangers(&mut lanes, 0, 100, &mut at);
    let shard: Arc<str> = "s".into();
    lanes.paces.throttled(&shard, at);
    for sensor in 0..300 {
        offer(&mut lanes, &format!("new-{sensor}"), at);
    }
    let request = request(&mut lanes, &mut at).unwrap();
    assert!(request.records.len() < 100, "{}", request.records.len());
}
