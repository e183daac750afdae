//! Every metric: its name, kind, labels and help, and one function for each thing that is counted. Nothing else in the
//! daemon names a metric. Where readings are is counted by the ledger; a scrape shows one snapshot of it, so that the
//! conservation law holds exactly in each.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use delivery::lane::LaneActivity;
use delivery::ledger::{Counts, DeadLetter, DropReason, Ledger};
use delivery::sink::{Answer, PutError};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use wire::Timestamp;

use crate::clock;
use crate::telemetry::sink_health::Cause;

/// The meaning of a metric, for operators.
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
    LATE = Counter "temp_ingest_readings_late_total" [] "Readings the embedded detector did not judge: not newer than their sensor's last, or events behind a closed window";
    MALFORMED = Counter "temp_ingest_malformed_total" ["source"] "Lines or messages of a source that were no reading, and were skipped";
    UNJUDGED = Counter "temp_ingest_readings_unjudged_total" [] "Readings the embedded detector did not judge: their sensor is new, and its partition holds max_sensors_per_partition";
    REFUSED = Counter "temp_ingest_readings_refused_total" ["source"] "Readings a source refused, and did not produce: their sensor is new, or over HTTP another one of the request, and max_new_sensors_per_hour is reached";
    BROKER_CONNECTED = Gauge "temp_ingest_mqtt_connected" ["source"] "1 while a source of kind mqtt is connected to its broker and subscribed, else 0";
    BROKER_RECONNECTS = Counter "temp_ingest_mqtt_reconnects_total" ["source"] "Connections of a source of kind mqtt after the first";
    BROKER_MESSAGES = Counter "temp_ingest_mqtt_messages_total" ["source", "outcome"] "Messages of a source of kind mqtt, by what they came to";
    HTTP_REQUESTS = Counter "temp_ingest_http_requests_total" ["source", "status"] "Requests to a source of kind http, by the status of their answer";
    HTTP_OVERLOADS = Counter "temp_ingest_http_overloads_total" ["source", "reason"] "Requests to a source of kind http that were asked to come again later, by what there was too little of";
    HTTP_CONNECTIONS_CLOSED = Counter "temp_ingest_http_connections_closed_total" ["port", "reason"] "Connections that were closed to keep an HTTP port within its limits, by reason: evicted in favour of a new one, or a new one beyond max_connections or max_client_connections";
    PAGE_FORMS = Counter "temp_ingest_page_forms_refused_total" ["reason"] "Forms sent to the page that were not read";
    PAGE_TOKENS = Counter "temp_ingest_page_tokens_refused_total" ["reason"] "Tokens shown to the page that let nobody in";
    REQUESTS = Counter "temp_ingest_requests_total" ["outcome"] "Requests to the sink, by what became of them";
    SINK_FAILING = Gauge "temp_ingest_sink_failing" ["cause"] "1 while the sink takes nothing: for an outage, which ends by itself, or for a configuration that a person has to correct";
    PUT_DURATION = Histogram "temp_ingest_put_duration_seconds" [] "Time from sending a request to the sink's answer";
    RECORDS_DELIVERED = Counter "temp_ingest_records_delivered_total" [] "Records the sink accepted";
    REFUSALS = Counter "temp_ingest_refusals_total" ["code"] "Records the sink refused and that are sent again, by its code";
    SHARD_PACE = Gauge "temp_ingest_shard_pace_bytes_per_second" ["shard"] "How fast a shard is fed at most";
    LANES = Gauge "temp_ingest_lanes" ["state"] "Lanes, by what they do";
    MEMORY = Gauge "temp_ingest_memory_bytes" ["budget"] "Bytes of readings in memory (used), and how many there may be (limit)";
    SPOOL = Gauge "temp_ingest_spool_bytes" ["budget"] "Bytes of the spool (used), and how many there may be (limit)";
}

/// Upper bounds of the buckets of put durations, in seconds: from a put within one zone to the longest that is waited for.
const PUT_SECONDS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What became of a request that was answered; one that was not is counted under its failure's kind.
const OUTCOMES: [&str; 3] = ["accepted", "partial", "refused"];

/// Why a token shown to the page lets nobody in.
const TOKEN_REFUSALS: [&str; 2] = ["wrong", "limit"];

/// Why a form sent to the page is not read.
const FORM_REFUSALS: [&str; 3] = ["too_large", "timeout", "broken"];

/// What the dashboard's port is called, beside `source.NAME` for those of sources.
pub const DASHBOARD_PORT: &str = "dashboard";

/// Why a connection is closed to keep a port within its limits.
const CONNECTION_CLOSES: [&str; 3] = ["evicted", "max_connections", "max_client_connections"];

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
    sink_failing: [Gauge; Cause::ALL.len()],
    put_duration: Histogram,
    puts: AtomicU64,
    records_delivered: Counter,
    late: Counter,
    unjudged: Counter,
    memory: Used,
    spool: Used,
    lanes: [Gauge; LaneActivity::ALL.len()],
    lanes_doing: Mutex<[u64; LaneActivity::ALL.len()]>,
}

struct Readings {
    produced: Counter,
    recovered: Counter,
    delivered: Counter,
    dropped: [Counter; DropReason::ALL.len()],
    dead_lettered: [Counter; DeadLetter::ALL.len()],
    spooled: Gauge,
    in_flight: Gauge,
}

struct Used {
    used: Gauge,
    limit: Gauge,
    bytes: Mutex<(u64, u64)>,
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
        for reason in TOKEN_REFUSALS {
            counter(&recorder, PAGE_TOKENS, &[reason]).absolute(0);
        }
        for reason in FORM_REFUSALS {
            counter(&recorder, PAGE_FORMS, &[reason]).absolute(0);
        }
        for reason in CONNECTION_CLOSES {
            counter(&recorder, HTTP_CONNECTIONS_CLOSED, &[DASHBOARD_PORT, reason]).absolute(0);
        }
        counter(&recorder, REFUSALS, &["ProvisionedThroughputExceededException"]).absolute(0);
        let oldest_unsent = gauge(&recorder, OLDEST_UNSENT, &[]);
        oldest_unsent.set(0.0);
        Self {
            readings: Readings::new(&recorder),
            oldest_unsent,
            oldest_since: AtomicI64::new(i64::MAX),
            sink_failing: Cause::ALL.map(|cause| gauge(&recorder, SINK_FAILING, &[cause.as_str()])),
            put_duration: recorder.register_histogram(&key(PUT_DURATION, &[]), &METADATA),
            puts: AtomicU64::new(0),
            records_delivered: counter(&recorder, RECORDS_DELIVERED, &[]),
            late: counter(&recorder, LATE, &[]),
            unjudged: counter(&recorder, UNJUDGED, &[]),
            memory: Used::new(&recorder, MEMORY),
            spool: Used::new(&recorder, SPOOL),
            lanes: LaneActivity::ALL.map(|doing| gauge(&recorder, LANES, &[doing.as_str()])),
            lanes_doing: Mutex::default(),
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
        self.oldest_unsent.set(self.oldest_unsent_age().as_secs_f64());
        self.handle.render()
    }

    /// For how long the oldest reading that is not delivered has been waiting; zero where all are.
    pub fn oldest_unsent_age(&self) -> Duration {
        let since = self.oldest_since.load(Ordering::Relaxed);
        let micros = clock::now().as_micros().saturating_sub(since).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }

    /// Bytes of readings in memory, and how many there may be.
    pub fn memory_bytes(&self) -> (u64, u64) {
        self.memory.bytes()
    }

    /// Bytes of the spool, and how many there may be.
    pub fn spool_bytes(&self) -> (u64, u64) {
        self.spool.bytes()
    }

    /// Lanes by what they do, in the order of [`LaneActivity::ALL`].
    pub fn lanes_doing(&self) -> [u64; LaneActivity::ALL.len()] {
        *self.lanes_doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where every reading is.
    pub fn counts(&self) -> Counts {
        self.ledger.snapshot()
    }

    /// The sink answered a request, or failed to, after so long.
    pub fn put(&self, took: Duration, answers: &Result<Vec<Answer>, PutError>) {
        let outcome = match answers {
            Ok(answers) => self.answered(answers),
            Err(
                PutError::Transient { kind, .. }
                | PutError::Misconfigured { kind, .. }
                | PutError::Rejected { kind, .. },
            ) => kind,
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

    /// Why the sink takes nothing; `None` while it does.
    pub fn sink_failing(&self, cause: Option<Cause>) {
        for (gauge, this) in self.sink_failing.iter().zip(Cause::ALL) {
            gauge.set(f64::from(u8::from(cause == Some(this))));
        }
    }

    /// The sink took so many records for good.
    pub fn delivered(&self, records: u64) {
        self.records_delivered.increment(records);
    }

    /// So many readings came too late to be judged in this process.
    pub fn late(&self, readings: u64) {
        self.late.increment(readings);
    }

    /// So many readings were not judged in this process because their partition is full.
    pub fn unjudged(&self, readings: u64) {
        self.unjudged.increment(readings);
    }

    /// So many readings of this source were refused because their sensors are new, since the start.
    pub fn refused(&self, source: &str, total: u64) {
        counter(&self.recorder, REFUSED, &[source]).absolute(total);
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

    /// So many lanes do this, in the order of [`LaneActivity::ALL`].
    pub fn lanes(&self, lanes: [u64; LaneActivity::ALL.len()]) {
        for (gauge, lanes) in self.lanes.iter().zip(lanes) {
            gauge.set(lanes as f64);
        }
        *self.lanes_doing.lock().unwrap_or_else(PoisonError::into_inner) = lanes;
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

    /// A source of kind http asked so many more clients to come again later, for this reason.
    pub fn http_overloads(&self, source: &str, reason: &str, requests: u64) {
        counter(&self.recorder, HTTP_OVERLOADS, &[source, reason]).increment(requests);
    }

    /// A connection to this port was closed to keep the port within its limits.
    pub fn connection_closed(&self, port: &str, reason: &str) {
        counter(&self.recorder, HTTP_CONNECTIONS_CLOSED, &[port, reason]).increment(1);
    }

    /// A form sent to the page was not read, for this reason.
    pub fn page_form_refused(&self, reason: &str) {
        counter(&self.recorder, PAGE_FORMS, &[reason]).increment(1);
    }

    /// A token shown to the page let nobody in, for this reason.
    pub fn page_token_refused(&self, reason: &str) {
        counter(&self.recorder, PAGE_TOKENS, &[reason]).increment(1);
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
            dropped: DropReason::ALL.map(|reason| counter(recorder, DROPPED, &[reason.reason()])),
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
            bytes: Mutex::default(),
        }
    }

    fn set(&self, used: u64, limit: u64) {
        self.used.set(used as f64);
        self.limit.set(limit as f64);
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = (used, limit);
    }

    fn bytes(&self) -> (u64, u64) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
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
#[path = "metrics_tests.rs"]
mod tests;
