//! What AWS charges: the one table. Dollars, in us-east-1, before free tiers, discounts and tax.

/// The day the newest price of the table was looked up; each price names its own.
pub const DATE: &str = "2026-10-04";
/// Where they hold.
pub const REGION: &str = "us-east-1";

/// Dollars for one unit of each thing that is paid for.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    /// A shard for an hour. 2026-09-25, <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub shard_hour: f64,
    /// A million PUT payload units of 25 KB, provisioned. 2026-09-25,
    /// <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub million_put_units: f64,
    /// A stream on demand for an hour. 2026-09-25, <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub stream_hour: f64,
    /// A GB written on demand, each record rounded up to 1 KB. 2026-09-25,
    /// <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub gb_written: f64,
    /// A GB read on demand. 2026-09-25, <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub gb_read: f64,
    /// A million invocations. 2026-08-09, <https://aws.amazon.com/lambda/pricing/>
    pub million_invocations: f64,
    /// A GB of memory for a second, x86. 2026-08-09, <https://aws.amazon.com/lambda/pricing/>
    pub gb_second: f64,
    /// A million write request units. 2026-10-04, <https://aws.amazon.com/dynamodb/pricing/on-demand/>
    pub million_writes: f64,
    /// A million read request units. 2026-10-04, <https://aws.amazon.com/dynamodb/pricing/on-demand/>
    pub million_reads: f64,
    /// A GB in a table for a month. 2026-10-04, <https://aws.amazon.com/dynamodb/pricing/on-demand/>
    pub gb_month_table: f64,
    /// A GB of a table that can be restored to any second, for a month. 2026-08-09,
    /// <https://aws.amazon.com/dynamodb/pricing/on-demand/>
    pub gb_month_recovery: f64,
    /// A million messages published to a topic. 2026-06-13, <https://aws.amazon.com/sns/pricing/>
    pub million_published: f64,
    /// A hundred thousand emails. 2026-06-13, <https://aws.amazon.com/sns/pricing/>
    pub hundred_thousand_emails: f64,
    /// A text message to a number in the United States, without the carrier's fee; elsewhere up to fifty times as much.
    /// 2026-06-13, <https://aws.amazon.com/sns/sms-pricing/>
    pub sms: f64,
    /// A GB of log lines taken in. 2026-08-09, <https://aws.amazon.com/cloudwatch/pricing/>
    pub gb_logged: f64,
    /// A GB of log lines kept for a month. 2026-08-09, <https://aws.amazon.com/cloudwatch/pricing/>
    pub gb_month_log: f64,
    /// A custom metric for a month, of the first 10,000. 2026-08-09, <https://aws.amazon.com/cloudwatch/pricing/>
    pub metric_month: f64,
    /// An alarm on one metric for a month. 2026-08-09, <https://aws.amazon.com/cloudwatch/pricing/>
    pub alarm_month: f64,
}

/// The table.
pub const PRICES: Prices = Prices {
    shard_hour: 0.015,
    million_put_units: 0.014,
    stream_hour: 0.04,
    gb_written: 0.08,
    gb_read: 0.04,
    million_invocations: 0.20,
    gb_second: 0.000_016_666_7,
    million_writes: 0.625,
    million_reads: 0.125,
    gb_month_table: 0.25,
    gb_month_recovery: 0.20,
    million_published: 0.50,
    hundred_thousand_emails: 2.00,
    sms: 0.00645,
    gb_logged: 0.50,
    gb_month_log: 0.03,
    metric_month: 0.30,
    alarm_month: 0.10,
};
