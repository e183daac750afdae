//! Every metric: its name, kind, labels and help, and one function for each thing that is counted. Nothing else in the
//! daemon names a metric. Where readings are is counted by the ledger; a scrape shows one snapshot of it, so that the
//! conservation law holds exactly in each.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use wire::Timestamp;

use crate::clock;
use crate::ledger::{Counts, DeadLetter, Drop, Ledger};
use crate::sink::{Answer, PutError};

/// What operators are told a metric means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The full name, unit included.
    pub name: &'static str,
    /// How Prometheus treats it.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// How Prometheus treats a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; 0 at the start of the daemon.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, in buckets.
    Histogram,
}

macro_rules! descriptions {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(const $constant: Description =
            Description { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// Every metric.
        pub const ALL: &[Description] = &[$($constant),*];
    };
}

descriptions! {
    BUILD_INFO = Gauge "temp_ingest_build_info" ["version"] "1, labelled with the version that runs";
    PRODUCED = Counter "temp_ingest_readings_produced_total" [] "Readings handed over by sources";
    RECOVERED = Counter "temp_ingest_readings_recovered_total" [] "Readings found in the spool at the start";
    DELIVERED = Counter "temp_ingest_readings_delivered_total" [] "Readings the sink accepted";
    DROPPED = Counter "temp_ingest_readings_dropped_total" ["reason"] "Readings given up";
    DEAD_LETTERED = Counter "temp_ingest_readings_dead_lettered_total" ["reason"] "Readings written to the dead-letter file";
    SPOOLED = Gauge "temp_ingest_readings_spooled" [] "Readings in the spool";
    IN_FLIGHT = Gauge "temp_ingest_readings_in_flight" [] "Readings in memory: neither delivered, spooled nor given up";
    OLDEST_UNSENT = Gauge "temp_ingest_oldest_unsent_reading_age_seconds" [] "Time since the oldest undelivered reading came in; 0 where there is none";
    MALFORMED = Counter "temp_ingest_malformed_total" ["source"] "Lines or messages of a source that were no reading, and were skipped";
    BROKER_CONNECTED = Gauge "temp_ingest_mqtt_connected" ["source"] "1 while a source of kind mqtt is connected to its broker and subscribed, else 0";
    BROKER_RECONNECTS = Counter "temp_ingest_mqtt_reconnects_total" ["source"] "Connections of a source of kind mqtt after the first";
    BROKER_MESSAGES = Counter "temp_ingest_mqtt_messages_total" ["source", "outcome"] "Messages of a source of kind mqtt, by what they came to";
    HTTP_REQUESTS = Counter "temp_ingest_http_requests_total" ["source", "status"] "Requests to a source of kind http, by the status of their answer";
    REQUESTS = Counter "temp_ingest_requests_total" ["outcome"] "Requests to the sink, by what became of them";
    PUT_DURATION = Histogram "temp_ingest_put_duration_seconds" [] "Time from sending a request to the sink's answer";
    RECORDS_DELIVERED = Counter "temp_ingest_records_delivered_total" [] "Records the sink accepted";
    REFUSALS = Counter "temp_ingest_refusals_total" ["code"] "Records the sink refused and that are sent again, by its code";
    SHARD_PACE = Gauge "temp_ingest_shard_pace_bytes_per_second" ["shard"] "How fast a shard is fed at most";
    MEMORY = Gauge "temp_ingest_memory_bytes" ["budget"] "Bytes of readings in memory (used), and how many there may be (limit)";
    SPOOL = Gauge "temp_ingest_spool_bytes" ["budget"] "Bytes of the spool (used), and how many there may be (limit)";
}

/// Upper bounds of the buckets of put durations, in seconds: from a put within one zone to the longest that is waited for.
const PUT_SECONDS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What became of a request that was answered; one that was not is counted under its failure's kind.
const OUTCOMES: [&str; 3] = ["accepted", "partial", "refused"];

/// The histogram keeps each sample until it is folded into its buckets; without scrapes they would add up.
const PUTS_BETWEEN_UPKEEP: u64 = 1024;

/// The metrics of one daemon.
pub struct Metrics {
    ledger: Arc<Ledger>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// One scrape at a time: between setting the counts and writing them out no other may set newer ones.
    scrape: Mutex<()>,
    readings: Readings,
    oldest_unsent: Gauge,
    /// Microseconds since the epoch; `i64::MAX` where nothing waits.
    oldest_since: AtomicI64,
    put_duration: Histogram,
    puts: AtomicU64,
    records_delivered: Counter,
    memory: Used,
    spool: Used,
}

struct Readings {
    produced: Counter,
    recovered: Counter,
    delivered: Counter,
    dropped: [Counter; Drop::ALL.len()],
    dead_lettered: [Counter; DeadLetter::ALL.len()],
    spooled: Gauge,
    in_flight: Gauge,
}

struct Used {
    used: Gauge,
    limit: Gauge,
}

impl Metrics {
    /// The metrics of a daemon whose readings `ledger` counts; all at zero.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(PUT_DURATION.name.into()), &PUT_SECONDS)
            .expect("there are buckets")
            .build_recorder();
        for description in ALL {
            let (name, help) = (description.name.into(), description.help.into());
            match description.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram => recorder.describe_histogram(name, None, help),
            }
        }
        gauge(&recorder, BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        for outcome in OUTCOMES {
            counter(&recorder, REQUESTS, &[outcome]).absolute(0);
        }
        counter(&recorder, REFUSALS, &["ProvisionedThroughputExceededException"]).absolute(0);
        let oldest_unsent = gauge(&recorder, OLDEST_UNSENT, &[]);
        oldest_unsent.set(0.0);
        Self {
            readings: Readings::new(&recorder),
            oldest_unsent,
            oldest_since: AtomicI64::new(i64::MAX),
            put_duration: recorder.register_histogram(&key(PUT_DURATION, &[]), &METADATA),
            puts: AtomicU64::new(0),
            records_delivered: counter(&recorder, RECORDS_DELIVERED, &[]),
            memory: Used::new(&recorder, MEMORY),
            spool: Used::new(&recorder, SPOOL),
            handle: recorder.handle(),
            scrape: Mutex::new(()),
            ledger,
            recorder,
        }
    }

    /// All metrics in Prometheus' text format, as of one instant.
    pub fn render(&self) -> String {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.readings.set(&self.ledger.snapshot());
        let since = self.oldest_since.load(Ordering::Relaxed);
        self.oldest_unsent
            .set(clock::now().as_micros().saturating_sub(since).max(0) as f64 / 1e6);
        self.handle.render()
    }

    /// Where every reading is.
    pub fn counts(&self) -> Counts {
        self.ledger.snapshot()
    }

    /// The sink answered a request, or failed to, after so long.
    pub fn put(&self, took: Duration, answers: &Result<Vec<Answer>, PutError>) {
        let outcome = match answers {
            Ok(answers) => self.answered(answers),
            Err(PutError::Transient { kind, .. } | PutError::Rejected { kind, .. }) => kind,
            Err(PutError::Fatal { .. }) => "fatal",
        };
        counter(&self.recorder, REQUESTS, &[outcome]).increment(1);
        self.put_duration.record(took);
        if self.puts.fetch_add(1, Ordering::Relaxed) % PUTS_BETWEEN_UPKEEP == PUTS_BETWEEN_UPKEEP - 1 {
            self.handle.run_upkeep();
        }
    }

    fn answered(&self, answers: &[Answer]) -> &'static str {
        let mut refused = 0;
        for answer in answers {
            if let Answer::Refused(code) = answer {
                counter(&self.recorder, REFUSALS, &[code]).increment(1);
                refused += 1;
            }
        }
        match refused {
            0 => "accepted",
            _ if refused < answers.len() => "partial",
            _ => "refused",
        }
    }

    /// The sink took so many records for good.
    pub fn delivered(&self, records: u64) {
        self.records_delivered.increment(records);
    }

    /// The oldest reading that is not delivered came in then; `None` where all are.
    pub fn oldest_unsent(&self, since: Option<Timestamp>) {
        self.oldest_since
            .store(since.map_or(i64::MAX, Timestamp::as_micros), Ordering::Relaxed);
    }

    /// This shard is fed so fast at most.
    pub fn pace(&self, shard: &str, bytes_per_second: f64) {
        gauge(&self.recorder, SHARD_PACE, &[shard]).set(bytes_per_second);
    }

    /// Nothing was sent to this shard for long. Its series cannot be taken back: it says that there is no number.
    pub fn no_pace(&self, shard: &str) {
        self.pace(shard, f64::NAN);
    }

    /// So many bytes of the budget are in use.
    pub fn memory(&self, used: u64, limit: u64) {
        self.memory.set(used, limit);
    }

    /// So many bytes of what the spool may hold are in use.
    pub fn spool(&self, used: u64, limit: u64) {
        self.spool.set(used, limit);
    }

    /// Whether a source of kind mqtt is connected to its broker and subscribed.
    pub fn broker_connected(&self, source: &str, connected: bool) {
        gauge(&self.recorder, BROKER_CONNECTED, &[source]).set(f64::from(u8::from(connected)));
    }

    /// A source of kind mqtt has so many more connections after its first.
    pub fn broker_reconnected(&self, source: &str, times: u64) {
        counter(&self.recorder, BROKER_RECONNECTS, &[source]).increment(times);
    }

    /// So many more messages of a source of kind mqtt came to this.
    pub fn broker_messages(&self, source: &str, outcome: &str, messages: u64) {
        counter(&self.recorder, BROKER_MESSAGES, &[source, outcome]).increment(messages);
    }

    /// A source of kind http answered a request with this status.
    pub fn http_answered(&self, source: &str, status: u16) {
        counter(&self.recorder, HTTP_REQUESTS, &[source, &status.to_string()]).increment(1);
    }

    /// So many lines or messages of this source were no reading, since the start.
    pub fn malformed(&self, source: &str, total: u64) {
        counter(&self.recorder, MALFORMED, &[source]).absolute(total);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl Readings {
    fn new(recorder: &PrometheusRecorder) -> Self {
        Self {
            produced: counter(recorder, PRODUCED, &[]),
            recovered: counter(recorder, RECOVERED, &[]),
            delivered: counter(recorder, DELIVERED, &[]),
            dropped: Drop::ALL.map(|reason| counter(recorder, DROPPED, &[reason.reason()])),
            dead_lettered: DeadLetter::ALL.map(|reason| counter(recorder, DEAD_LETTERED, &[reason.reason()])),
            spooled: gauge(recorder, SPOOLED, &[]),
            in_flight: gauge(recorder, IN_FLIGHT, &[]),
        }
    }

    fn set(&self, counts: &Counts) {
        self.produced.absolute(counts.produced);
        self.recovered.absolute(counts.recovered);
        self.delivered.absolute(counts.delivered);
        for (counter, count) in self.dropped.iter().zip(counts.dropped) {
            counter.absolute(count);
        }
        for (counter, count) in self.dead_lettered.iter().zip(counts.dead_lettered) {
            counter.absolute(count);
        }
        self.spooled.set(counts.spooled as f64);
        self.in_flight.set(counts.in_flight as f64);
    }
}

impl Used {
    fn new(recorder: &PrometheusRecorder, description: Description) -> Self {
        Self {
            used: gauge(recorder, description, &["used"]),
            limit: gauge(recorder, description, &["limit"]),
        }
    }

    fn set(&self, used: u64, limit: u64) {
        self.used.set(used as f64);
        self.limit.set(limit as f64);
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

fn counter(recorder: &PrometheusRecorder, description: Description, values: &[&str]) -> Counter {
    recorder.register_counter(&key(description, values), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, description: Description, values: &[&str]) -> Gauge {
    recorder.register_gauge(&key(description, values), &METADATA)
}

fn key(description: Description, values: &[&str]) -> Key {
    let labels: Vec<_> = description
        .labels
        .iter()
        .zip(values)
        .map(|(label, value)| Label::new(*label, (*value).to_owned()))
        .collect();
    Key::from_parts(description.name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(scrape: &str, series: &str) -> f64 {
        scrape
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {series} in\n{scrape}"))
    }

    #[test]
    fn a_scrape_holds_the_conservation_law_while_readings_move() {
        let ledger = Arc::new(Ledger::default());
        let metrics = Metrics::new(ledger.clone());
        std::thread::scope(|scope| {
            let mover = scope.spawn(|| {
                for _ in 0..20_000 {
                    ledger.record(|counts| {
                        counts.produced += 3;
                        counts.in_flight += 3;
                    });
                    ledger.record(|counts| {
                        counts.in_flight -= 3;
                        counts.delivered += 1;
                        counts.spooled += 1;
                        counts.dropped[1] += 1;
                    });
                }
            });
            while !mover.is_finished() {
                let scrape = metrics.render();
                let count = |name: &str| value(&scrape, &format!("temp_ingest_readings_{name} "));
                let dropped: f64 = Drop::ALL
                    .map(|reason| {
                        value(
                            &scrape,
                            &format!("temp_ingest_readings_dropped_total{{reason=\"{}\"}} ", reason.reason()),
                        )
                    })
                    .iter()
                    .sum();
                assert_eq!(
                    count("produced_total") + count("recovered_total"),
                    count("delivered_total") + dropped + count("spooled") + count("in_flight"),
                );
            }
        });
        assert_eq!(
            value(&metrics.render(), "temp_ingest_readings_produced_total "),
            60_000.0
        );
    }

    #[test]
    fn every_metric_is_there_from_the_start_but_those_whose_labels_are_not_known_yet() {
        let scrape = Metrics::new(Arc::default()).render();
        for metric in ALL {
            let later = ["shard", "source"].iter().any(|label| metric.labels.contains(label));
            assert_eq!(
                scrape.contains(&format!("\n{}", metric.name)),
                !later,
                "{} in\n{scrape}",
                metric.name
            );
        }
    }

    #[test]
    fn requests_are_counted_by_outcome_and_refusals_by_code() {
        let metrics = Metrics::new(Arc::default());
        let took = Duration::from_millis(30);
        metrics.put(took, &Ok(vec![Answer::Accepted(None), Answer::Accepted(None)]));
        metrics.put(
            took,
            &Ok(vec![Answer::Accepted(None), Answer::Refused("InternalFailure")]),
        );
        metrics.put(took, &Ok(vec![Answer::Refused("InternalFailure")]));
        metrics.put(
            took,
            &Err(PutError::Transient {
                kind: "timeout",
                message: String::new(),
            }),
        );
        metrics.delivered(3);
        let scrape = metrics.render();
        for (series, expected) in [
            ("temp_ingest_requests_total{outcome=\"accepted\"} ", 1.0),
            ("temp_ingest_requests_total{outcome=\"partial\"} ", 1.0),
            ("temp_ingest_requests_total{outcome=\"refused\"} ", 1.0),
            ("temp_ingest_requests_total{outcome=\"timeout\"} ", 1.0),
            ("temp_ingest_refusals_total{code=\"InternalFailure\"} ", 2.0),
            ("temp_ingest_records_delivered_total ", 3.0),
            ("temp_ingest_put_duration_seconds_bucket{le=\"0.02\"} ", 0.0),
            ("temp_ingest_put_duration_seconds_bucket{le=\"0.05\"} ", 4.0),
            ("temp_ingest_put_duration_seconds_count ", 4.0),
        ] {
            assert_eq!(value(&scrape, series), expected, "{series}");
        }
    }

    #[test]
    fn the_age_of_the_oldest_unsent_reading_grows_until_it_is_sent() {
        let metrics = Metrics::new(Arc::default());
        let age = || value(&metrics.render(), "temp_ingest_oldest_unsent_reading_age_seconds ");
        assert_eq!(age(), 0.0);
        metrics.oldest_unsent(Timestamp::from_micros(clock::now().as_micros() - 90_000_000));
        assert!(age() >= 90.0);
        metrics.oldest_unsent(None);
        assert_eq!(age(), 0.0);
    }

    #[test]
    fn pace_memory_spool_and_malformed_are_labelled() {
        let metrics = Metrics::new(Arc::default());
        metrics.pace("shardId-000000000001", 250_000.0);
        metrics.memory(5, 7);
        metrics.spool(11, 13);
        metrics.malformed("history", 2);
        metrics.broker_connected("broker", true);
        metrics.broker_reconnected("broker", 3);
        metrics.broker_messages("broker", "readings", 17);
        metrics.http_answered("posts", 200);
        metrics.http_answered("posts", 200);
        let scrape = metrics.render();
        for (series, expected) in [
            (
                "temp_ingest_shard_pace_bytes_per_second{shard=\"shardId-000000000001\"} ",
                250_000.0,
            ),
            ("temp_ingest_memory_bytes{budget=\"used\"} ", 5.0),
            ("temp_ingest_memory_bytes{budget=\"limit\"} ", 7.0),
            ("temp_ingest_spool_bytes{budget=\"used\"} ", 11.0),
            ("temp_ingest_spool_bytes{budget=\"limit\"} ", 13.0),
            ("temp_ingest_malformed_total{source=\"history\"} ", 2.0),
            ("temp_ingest_mqtt_connected{source=\"broker\"} ", 1.0),
            ("temp_ingest_mqtt_reconnects_total{source=\"broker\"} ", 3.0),
            (
                "temp_ingest_mqtt_messages_total{source=\"broker\",outcome=\"readings\"} ",
                17.0,
            ),
            ("temp_ingest_http_requests_total{source=\"posts\",status=\"200\"} ", 2.0),
        ] {
            assert_eq!(value(&scrape, series), expected, "{series}");
        }
    }
}
