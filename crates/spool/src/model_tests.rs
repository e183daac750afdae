//! Compares the spool with a sorted map, over random histories with reopening.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::tests::{all, lane, open, record};
use super::*;

const LANES: [&str; 3] = ["2/0", "2/1", "house of a sensor"];

#[derive(Clone, Debug)]
enum Step {
    /// Lane, number and size of each record.
    Append(Vec<(usize, u64, usize)>),
    /// Lane, number of records to read, number of those to remove.
    Take(usize, usize, usize),
    /// A new start with a new producer; after a close or without one.
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let one = (
        0..LANES.len(),
        1..60_u64,
        prop_oneof![0..200_usize, 7_000..30_000_usize],
    );
    prop_oneof![
        5 => prop::collection::vec(one, 0..8).prop_map(Step::Append),
        4 => (0..LANES.len(), 1..6_usize, 0..6_usize).prop_map(|(lane, read, remove)| Step::Take(lane, read, remove)),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

/// By lane, then start, then number.
type Model = BTreeMap<(usize, u64, u64), usize>;

async fn check(spool: &Spool, model: &Model) {
    for (index, name) in LANES.iter().enumerate() {
        let expected: Vec<_> = model
            .range((index, 0, 0)..(index + 1, 0, 0))
            .map(|(&(_, start, number), &size)| (producer(start), number, size))
            .collect();
        let found: Vec<_> = all(spool, name)
            .await
            .into_iter()
            .map(|(_, record)| (record.identity.producer.0, record.identity.number, record.data.len()))
            .collect();
        assert_eq!(found, expected);
    }
    let readings: u64 = model.keys().map(|(_, _, number)| number % 300 + 1).sum();
    assert_eq!((spool.records(), spool.readings()), (model.len() as u64, readings));
    let oldest = model.keys().map(|(_, _, number)| record("", 1, *number, 0).since).min();
    assert_eq!(spool.oldest_since(), oldest);
}

/// Not in the order of the starts, which is the order the spool uses.
fn producer(start: u64) -> u64 {
    start.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

async fn run(steps: Vec<Step>) {
    let dir = TempDir::new().unwrap();
    let mut model = Model::new();
    let (mut spool, _) = open(dir.path());
    let mut start = 1;
    for step in steps {
        match step {
            Step::Append(records) => {
                let given = records
                    .iter()
                    .map(|&(lane, number, size)| record(LANES[lane], producer(start), number, size));
                let appended = spool.append(given.collect()).await;
                assert!(appended.refused.is_none());
                for (lane, number, size) in records {
                    model.entry((lane, start, number)).or_insert(size);
                }
            }
            Step::Take(index, read, remove) => {
                let mut after = None;
                let mut taken = Vec::new();
                for _ in 0..read {
                    let next = spool.next(&lane(LANES[index]), after, 1).await.unwrap().records;
                    after = next.first().map(|(position, _)| *position).or(after);
                    taken.extend(next);
                }
                taken.truncate(remove);
                let keys: Vec<_> = model
                    .range((index, 0, 0)..)
                    .map(|(key, _)| *key)
                    .take(taken.len())
                    .collect();
                for key in keys {
                    model.remove(&key);
                }
                spool
                    .remove(taken.into_iter().map(|(position, _)| position).collect())
                    .await
                    .unwrap();
            }
            Step::Reopen(close) => {
                if close {
                    spool.close().await.unwrap();
                }
                drop(spool);
                let (opened, recovered) = open(dir.path());
                spool = opened;
                start += 1;
                let mut expected = BTreeMap::new();
                for (index, _, number) in model.keys() {
                    let sums = expected.entry(LANES[*index]).or_insert((0, 0));
                    sums.0 += 1;
                    sums.1 += number % 300 + 1;
                }
                let lanes = recovered.lanes.iter().map(|l| (&*l.lane.name, (l.records, l.readings)));
                assert_eq!(lanes.collect::<BTreeMap<_, _>>(), expected);
            }
        }
    }
    check(&spool, &model).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}
