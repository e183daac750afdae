//! The pipeline over a real spool and a sink with random faults, in paused time.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use delivery::backoff::Backoff;
use delivery::batch::Receipt;
use delivery::lane::Packing;
use delivery::lanes::Limits;
use delivery::ledger::{Counts, Ledger};
use delivery::sink::{Objection, Put, THROTTLED};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use spool::WhenFull;
use tokio::sync::{mpsc, watch};
use values::byte_size::ByteSize;
use wire::{Identity, ProducerId, Reading, Sensor, Timestamp, Value};

use super::*;
use crate::source::{Output, handover, to_channel};

const SENSORS: usize = 40;

/// A sink that accepts, throttles, rejects, fails before or after accepting, and hangs.
#[derive(Debug)]
struct Moody {
    random: Mutex<ChaCha8Rng>,
    /// The probability of faults, from 0 to 1.
    faults: f64,
    /// Accepts nothing at all.
    down: bool,
    accepted: Mutex<Vec<Arc<Record>>>,
    rejected: Option<&'static str>,
    objection: Objection,
}

impl Moody {
    fn new(seed: u64, faults: f64) -> Self {
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Self {
            random,
            faults,
            down: false,
            accepted: Mutex::default(),
            rejected: None,
            objection: Objection::Record,
        }
    }

    fn accept(&self, record: &Arc<Record>) -> Answer {
        self.accepted.lock().unwrap().push(record.clone());
        Answer::Accepted(Some(Arc::from("shardId-000000000000")))
    }
}

impl Sink for Moody {
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a> {
        let lanes: HashSet<_> = records.iter().map(|record| &record.lane.name).collect();
        assert_eq!(lanes.len(), records.len(), "a request has at most one record of a lane");
        let transient = |message: &str| PutError::Transient {
            kind: "test",
            message: message.to_owned(),
        };
        Box::pin(async move {
            let (fault, wait, partial) = {
                let mut random = self.random.lock().unwrap();
                let partial: Vec<bool> = records.iter().map(|_| random.random_bool(0.5)).collect();
                (
                    random.random_bool(self.faults).then(|| random.random_range(0..4)),
                    random.random_range(0..20),
                    partial,
                )
            };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if self.down {
                return Err(transient("down"));
            }
            if let Some(rejected) = self.rejected
                && records
                    .iter()
                    .any(|record| String::from_utf8_lossy(&record.data).contains(rejected))
            {
                return Err(PutError::Rejected {
                    kind: "invalid_request",
                    objection: self.objection,
                    message: "no".to_owned(),
                });
            }
            match fault {
                Some(0) => Err(transient("before commit")),
                Some(1) => {
                    records.iter().for_each(|record| drop(self.accept(record)));
                    Err(transient("after commit"))
                }
                Some(2) => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    Err(transient("timeout"))
                }
                Some(_) => Ok(records
                    .iter()
                    .zip(partial)
                    .map(|(record, taken)| {
                        if taken {
                            self.accept(record)
                        } else {
                            Answer::Refused(THROTTLED)
                        }
                    })
                    .collect()),
                None => Ok(records.iter().map(|record| self.accept(record)).collect()),
            }
        })
    }
}

struct Run {
    counts: Counts,
    ended: Ended,
}

enum End {
    /// Stopped after this time.
    After(Duration),
    /// Stopped once all batches are handed over.
    OnceFed,
    /// Ends when everything is delivered.
    Spent,
}

/// One start of a pipeline with `lanes` over the spool in `dir`: takes `batches` until its `end`.
async fn run_once(
    dir: &Path,
    sink: Arc<dyn Sink>,
    producer: u64,
    packing: (bool, u32),
    batches: Vec<Batch>,
    end: End,
) -> Run {
    let ledger = Arc::new(Ledger::default());
    let (spool, recovered) = Spool::open(dir, ByteSize::from_bytes(1 << 30), WhenFull::Block).unwrap();
    let limits = Limits {
        packing: Packing {
            producer: ProducerId(producer),
            aggregated: packing.0,
            target_bytes: 2_000,
            max_record_bytes: 4_000,
        },
        lanes: packing.1,
        linger: Duration::from_millis(50),
        // In plain mode, too small for all lanes at once: idle lanes are forgotten.
        budget: if packing.0 { 60_000 } else { 20_000 },
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(500)),
    };
    let mut lanes = Lanes::new(limits, ledger.clone(), ChaCha8Rng::seed_from_u64(producer));
    lanes.recover(&recovered);
    let (sender, input) = handover::channel(20_000);
    let (stop, stopped) = watch::channel(false);
    let parts = Parts {
        lanes,
        sink,
        spool: Arc::new(spool),
        spool_max_bytes: 1 << 30,
        dead_letters: Arc::new(DeadLetters::open(dir, "test").unwrap()),
        metrics: Arc::new(Metrics::new(ledger.clone())),
        max_requests: 4,
        grace: Duration::from_millis(200),
        health: watch::channel(Health::default()).0,
        heartbeat: Arc::new(AtomicU64::new(0)),
    };
    let output = Output::new(sender, stopped.clone(), ledger.clone());
    let (feeding, fed) = tokio::sync::oneshot::channel();
    let source = tokio::spawn(async move {
        for batch in batches {
            if output.send(batch).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = feeding.send(());
    });
    let stopper = tokio::spawn(async move {
        match end {
            End::After(time) => tokio::time::sleep(time).await,
            End::OnceFed => fed.await.unwrap_or_default(),
            End::Spent => std::future::pending().await,
        }
        stop.send_replace(true);
        std::future::pending::<()>().await;
    });
    let watched = ledger.clone();
    let scrapes = tokio::spawn(async move {
        loop {
            let counts = watched.snapshot();
            assert!(counts.conserved(), "{counts:?}");
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    });
    let ended = run(parts, input, stopped).await.unwrap();
    source.await.unwrap();
    assert!(!scrapes.is_finished(), "the law held at every scrape");
    scrapes.abort();
    stopper.abort();
    let counts = ledger.snapshot();
    assert!(counts.conserved() && counts.in_flight == 0, "{counts:?}");
    Run { counts, ended }
}

/// Batches numbered from 0, and the channel that yields the numbers of those that are safe.
fn numbered(batches: Vec<Vec<Reading>>) -> (Vec<Batch>, mpsc::UnboundedReceiver<u64>) {
    let (settle, settled) = mpsc::unbounded_channel();
    let batches = batches.into_iter().enumerate().map(|(number, readings)| {
        let receipt = Some(Receipt::new(
            readings.len() as u32,
            number as u64,
            to_channel(settle.clone()),
        ));
        Batch { readings, receipt }
    });
    (batches.collect(), settled)
}

fn those(mut settled: mpsc::UnboundedReceiver<u64>) -> Vec<u64> {
    std::iter::from_fn(|| settled.try_recv().ok()).collect()
}

fn batches(from: u64, count: u64) -> Vec<Vec<Reading>> {
    let sensors: Vec<_> = (0..SENSORS)
        .map(|index| Arc::new(Sensor::new(&format!("sensor-{index}"), "t")))
        .collect();
    let reading = |step: u64| {
        let sensor = sensors[(step * 7 % SENSORS as u64) as usize].clone();
        let time = Timestamp::from_micros(step as i64 * 1_000).unwrap();
        Reading::new(sensor, time, Value::Scalar(step as f64)).unwrap()
    };
    let steps: Vec<u64> = (from..from + count).collect();
    steps
        .chunks(25)
        .map(|chunk| chunk.iter().copied().map(reading).collect())
        .collect()
}

/// The first deliveries of each sensor, as values in order, and the number of records with an identity seen before.
fn first_deliveries(sink: &Moody) -> (BTreeMap<String, Vec<f64>>, usize) {
    let mut seen: HashMap<(Box<str>, Identity), Vec<u8>> = HashMap::new();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut repeated = 0;
    let mut decoder = wire::json::Decoder::new();
    for record in sink.accepted.lock().unwrap().iter() {
        let Record {
            identity, data, lane, ..
        } = &**record;
        if let Some(before) = seen.insert((lane.name.clone(), *identity), data.clone()) {
            assert_eq!(&before, data, "an identity always has the same bytes");
            repeated += 1;
            continue;
        }
        let mut take = |json: &[u8]| {
            let reading = decoder.decode(json).unwrap().reading;
            let Value::Scalar(value) = reading.value() else {
                panic!("scalars only")
            };
            values.entry(reading.sensor().id().to_owned()).or_default().push(*value);
        };
        match wire::aggregate::deaggregate(data) {
            Ok(aggregate) => aggregate.records().for_each(|inner| take(inner.unwrap().data)),
            Err(_) => take(data),
        }
    }
    (values, repeated)
}

fn assert_all_in_order(sink: &Moody, count: u64) {
    assert_in_order(first_deliveries(sink).0, count);
}

fn assert_in_order(values: BTreeMap<String, Vec<f64>>, count: u64) {
    let total: usize = values.values().map(Vec::len).sum();
    assert_eq!(total as u64, count, "every reading once");
    for (sensor, values) in values {
        assert!(values.is_sorted_by(|one, next| one < next), "{sensor} is out of order");
    }
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn loses_nothing_and_keeps_order_through_faults_and_restarts(
        seed: u64, faults in 0.0..0.6f64, aggregated: bool, stop_ms in 20u64..1_500, lanes in 0u32..5, new_lanes in 0u32..5,
    ) {
        in_paused_time(async {
            let dir = tempfile::tempdir().unwrap();
            let sink = Arc::new(Moody::new(seed, faults));
            let stop = End::After(Duration::from_millis(stop_ms));
            let (given, settled) = numbered(batches(0, 1_000));
            let first = run_once(dir.path(), sink.clone(), 1, (aggregated, 1 << lanes), given, stop).await;
            assert_eq!(first.ended.unsaved, 0);
            let produced = first.counts.produced;
            assert_eq!(those(settled).len() as u64, produced / 25, "all that came in is safe: delivered or in the spool");
            let rest = numbered(batches(produced, 1_000 - produced.min(1_000))).0;
            let second = run_once(dir.path(), sink.clone(), 2, (aggregated, 1 << new_lanes), rest, End::Spent).await;
            assert_eq!(second.counts.recovered, first.ended.spooled);
            assert_eq!(second.counts.spooled, 0);
            assert_all_in_order(&sink, 1_000);
        });
    }

    /// What was reported safe is delivered; the rest is given again by a source that keeps it in order.
    #[test]
    fn a_kill_loses_nothing_that_is_safe_and_no_order(
        seed: u64, faults in 0.0..1.0f64, aggregated: bool, kill_ms in 20u64..3_000, lanes in 0u32..5, new_lanes in 0u32..5,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sink = Arc::new(Moody::new(seed, faults));
        let (given, settled) = numbered(batches(0, 2_000));
        in_paused_time(async {
            let run = run_once(dir.path(), sink.clone(), 1, (aggregated, 1 << lanes), given, End::Spent);
            let _killed = tokio::time::timeout(Duration::from_millis(kill_ms), run).await;
        });
        let safe: HashSet<_> = those(settled).into_iter().collect();
        let again = batches(0, 2_000).into_iter().zip(0..).filter(|(_, number)| !safe.contains(number));
        let (given, settled) = numbered(again.map(|(batch, _)| batch).collect());
        let unsafe_before = given.len();
        let steady = Arc::new(Moody { accepted: Mutex::new(sink.accepted.lock().unwrap().clone()), ..Moody::new(seed, 0.3) });
        in_paused_time(async {
            let packing = (aggregated, 1 << new_lanes);
            let second = run_once(dir.path(), steady.clone(), 2, packing, given, End::Spent).await;
            assert_eq!(second.counts.spooled, 0);
        });
        assert_eq!(those(settled).len(), unsafe_before);
        let (mut values, _) = first_deliveries(&steady);
        for values in values.values_mut() {
            let mut seen = HashSet::new();
            values.retain(|value| seen.insert(value.to_bits()));
        }
        assert_in_order(values, 2_000);
    }
}

#[test]
fn an_outage_goes_to_the_spool_and_comes_out_in_order() {
    in_paused_time(async {
        let dir = tempfile::tempdir().unwrap();
        let down = Arc::new(Moody {
            down: true,
            ..Moody::new(1, 0.0)
        });
        let first = run_once(
            dir.path(),
            down,
            1,
            (true, 4),
            numbered(batches(0, 5_000)).0,
            End::OnceFed,
        )
        .await;
        assert_eq!(
            first.ended,
            Ended {
                spooled: 5_000,
                unsaved: 0
            }
        );
        let up = Arc::new(Moody::new(2, 0.0));
        let second = run_once(
            dir.path(),
            up.clone(),
            2,
            (true, 4),
            numbered(batches(5_000, 500)).0,
            End::Spent,
        )
        .await;
        assert_eq!(second.counts.delivered, 5_500);
        assert_all_in_order(&up, 5_500);
    });
}

#[test]
fn a_record_that_is_rejected_for_good_is_found_and_blocks_nobody() {
    in_paused_time(async {
        let dir = tempfile::tempdir().unwrap();
        let sink = Arc::new(Moody {
            rejected: Some("\"sensor-3\""),
            ..Moody::new(3, 0.0)
        });
        let run = run_once(
            dir.path(),
            sink.clone(),
            1,
            (false, 1),
            numbered(batches(0, 1_000)).0,
            End::Spent,
        )
        .await;
        assert_eq!(run.counts.dead_lettered[DeadLetter::Rejected as usize], 25);
        assert_eq!(run.counts.delivered, 975);
        assert_all_in_order(&sink, 975);
    });
}

#[test]
fn a_reading_too_large_for_any_record_is_dead_lettered() {
    in_paused_time(async {
        let dir = tempfile::tempdir().unwrap();
        let sink = Arc::new(Moody::new(4, 0.0));
        let sensor = Arc::new(Sensor::new("long", "vector"));
        let numbers = |count: usize| Value::Vector((0..count).map(|at| at as f64 + 0.123456).collect());
        let readings = [10, 1_000, 20, 300].into_iter().enumerate().map(|(at, count)| {
            Reading::new(
                sensor.clone(),
                Timestamp::from_micros(at as i64).unwrap(),
                numbers(count),
            )
            .unwrap()
        });
        let (given, settled) = numbered(vec![readings.collect()]);
        let run = run_once(dir.path(), sink.clone(), 1, (true, 1), given, End::Spent).await;
        assert_eq!(run.counts.dead_lettered[DeadLetter::TooLarge as usize], 1);
        assert_eq!(run.counts.delivered, 3);
        assert_eq!(those(settled), [0], "its source hears of it too");
    });
}
