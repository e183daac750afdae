//! One lane alone: what it packs, in which order, and what it holds.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use proptest::prelude::*;

use super::*;

const PRODUCER: ProducerId = ProducerId(1);
const TARGET: usize = 600;
const MOST: usize = 2_000;

fn lane() -> Lane {
    let key = LaneKey {
        name: "2/0".into(),
        slice: 0..=9,
    };
    Lane::new(key, Resume::default())
}

fn packing(aggregated: bool) -> Packing {
    Packing {
        producer: PRODUCER,
        aggregated,
        target_bytes: TARGET,
        max_record_bytes: MOST,
    }
}

fn arrival(seconds: i64) -> Arrival {
    Arrival {
        at: Instant::now(),
        wall: Timestamp::from_micros(seconds * 1_000_000).unwrap(),
    }
}

/// Packs a reading of this many bytes.
fn pack(lane: &mut Lane, bytes: usize, aggregated: bool) -> Result<bool, TooLarge> {
    lane.pack(&vec![b'0'; bytes], None, &packing(aggregated), arrival(0))
}

/// Packs one reading and seals it.
fn put(lane: &mut Lane) {
    pack(lane, 50, true).unwrap();
    assert!(lane.seal(PRODUCER));
}

/// The numbers of its records, queued or on their way to the spool.
fn numbers(lane: &Lane) -> [Vec<u64>; 2] {
    let queued = lane.queue.iter().map(|queued| queued.record.identity.number);
    let pending = lane.pending.iter().map(|record| record.identity.number);
    [queued.collect(), pending.collect()]
}

/// The bytes of everything it holds, counted one by one.
fn held(lane: &Lane, appending: &[Record]) -> usize {
    let open = lane.open.as_ref().map_or(0, |open| match &open.body {
        Body::Aggregate(aggregate) => aggregate.len(),
        Body::Plain(data) => data.len(),
    });
    let queued = lane.queue.iter().map(|queued| queued.record.bytes());
    let pending = lane.pending.iter().chain(appending).map(Record::bytes);
    open + queued.chain(pending).sum::<usize>()
}

#[test]
fn a_record_is_filled_to_its_target_and_a_reading_above_it_goes_alone() {
    let mut lane = lane();
    for _ in 0..40 {
        pack(&mut lane, 100, true).unwrap();
    }
    pack(&mut lane, 700, true).unwrap();
    pack(&mut lane, 100, true).unwrap();
    lane.seal(PRODUCER);
    let records: Vec<_> = lane
        .queue
        .iter()
        .map(|queued| (queued.record.readings, queued.record.bytes()))
        .collect();
    let (full, last) = records.split_at(records.len() - 2);
    assert!(
        full.iter()
            .all(|(readings, bytes)| *readings == full[0].0 && *bytes <= TARGET && *bytes > TARGET - 130)
    );
    assert_eq!(full.iter().map(|(readings, _)| readings).sum::<u32>(), 40);
    assert!(last[0].0 == 1 && last[0].1 > TARGET);
    assert_eq!(last[1].0, 1);
    let all: Vec<u64> = (1..=records.len() as u64).collect();
    assert_eq!(numbers(&lane), [all, vec![]]);
}

#[test]
fn what_no_record_holds_is_refused_and_leaves_the_lane_as_it_was() {
    let most = MOST - "2/0".len();
    let mut plain = lane();
    assert!(pack(&mut plain, most + 1, false).is_err());
    assert_eq!((plain.bytes, plain.exhausted()), (0, true));
    assert!(
        matches!(pack(&mut plain, most, false), Ok(false)),
        "it is sealed at once"
    );
    assert_eq!(plain.queue[0].record.bytes(), MOST);
    let mut aggregated = lane();
    assert!(pack(&mut aggregated, most, true).is_err());
    assert!(matches!(pack(&mut aggregated, most - 200, true), Ok(false)));
}

#[test]
fn receipts_are_counted_by_the_batch() {
    let [one, two] = [1, 2].map(|position| Receipt::new(9, position, |_| ()));
    let mut lane = lane();
    for receipt in [&one, &one, &two, &one] {
        let opened = lane.pack(b"{}", Some(receipt), &packing(true), arrival(0)).unwrap();
        assert_eq!(opened, lane.open.as_ref().unwrap().readings == 1);
    }
    lane.seal(PRODUCER);
    let record = &lane.queue[0].record;
    let receipts: Vec<_> = record
        .receipts
        .iter()
        .map(|(receipt, readings)| (receipt.is(&one), *readings))
        .collect();
    assert_eq!((record.readings, receipts), (4, vec![(true, 2), (false, 1), (true, 1)]));
}

#[test]
fn it_says_what_it_does() {
    let mut lane = lane();
    for (state, doing) in [
        (State::Idle, LaneActivity::Idle),
        (
            State::Ready {
                backlog: false,
                paid: false,
            },
            LaneActivity::Ready,
        ),
        (State::UnderWay, LaneActivity::UnderWay),
        (State::Waiting(Instant::now()), LaneActivity::Waiting),
        (State::InLine, LaneActivity::Waiting),
    ] {
        lane.state = state;
        assert_eq!(lane.activity(), doing);
        lane.stored = 1;
        assert_eq!(lane.activity(), LaneActivity::Spooling);
        lane.stored = 0;
    }
    let names = LaneActivity::ALL.map(LaneActivity::as_str);
    assert_eq!(names, ["idle", "ready", "under_way", "waiting", "spooling"]);
    assert_eq!(LaneActivity::ALL.map(|doing| doing as usize), [0, 1, 2, 3, 4]);
}

#[test]
fn it_spools_while_anything_of_it_is_stored_or_on_its_way() {
    let steps: [fn(&mut Lane); 4] = [
        |lane| lane.stored = 1,
        |lane| lane.appending = 1,
        |lane| lane.fetching = true,
        |lane| {
            put(lane);
            lane.spill();
        },
    ];
    for step in steps {
        let mut lane = lane();
        assert!(!lane.spooling() && lane.exhausted());
        step(&mut lane);
        assert!(lane.spooling() && !lane.exhausted());
        put(&mut lane);
        assert!(lane.queue.is_empty(), "what follows goes behind it");
    }
    let mut open = lane();
    pack(&mut open, 50, true).unwrap();
    assert!(!open.exhausted() && !open.spooling());
    let mut queued = lane();
    put(&mut queued);
    assert!(!queued.exhausted() && !queued.spooling());
}

#[test]
fn it_reads_from_the_spool_once_nothing_is_in_line() {
    let mut lane = lane();
    assert!(!lane.wants_records());
    put(&mut lane);
    lane.stored = 3;
    assert!(!lane.wants_records(), "a record is in line");
    lane.pop();
    assert!(lane.wants_records());
    lane.fetching = true;
    assert!(!lane.wants_records(), "they are being read");
}

#[test]
fn the_oldest_is_the_oldest_wherever_it_is() {
    let at = |seconds| Some(arrival(seconds).wall);
    let reading = |lane: &mut Lane, seconds| lane.pack(b"{}", None, &packing(true), arrival(seconds)).unwrap();
    let mut lane = lane();
    assert_eq!(lane.oldest(), None);
    reading(&mut lane, 30);
    assert_eq!(lane.oldest(), at(30));
    assert_eq!(lane.open_since(), lane.open.as_ref().map(|open| open.since));
    lane.seal(PRODUCER);
    assert_eq!((lane.oldest(), lane.open_since()), (at(30), None));
    lane.spill();
    // Arrived after the clock was set back.
    reading(&mut lane, 20);
    assert_eq!(lane.oldest(), at(20));
    lane.seal(PRODUCER);
    reading(&mut lane, 10);
    assert_eq!(lane.oldest(), at(10));
    assert!(lane.queue.is_empty());
}

#[test]
fn nothing_is_safe_before_the_record_under_way() {
    let mut lane = lane();
    (0..3).for_each(|_| put(&mut lane));
    lane.state = State::UnderWay;
    lane.spill();
    assert_eq!(numbers(&lane), [vec![1, 2, 3], vec![]]);
    // It was refused.
    lane.state = State::Waiting(Instant::now());
    lane.spill();
    assert_eq!(numbers(&lane), [vec![], vec![1, 2, 3]]);
    lane.pending.clear();
    lane.stored = 3;
    lane.spill();
    assert!(numbers(&lane).concat().is_empty());
}

#[test]
fn what_the_spool_refused_waits_for_all_that_is_ahead() {
    let ahead: [fn(&mut Lane, bool); 3] = [
        |lane, there| lane.stored = u64::from(there),
        |lane, there| lane.appending = usize::from(there),
        |lane, there| lane.fetching = there,
    ];
    for set in ahead {
        let mut lane = lane();
        (0..2).for_each(|_| put(&mut lane));
        lane.spill();
        set(&mut lane, true);
        lane.reclaim();
        assert_eq!(numbers(&lane), [vec![], vec![1, 2]]);
        set(&mut lane, false);
        lane.reclaim();
        assert_eq!(numbers(&lane), [vec![1, 2], vec![]]);
    }
    let mut lane = lane();
    put(&mut lane);
    lane.stored = 1;
    (0..2).for_each(|_| put(&mut lane));
    lane.stored = 0;
    lane.reclaim();
    assert_eq!(numbers(&lane), [vec![1], vec![2, 3]], "a record is ahead");
    lane.pop();
    lane.reclaim();
    assert_eq!(numbers(&lane), [vec![2, 3], vec![]]);
}

#[test]
fn a_delivered_head_leaves_nothing_of_its_troubles() {
    let mut lane = lane();
    assert!(lane.pop().is_none());
    put(&mut lane);
    (lane.failed, lane.max_records) = (3, 1);
    assert_eq!(lane.pop().unwrap().record.identity.number, 1);
    assert_eq!((lane.failed, lane.max_records, lane.bytes), (0, usize::MAX, 0));
}

#[test]
fn a_full_memory_is_handed_over_in_order() {
    let mut lane = lane();
    (0..3).for_each(|_| put(&mut lane));
    lane.state = State::UnderWay;
    lane.spill();
    pack(&mut lane, 50, true).unwrap();
    let unsaved: Vec<u64> = lane
        .unsaved(PRODUCER)
        .iter()
        .map(|record| record.identity.number)
        .collect();
    assert_eq!(unsaved, [1, 2, 3, 4]);
    assert!(lane.exhausted());
}

/// An event in the life of a lane.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pack(usize),
    Seal,
    Spill,
    /// Up to this many records are appended.
    Append(usize),
    /// This many of them are stored, and the others rejected.
    Appended(usize),
    /// Everything stored is read, delivered and removed.
    Emptied,
    /// The head leaves.
    Pop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..800usize).prop_map(Step::Pack),
        1 => Just(Step::Seal),
        1 => Just(Step::Spill),
        2 => (1..4usize).prop_map(Step::Append),
        2 => (0..4usize).prop_map(Step::Appended),
        1 => Just(Step::Emptied),
        2 => Just(Step::Pop),
    ]
}

proptest! {
    #[test]
    fn its_bytes_are_what_it_holds_and_its_records_stay_in_order(
        steps in proptest::collection::vec(step(), 0..120),
        aggregated: bool,
    ) {
        let mut lane = lane();
        let mut appending: Vec<Record> = Vec::new();
        let (mut stored, mut delivered) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Pack(bytes) => drop(pack(&mut lane, bytes, aggregated)),
                Step::Seal => drop(lane.seal(PRODUCER)),
                Step::Spill => lane.spill(),
                Step::Append(most) => {
                    let count = most.min(lane.pending.len());
                    appending.extend(lane.pending.drain(..count));
                    lane.appending = appending.len();
                }
                Step::Appended(count) => {
                    let refused = appending.split_off(count.min(appending.len()));
                    for record in appending.drain(..) {
                        lane.stored += 1;
                        lane.bytes -= record.bytes();
                        stored.push(record.identity.number);
                    }
                    for record in refused.into_iter().rev() {
                        lane.pending.push_front(record);
                    }
                    lane.appending = 0;
                    lane.reclaim();
                }
                Step::Emptied if lane.queue.is_empty() => {
                    delivered.append(&mut stored);
                    lane.stored = 0;
                    lane.reclaim();
                }
                Step::Emptied => {}
                Step::Pop => delivered.extend(lane.pop().map(|head| head.record.identity.number)),
            }
            prop_assert_eq!(lane.bytes, held(&lane, &appending));
            let appending = appending.iter().map(|record| record.identity.number);
            let [queued, pending] = numbers(&lane);
            let ahead = delivered.iter().chain(&queued).chain(&stored).copied();
            let all: Vec<u64> = ahead.chain(appending).chain(pending).collect();
            prop_assert_eq!(&all, &(1..=all.len() as u64).collect::<Vec<_>>());
        }
    }
}
