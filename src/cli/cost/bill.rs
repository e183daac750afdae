//! From what is done in a second to what is paid for in a month.

use serde::Serialize;

use super::Mode;
use super::plan::Plan;
use super::prices::Prices;
use super::traffic::Traffic;
use super::work::Work;

const MONTH_HOURS: f64 = 730.0;
const MONTH_SECONDS: f64 = MONTH_HOURS * 3600.0;
const GB: f64 = 1024.0 * 1024.0 * 1024.0;
const MILLION: f64 = 1e6;

/// Metrics of the two functions, 11 and 4.
const METRICS: f64 = 15.0;
/// Alarms of cfn/alarms.yaml.
pub(super) const ALARMS: f64 = 17.0;

/// What is taken. Without another word: in a month.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantities {
    /// Shards, those a stream on demand has included.
    pub shards: f64,
    /// Records put in a second.
    pub records_per_second: f64,
    /// Readings in a record.
    pub readings_per_record: f64,
    /// KB put in a second.
    pub kb_per_second: f64,
    /// PUT payload units, counted for a provisioned stream.
    pub put_payload_units: f64,
    /// GB written, counted for a stream on demand.
    pub gb_written: f64,
    /// Invocations of both functions.
    pub invocations: f64,
    /// GB-seconds of both functions.
    pub gb_seconds: f64,
    /// Write request units of all tables.
    pub write_units: f64,
    /// Read request units of all tables.
    pub read_units: f64,
    /// GB in all tables.
    pub table_gb: f64,
    /// Messages published to the topic.
    pub messages: f64,
    /// Emails sent.
    pub emails: f64,
    /// Text messages sent.
    pub sms: f64,
    /// GB of log lines.
    pub log_gb: f64,
}

/// What is paid in a month.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Dollars {
    /// The stream.
    pub kinesis: f64,
    /// Invocations and their time.
    pub lambda: f64,
    /// Units, storage and point-in-time recovery.
    pub dynamodb: f64,
    /// Messages, emails and text messages.
    pub sns: f64,
    /// Log lines, metrics and alarms.
    pub cloudwatch: f64,
    /// All of it.
    pub total: f64,
}

impl Quantities {
    pub(super) fn of(mode: Mode, traffic: &Traffic, shards: f64, work: &Work, plan: &Plan) -> Self {
        let records = traffic.records * MONTH_SECONDS;
        let only = |wanted, amount| if mode == wanted { amount } else { 0.0 };
        let messages = work.published * MONTH_SECONDS;
        Self {
            shards,
            records_per_second: traffic.records,
            readings_per_record: traffic.readings,
            kb_per_second: traffic.bytes_a_second() / 1024.0,
            put_payload_units: only(Mode::Provisioned, records * traffic.put_units()),
            gb_written: only(Mode::OnDemand, records * traffic.billed_bytes() / GB),
            invocations: work.invocations * MONTH_SECONDS,
            gb_seconds: work.gb_seconds * MONTH_SECONDS,
            write_units: work.writes * MONTH_SECONDS,
            read_units: work.reads * MONTH_SECONDS,
            table_gb: work.table_bytes / GB,
            messages,
            emails: messages * f64::from(plan.emails),
            sms: messages * f64::from(plan.sms),
            log_gb: work.log_bytes * MONTH_SECONDS / GB,
        }
    }

    pub(super) fn cost(&self, mode: Mode, prices: &Prices) -> Dollars {
        let kinesis = match mode {
            Mode::Provisioned => {
                self.shards * MONTH_HOURS * prices.shard_hour
                    + self.put_payload_units / MILLION * prices.million_put_units
            }
            // What is written is read once, by the function.
            Mode::OnDemand => MONTH_HOURS * prices.stream_hour + self.gb_written * (prices.gb_written + prices.gb_read),
        };
        let lambda = self.invocations / MILLION * prices.million_invocations + self.gb_seconds * prices.gb_second;
        let dynamodb = self.write_units / MILLION * prices.million_writes
            + self.read_units / MILLION * prices.million_reads
            + self.table_gb * (prices.gb_month_table + prices.gb_month_recovery);
        let sns = self.messages / MILLION * prices.million_published
            + self.emails / 100_000.0 * prices.hundred_thousand_emails
            + self.sms * prices.sms;
        let cloudwatch = self.log_gb * (prices.gb_logged + prices.gb_month_log)
            + METRICS * prices.metric_month
            + ALARMS * prices.alarm_month;
        Dollars {
            kinesis,
            lambda,
            dynamodb,
            sns,
            cloudwatch,
            total: kinesis + lambda + dynamodb + sns + cloudwatch,
        }
    }
}
