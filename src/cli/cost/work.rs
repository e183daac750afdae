//! What is done behind the stream: invocations, what they write and read, what people are told.

use processor::handler::Limits;
use processor::partition::MAX_ENTRIES;

use super::plan::Plan;
use super::table::grouped;
use super::traffic::Traffic;
use super::{Mode, Way};

/// Without a batch window an event source mapping asks a shard for records once a second.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>
const POLL_SECONDS: f64 = 1.0;
/// An invocation's event, which holds records in base64.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const EVENT_BYTES: f64 = 6_000_000.0;
/// What the event says of a record beside its data.
const ENVELOPE_BYTES: f64 = 500.0;
/// A function with this memory has a whole processor; with less, its share.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const WHOLE_CPU_MB: f64 = 1_769.0;

/// A reading from its bytes into the entry, on a whole processor.
const READING_MS: f64 = 0.005;
/// An invocation besides its readings and its writes, and one write.
const INVOCATION_MS: f64 = 12.0;
const WRITE_MS: f64 = 8.0;
/// Writes under way at once.
const WRITES_AT_ONCE: f64 = 16.0;
/// So often a function instance is replaced and loads its pages.
const INSTANCE_SECONDS: f64 = 7_200.0;
/// A page in memory beside its sensors.
const WARM_PAGE_BYTES: f64 = 2_048.0;

const UNIT_BYTES: f64 = processor::partition::UNIT_BYTES as f64;
const READ_UNIT_BYTES: f64 = 4096.0;
/// An entry beside its journal: keys, marks, version.
const ENTRY_BYTES: f64 = 200.0;
const ENTRY_RECORD_BYTES: f64 = 20.0;
const ENTRY_READING_BYTES: f64 = 6.7;
const ENTRY_EVENT_BYTES: f64 = 170.0;
const SENSOR_BYTES: f64 = 2.3 * 1024.0;
/// Places of a page's ring.
const RING: f64 = MAX_ENTRIES as f64;

const ANOMALIES_AN_INCIDENT: f64 = 5.0;
const MOMENTS_AN_INCIDENT: f64 = 3.0;
/// The moment itself; the incident moved forward, claimed and marked told, each in the table and in two indexes.
const MOMENT_UNITS: f64 = 10.0;
/// Of a sensor with a group the incident is not claimed,
const MOMENT_IN_GROUP_UNITS: f64 = 7.0;
/// and the group is claimed, kept and freed: together as much, where a group has one moment in a delivery.
const GROUP_UNITS: f64 = 3.0;
/// When an incident resolves, its entry in the index by state moves.
const RESOLVED_UNITS: f64 = 1.0;
const ANOMALY_BYTES: f64 = 400.0;
const INCIDENT_BYTES: f64 = 4_000.0;
const KEPT_SECONDS: f64 = 365.0 * 86_400.0;

/// What the readings of an item share, and one of them: tests/cloud/test_systems.py measures both, with times to the
/// microsecond. Readings at whole seconds take 9 bytes.
const READING_ITEM_BYTES: f64 = 130.0;
const READING_ITEM_MORE_BYTES: f64 = 15.0;
/// What is paid for the storage of an item beside its bytes. <https://aws.amazon.com/dynamodb/pricing/on-demand/>
const STORED_ITEM_BYTES: f64 = 100.0;

const DETECT_LOG_BYTES: f64 = 1_800.0;
const ALERT_LOG_BYTES: f64 = 1_400.0;

/// All of it a second, but what is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub invocations: f64,
    pub gb_seconds: f64,
    pub writes: f64,
    pub reads: f64,
    pub table_bytes: f64,
    pub published: f64,
    pub log_bytes: f64,
    /// The part of the time that each concurrent invocation of a shard is at work.
    pub busy: f64,
    /// Bytes of the pages that one instance serves.
    pub warm_bytes: f64,
}

impl Work {
    pub fn of(way: Way, plan: &Plan, traffic: &Traffic, shards: f64) -> Self {
        let polls = Polls::of(plan, traffic, shards);
        let anomalies = plan.anomalies_per_day / 86_400.0;
        let mut work = Self::default();
        let (entries, readings) = match way {
            Way::Stateless => {
                work.writes = anomalies;
                work.published = anomalies;
                work.table_bytes = anomalies * KEPT_SECONDS * ANOMALY_BYTES;
                (0.0, 0.0)
            }
            _ => {
                let entries = work.pages(plan, traffic, &polls, anomalies);
                work.alert(plan, anomalies, entries);
                (entries, work.store_readings(plan, &polls))
            }
        };
        let writes = entries + readings + if way == Way::Stateless { anomalies } else { 0.0 };
        let busy = polls.invocations * plan.milliseconds(plan.rate / polls.invocations, writes / polls.invocations);
        work.busy = busy / 1_000.0 / polls.pollers;
        work.invocations += polls.invocations;
        work.gb_seconds += busy / 1_000.0 * plan.gb();
        work.log_bytes += polls.invocations * DETECT_LOG_BYTES;
        work
    }

    /// Entries and checkpoints; returns how many entries.
    fn pages(&mut self, plan: &Plan, traffic: &Traffic, polls: &Polls, anomalies: f64) -> f64 {
        let entries = traffic.records.min(traffic.keys * polls.of_key);
        let events = anomalies * (1.0 + MOMENTS_AN_INCIDENT / ANOMALIES_AN_INCIDENT);
        let written =
            ENTRY_RECORD_BYTES * traffic.records + ENTRY_READING_BYTES * plan.rate + ENTRY_EVENT_BYTES * events;
        let entry_bytes = ENTRY_BYTES + written / entries;
        let units = (entry_bytes / UNIT_BYTES).ceil();
        let page_bytes = ENTRY_BYTES + SENSOR_BYTES * plan.sensors / traffic.keys;
        let checkpoint = (page_bytes / UNIT_BYTES).ceil();
        let limits = Limits::default();
        let between = (limits.checkpoint_ratio as f64 * checkpoint)
            .max(limits.checkpoint_entries as f64 * units)
            .min((limits.checkpoint_bytes as f64 / UNIT_BYTES).max(units));
        self.writes += entries * units * (1.0 + checkpoint / between);
        let load_bytes = page_bytes + between / 2.0 * UNIT_BYTES;
        self.reads += traffic.keys / INSTANCE_SECONDS * (load_bytes / READ_UNIT_BYTES).ceil();
        self.table_bytes += traffic.keys * (page_bytes + RING * entry_bytes);
        let warm_page_bytes = WARM_PAGE_BYTES + detect::SENSOR_BYTES as f64 * plan.sensors / traffic.keys;
        self.warm_bytes = traffic.keys / polls.pollers * warm_page_bytes;
        entries
    }

    fn alert(&mut self, plan: &Plan, anomalies: f64, entries: f64) {
        let incidents = anomalies / ANOMALIES_AN_INCIDENT;
        let moments = incidents * MOMENTS_AN_INCIDENT;
        let invocations = (anomalies + incidents).min(entries);
        self.writes += anomalies + moments * MOMENT_UNITS + incidents * RESOLVED_UNITS;
        self.reads += moments;
        self.table_bytes += KEPT_SECONDS * (anomalies * ANOMALY_BYTES + incidents * INCIDENT_BYTES);
        self.published += moments;
        self.invocations += invocations;
        self.gb_seconds += invocations * plan.milliseconds(0.0, 5.0 * WRITES_AT_ONCE) / 1_000.0 * plan.gb();
        self.log_bytes += invocations * ALERT_LOG_BYTES;
    }

    /// One item a sensor and invocation; returns how many.
    fn store_readings(&mut self, plan: &Plan, polls: &Polls) -> f64 {
        if plan.readings_days == 0 {
            return 0.0;
        }
        let items = plan.rate.min(plan.sensors * polls.of_key);
        let bytes = READING_ITEM_BYTES + READING_ITEM_MORE_BYTES * plan.rate / items;
        self.writes += items * (bytes / UNIT_BYTES).ceil();
        self.table_bytes += items * (bytes + STORED_ITEM_BYTES) * f64::from(plan.readings_days) * 86_400.0;
        items
    }

    /// What of it would not go well.
    pub fn warnings(&self, way: Way, mode: Mode, plan: &Plan) -> Vec<String> {
        let mut warnings = Vec::new();
        let at = format!("{}, {}", way.name(), mode.name());
        if self.busy > 0.8 {
            warnings.push(format!(
                "{at}: each function instance would be at work {:.0} % of the time and fall behind: raise --memory above {} or \
                 --parallelization above {}",
                self.busy * 100.0,
                plan.memory,
                plan.parallelization
            ));
        }
        let kept = Limits::within(plan.memory as usize).warm_bytes as f64;
        if self.warm_bytes > kept {
            warnings.push(format!(
                "{at}: the pages of a function instance take {:.0} MB and it keeps {:.0} of them, so it would load pages again \
                 and again, which is not counted: raise --parallelization above {} or take more shards",
                self.warm_bytes / 1e6,
                kept / 1e6,
                plan.parallelization
            ));
        }
        warnings
    }
}

/// How the event source mapping turns records into invocations.
struct Polls {
    /// Concurrent batches that have records.
    pollers: f64,
    /// Invocations a second.
    invocations: f64,
    /// Invocations a second that a partition key's records could be in.
    of_key: f64,
}

impl Polls {
    fn of(plan: &Plan, traffic: &Traffic, shards: f64) -> Self {
        let pollers = (shards * f64::from(plan.parallelization)).min(traffic.keys);
        let window = f64::from(plan.batch_window).max(POLL_SECONDS);
        let fitting = EVENT_BYTES / (traffic.bytes * 4.0 / 3.0 + ENVELOPE_BYTES);
        let most = f64::from(plan.batch_size).min(fitting.floor().max(1.0));
        Self {
            pollers,
            invocations: traffic.records.min(pollers / window).max(traffic.records / most),
            of_key: (1.0 / window).max(traffic.records / pollers / most),
        }
    }
}

impl Plan {
    fn gb(&self) -> f64 {
        f64::from(self.memory) / 1024.0
    }

    /// What an invocation is paid for: whole milliseconds.
    fn milliseconds(&self, readings: f64, writes: f64) -> f64 {
        let slower = (WHOLE_CPU_MB / f64::from(self.memory)).max(1.0);
        let waiting = INVOCATION_MS + WRITE_MS * (writes / WRITES_AT_ONCE).max(1.0);
        (waiting + readings * READING_MS * slower).ceil()
    }
}

pub(super) fn moment_units() -> String {
    format!(
        "a moment of an incident takes {MOMENT_UNITS} write units; of a sensor with a group {MOMENT_IN_GROUP_UNITS}, and \
         {GROUP_UNITS} for each group in a delivery"
    )
}

pub(super) fn assumptions(plan: &Plan) -> Vec<String> {
    let mut all = vec![
        format!(
            "the mapping gathers records for {} s, at most {} an invocation, {} invocations of a shard at once \
             (--batch-window, --batch-size, --parallelization)",
            f64::from(plan.batch_window).max(POLL_SECONDS),
            plan.batch_size,
            plan.parallelization
        ),
        format!(
            "a function of {} MB on x86 takes {INVOCATION_MS} ms an invocation, {WRITE_MS} ms for {WRITES_AT_ONCE} writes at \
             once, and 5 µs a reading on a whole processor (--memory)",
            plan.memory
        ),
        format!(
            "an entry takes {ENTRY_BYTES} bytes and {ENTRY_READING_BYTES} a reading; a checkpoint 2.3 KB a sensor, written when \
             the entries since cost {} times as much",
            Limits::default().checkpoint_ratio
        ),
        format!(
            "{} anomalies a day, {ANOMALIES_AN_INCIDENT} to an incident, {MOMENTS_AN_INCIDENT} messages an incident to {} by \
             email and {} by SMS (--anomalies-per-day, --emails, --sms); kept for a year",
            grouped(plan.anomalies_per_day, 0),
            plan.emails,
            plan.sms
        ),
        moment_units(),
        format!(
            "{DETECT_LOG_BYTES} bytes of log an invocation, kept for 30 days; put_record is a script: a request a reading, fixed \
             bounds, no state, a message an anomaly"
        ),
    ];
    if plan.readings_days > 0 {
        all.push(format!(
            "every reading is kept in a table for {} days: an item for what an invocation has of a sensor, of \
             {READING_ITEM_BYTES} bytes and {READING_ITEM_MORE_BYTES} a reading (--readings-days)",
            plan.readings_days
        ));
    }
    all
}
