//! Behind the stream: folds records, and answers the first one that failed.

use aws_config::SdkConfig;
use processor::dynamodb::{TablePartitions, TableReadings};
use processor::handler::{Counts, Handled, Limits};
use processor::{Handler, KinesisRecord};
use wire::Timestamp;

use crate::event::{Answer, StreamEvent, StreamRecord};
use crate::metrics::{Metrics, Unit};
use crate::output::Output;
use crate::parameter::{Parameter, Settings};
use crate::scores::Destinations;
use crate::systems_manager::SystemsManager;
use crate::{Invoke, optional, required, serve};

/// Default of READINGS_DAYS.
const READINGS_DAYS: u32 = 30;

struct Detect {
    handler: Handler<TablePartitions, Destinations>,
    parameter: Parameter,
    metrics: Metrics,
}

/// Serves invocations.
pub async fn run(sdk: &SdkConfig) -> anyhow::Result<()> {
    let tables = aws_sdk_dynamodb::Client::new(sdk);
    let partitions = required("PARTITIONS_TABLE", "the name of the table of partitions")?;
    let parameter = required(
        "SETTINGS_PARAMETER",
        "the name of the parameter with the [detect] table",
    )?;
    let days = match optional("READINGS_DAYS") {
        Some(days) => days.parse().map_err(|error| {
            anyhow::anyhow!("the environment variable READINGS_DAYS is {days:?}, not a number of days: {error}")
        })?,
        None => READINGS_DAYS,
    };
    let destinations = Destinations {
        output: optional("OUTPUT_STREAM").map(|stream| Output::new(aws_sdk_kinesis::Client::new(sdk), stream)),
        readings: optional("READINGS_TABLE").map(|table| TableReadings::new(tables.clone(), table, days)),
    };
    let limits = mebibytes()?.map_or_else(Limits::default, Limits::within);
    let partitions = TablePartitions::new(tables, partitions);
    let handler = Handler::new(partitions, detect::Settings::default(), limits);
    serve(Detect {
        handler: handler.with_scores(destinations),
        parameter: Parameter::new(SystemsManager::new(sdk), parameter),
        metrics: Metrics::new(),
    })
    .await
}

/// The function's memory in MiB, as the service sets it.
fn mebibytes() -> anyhow::Result<Option<usize>> {
    const NAME: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
    let parsed = |memory: String| {
        let number = memory.parse();
        number.map_err(|error| anyhow::anyhow!("the environment variable {NAME} is {memory:?}, not a number: {error}"))
    };
    optional(NAME).map(parsed).transpose()
}

impl Invoke<StreamEvent> for Detect {
    type Answer = Answer;

    async fn invoke(&mut self, event: StreamEvent) -> Result<Answer, lambda_runtime::Error> {
        let settings = self.parameter.settings().await;
        let settings = settings.map_err(|error| format!("{error:#}"))?;
        let rejected = settings == Settings::Rejected;
        if let Settings::New(settings) = settings {
            self.handler.set(settings);
        }
        let records: Vec<KinesisRecord<'_>> = event.records.iter().map(record).collect();
        let handled = self.handler.handle(&records).await;
        self.count(&handled, rejected);
        Ok(Answer::of(handled.failed.as_ref().map(|failed| failed.as_str())))
    }
}

impl Detect {
    fn count(&self, handled: &Handled, rejected: bool) {
        let Counts {
            readings,
            late,
            refused,
            events,
            derived,
            repeated_records,
            decode_failures,
            anomalies,
            transitions: _,
            entries,
            checkpoints,
            conflicts,
            failed_partitions,
        } = &handled.counts;
        self.metrics.put(&[
            ("Readings", Unit::Count, *readings),
            ("Anomalies", Unit::Count, *anomalies),
            ("Late", Unit::Count, *late),
            ("Refused", Unit::Count, *refused),
            ("Events", Unit::Count, *events),
            ("Derived", Unit::Count, *derived),
            ("DecodeFailures", Unit::Count, decode_failures.values().sum()),
            ("RepeatedRecords", Unit::Count, *repeated_records),
            ("FoldTime", Unit::Microseconds, handled.folding.as_micros() as u64),
            ("PartitionConflicts", Unit::Count, *conflicts),
            ("FailedPartitions", Unit::Count, *failed_partitions),
            ("Entries", Unit::Count, *entries),
            ("Checkpoints", Unit::Count, *checkpoints),
            ("SettingsRejected", Unit::Count, rejected.into()),
        ]);
    }
}

fn record(record: &StreamRecord) -> KinesisRecord<'_> {
    let arrival = record.kinesis.approximate_arrival_timestamp * 1e6;
    KinesisRecord {
        shard: record.shard(),
        sequence: record.kinesis.sequence_number.clone(),
        partition_key: &record.kinesis.partition_key,
        arrival: Timestamp::from_micros(arrival as i64).unwrap_or_default(),
        data: &record.kinesis.data,
    }
}
