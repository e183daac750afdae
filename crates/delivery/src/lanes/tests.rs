//! Steps the lanes by hand, with instants chosen by each test.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use rand::SeedableRng;
use wire::{ProducerId, Reading, Timestamp, Value};

use super::*;
use crate::lanes::Outcome;
use crate::lanes::Spill;
use crate::lanes::answers;
use crate::sink::{Answer, Objection, PutError};
use crate::spool::{Appended, Refused};

const LINGER: Duration = Duration::from_millis(100);

fn lanes() -> Lanes {
    within(1 << 20, 2)
}

fn within(budget: usize, lanes: u32) -> Lanes {
    let limits = Limits {
        packing: Packing {
            producer: ProducerId(1),
            aggregated: true,
            target_bytes: 25_600,
            max_record_bytes: 1 << 20,
        },
        lanes,
        linger: LINGER,
        budget,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
    };
    Lanes::new(limits, Arc::default(), ChaCha8Rng::seed_from_u64(1))
}

/// A sensor of that lane.
fn sensor(lane: u32, lanes: u32) -> Arc<Sensor> {
    let sensors = (0..).map(|number| Sensor::new(&format!("sensor-{number}"), "t"));
    Arc::new(
        sensors
            .into_iter()
            .find(|sensor| LaneName::of(sensor.hash(), lanes).index() == lane)
            .unwrap(),
    )
}

fn accept(lanes: &mut Lanes, lane: u32, at: Instant) {
    let reading = Reading::new(
        sensor(lane, lanes.limits.lanes),
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
    assert!(lanes.accept(&batch, Arrival { at, wall }).is_empty());
}

/// The sink accepts the whole request.
fn deliver(lanes: &mut Lanes, request: Request, at: Instant) {
    let answers = vec![Answer::Accepted(None); request.records.len()];
    lanes.answer(request, Ok(answers), at);
}

/// A reading that arrived while its lane was busy still leaves on time if the lane is free before the linger time ends,
/// even if no other reading arrives.
#[test]
fn what_came_while_the_lane_was_busy_leaves_in_time() {
    let mut lanes = lanes();
    let start = Instant::now();
    let ms = |millis| start + Duration::from_millis(millis);
    accept(&mut lanes, 0, start);
    let first = lanes.request(ms(100)).unwrap();
    accept(&mut lanes, 1, ms(110));
    accept(&mut lanes, 0, ms(150));
    let second = lanes.request(ms(210)).unwrap();
    assert_eq!(&*second.records[0].lane.name, "2/1");
    deliver(&mut lanes, first, ms(220));
    deliver(&mut lanes, second, ms(230));
    assert_eq!(lanes.deadline(), Some(ms(250)));
    let third = lanes.request(ms(250)).unwrap();
    assert_eq!(&*third.records[0].lane.name, "2/0");
}

/// Setting the clock back by a day does not keep readings in memory for a day.
#[test]
fn what_waits_is_spooled_though_the_clock_was_set_back() {
    let mut lanes = lanes();
    let start = Instant::now();
    accept(&mut lanes, 0, start);
    let request = lanes.request(start + LINGER).unwrap();
    let unavailable = PutError::Transient {
        kind: "unavailable",
        message: String::new(),
    };
    lanes.answer(request, Err(unavailable), start + LINGER);
    let at = start + 2 * LINGER;
    let wall = |micros| Timestamp::default().saturating_add_micros(micros);
    lanes.sweep(Arrival { at, wall: wall(1_000) });
    assert!(lanes.spill(at).is_none(), "it has only just come in");
    lanes.sweep(Arrival {
        at,
        wall: wall(-86_400_000_000),
    });
    assert_eq!(lanes.spill(at).unwrap().records.len(), 1);
}

/// Memory almost full of readings of the first lane, whose first record is in flight.
fn full(at: Instant) -> (Lanes, Request) {
    let mut lanes = within(200_000, 2);
    accept(&mut lanes, 0, at);
    let under_way = lanes.request(at + LINGER).unwrap();
    fill(&mut lanes, 180_000, at);
    (lanes, under_way)
}

fn fill(lanes: &mut Lanes, bytes: usize, at: Instant) {
    while lanes.bytes() < bytes {
        accept(lanes, 0, at);
    }
}

/// Checks what should leave memory, this many seconds after everything arrived.
fn sweep(lanes: &mut Lanes, at: Instant, seconds: i64) {
    let wall = Timestamp::default().saturating_add_micros(seconds * 1_000_000);
    lanes.sweep(Arrival { at, wall });
    assert!(lanes.spill(at).is_none(), "nothing goes ahead of the record under way");
}

/// Accepts the record, sends the next one and returns its number.
fn next(lanes: &mut Lanes, request: Request, at: Instant) -> (Request, u64) {
    deliver(lanes, request, at);
    let request = lanes.request(at).unwrap();
    let number = request.records[0].identity.number;
    (request, number)
}

fn spilled(lanes: &mut Lanes, at: Instant) -> (Spill, u64) {
    let spill = lanes.spill(at).unwrap();
    let numbers: Vec<u64> = spill.records.iter().map(|record| record.identity.number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next));
    (spill, numbers[0])
}

/// As [`full`], but everything behind the first record is on its way to the spool.
fn overflown(at: Instant) -> (Lanes, Spill) {
    let (mut lanes, first) = full(at);
    sweep(&mut lanes, at, 5);
    deliver(&mut lanes, first, at);
    let (spill, number) = spilled(&mut lanes, at);
    assert_eq!(number, 2);
    (lanes, spill)
}

#[test]
fn a_sink_that_takes_all_in_time_is_waited_for_and_one_that_is_slow_overflows() {
    let at = Instant::now();
    let (mut lanes, first) = full(at);
    sweep(&mut lanes, at, 4);
    let (second, number) = next(&mut lanes, first, at);
    assert_eq!(number, 2);
    sweep(&mut lanes, at, 5);
    deliver(&mut lanes, second, at);
    assert!(lanes.request(at).is_none());
    assert_eq!(spilled(&mut lanes, at).1, 3);
}

/// Readings that have waited long but use little memory are not spooled.
#[test]
fn a_small_lane_stays_in_full_memory_and_a_great_one_until_it_is_full() {
    let at = Instant::now();
    let mut lanes = within(200_000, 2);
    accept(&mut lanes, 1, at);
    accept(&mut lanes, 0, at);
    let _request = lanes.request(at + LINGER).unwrap();
    for (bytes, spills) in [(149_000, [false, false]), (151_000, [true, false])] {
        fill(&mut lanes, bytes, at);
        sweep(&mut lanes, at, 5);
        assert_eq!([lanes.table[0].spills, lanes.table[1].spills], spills);
    }
}

/// Reading a backlog record by record would hold up new readings.
#[test]
fn a_backlog_is_read_in_great_pieces_though_memory_be_full() {
    let at = Instant::now();
    let (mut lanes, spill) = overflown(at);
    let stored = Appended {
        stored: spill.records,
        ..Appended::default()
    };
    lanes.appended(&spill.lanes, stored, at);
    fill(&mut lanes, 180_000, at);
    let fetches: Vec<_> = lanes
        .fetches()
        .iter()
        .map(|fetch| (fetch.lane, fetch.max_bytes))
        .collect();
    assert_eq!(fetches, [(0, 25_000)]);
}

/// A lane that receives more than it can send does not block the others.
#[test]
fn a_lane_above_its_share_leaves_memory_to_the_others() {
    let at = Instant::now();
    let mut lanes = within(1_600_000, 16);
    accept(&mut lanes, 1, at);
    accept(&mut lanes, 0, at);
    let request = lanes.request(at + LINGER).unwrap();
    fill(&mut lanes, 400_000, at);
    deliver(&mut lanes, request, at);
    assert!(
        lanes.spill(at).is_none(),
        "a quarter of all memory is no more than it may have"
    );
    let request = lanes.request(at).unwrap();
    fill(&mut lanes, 450_000, at);
    accept(&mut lanes, 1, at);
    deliver(&mut lanes, request, at);
    let (spill, number) = spilled(&mut lanes, at);
    assert_eq!(number, 3);
    assert!(spill.lanes.iter().all(|lane| *lane == 0));
    assert_eq!(lanes.activity()[LaneActivity::Spooling as usize], 1);
}

#[test]
fn a_refused_record_spills_with_what_is_behind_it() {
    let at = Instant::now();
    let (mut lanes, first) = full(at);
    sweep(&mut lanes, at, 5);
    let unavailable = PutError::Transient {
        kind: "unavailable",
        message: String::new(),
    };
    lanes.answer(first, Err(unavailable), at);
    assert_eq!(spilled(&mut lanes, at).1, 1);
}

/// A full spool is retried after a second, not at every answer.
#[test]
fn lanes_go_on_without_a_spool_that_is_full() {
    let start = Instant::now();
    let (mut lanes, spill) = overflown(start);
    let refused = Appended {
        refused: Some(Refused {
            records: spill.records,
            error: "the spool has ended".into(),
        }),
        ..Appended::default()
    };
    lanes.appended(&spill.lanes, refused, start);
    let second = lanes.request(start).unwrap();
    let shortly = start + Duration::from_millis(999);
    sweep(&mut lanes, shortly, 5);
    let (third, number) = next(&mut lanes, second, shortly);
    assert_eq!(number, 3);
    let later = start + Duration::from_secs(1);
    fill(&mut lanes, 180_000, later);
    sweep(&mut lanes, later, 5);
    deliver(&mut lanes, third, later);
    assert_eq!(spilled(&mut lanes, later).1, 4);
}

/// Sends the next record of a lane alone, and rejects it.
fn reject(lanes: &mut Lanes, lane: u32, objection: Objection, at: Instant) -> Outcome {
    let mut request = lanes.request(at).unwrap();
    while request.records.len() > 1 {
        let rejected = rejected(objection);
        assert!(
            lanes.answer(request, Err(rejected), at).dead.is_none(),
            "it is not alone"
        );
        request = lanes.request(at).unwrap();
    }
    assert_eq!(*request.records[0].lane.name, *format!("2/{lane}"));
    lanes.answer(request, Err(rejected(objection)), at)
}

fn rejected(objection: Objection) -> PutError {
    PutError::Rejected {
        kind: "invalid_request",
        objection,
        message: String::new(),
    }
}

/// Records are kept while the stream accepts nothing, for example under a wrong name, even if it blames the records.
#[test]
fn a_sink_that_rejects_everything_has_nothing_dead_lettered() {
    let (mut lanes, mut at) = (lanes(), Instant::now());
    accept(&mut lanes, 0, at);
    for _ in 0..50 {
        at += LINGER;
        let outcome = reject(&mut lanes, 0, Objection::Record, at);
        assert_eq!((outcome.dead, outcome.held.as_deref()), (None, Some("2/0")));
    }
    let counts = lanes.ledger.snapshot();
    assert_eq!((counts.in_flight, counts.dead_lettered.iter().sum()), (1, 0));
}

#[test]
fn between_two_deliveries_few_records_are_dead_lettered_and_only_such_as_the_sink_names() {
    let (mut lanes, mut at) = (lanes(), Instant::now());
    for round in 0..2 {
        accept(&mut lanes, 1, at);
        at += LINGER;
        let request = lanes.request(at).unwrap();
        deliver(&mut lanes, request, at);
        accept(&mut lanes, 0, at);
        at += LINGER;
        assert_eq!(reject(&mut lanes, 0, Objection::Unknown, at).dead, None);
        for letter in 0..answers::DEAD_LETTERS_IN_A_ROW {
            at += LINGER;
            assert_eq!(
                reject(&mut lanes, 0, Objection::Record, at).dead,
                Some(0),
                "{round} {letter}"
            );
            lanes.dead_lettered(0, at);
            accept(&mut lanes, 0, at);
        }
        at += LINGER;
        assert_eq!(reject(&mut lanes, 0, Objection::Record, at).dead, None);
        at += LINGER;
        let request = lanes.request(at).unwrap();
        deliver(&mut lanes, request, at);
    }
}

/// A failed dead-letter write loses nothing: the record is rejected again later.
#[test]
fn a_record_that_could_not_be_written_down_is_given_up_at_its_next_try() {
    let (mut lanes, mut at) = (lanes(), Instant::now());
    accept(&mut lanes, 0, at);
    at += LINGER;
    let request = lanes.request(at).unwrap();
    deliver(&mut lanes, request, at);
    accept(&mut lanes, 0, at);
    for _ in 0..2 * answers::DEAD_LETTERS_IN_A_ROW {
        at += LINGER;
        assert_eq!(reject(&mut lanes, 0, Objection::Record, at).dead, Some(0));
        lanes.retry_later(0, at);
    }
}
