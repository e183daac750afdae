//! Behind the stream of the partitions table: delivers the events of entries.

use aws_config::SdkConfig;
use detect::Event;
use processor::StoreError;
use processor::alert::deliver;
use processor::dynamodb::{TableOutbox, clock};
use processor::partition::decode_events;
use tracing::error;

use crate::event::{Answer, TableEvent, TableRecord};
use crate::metrics::{Metrics, Unit};
use crate::topic::Topic;
use crate::{Invoke, required, serve};

struct Alert {
    outbox: TableOutbox,
    topic: Topic,
    metrics: Metrics,
}

/// Serves invocations.
pub async fn run(sdk: &SdkConfig) -> anyhow::Result<()> {
    let anomalies = required("ANOMALIES_TABLE", "the name of the table of anomalies")?;
    let incidents = required("INCIDENTS_TABLE", "the name of the table of incidents")?;
    let topic = required("TOPIC_ARN", "the ARN of the topic people subscribe to")?;
    serve(Alert {
        outbox: TableOutbox::new(aws_sdk_dynamodb::Client::new(sdk), anomalies, incidents),
        topic: Topic::new(aws_sdk_sns::Client::new(sdk), topic),
        metrics: Metrics::new(),
    })
    .await
}

impl Invoke<TableEvent> for Alert {
    type Answer = Answer;

    async fn invoke(&mut self, event: TableEvent) -> Result<Answer, lambda_runtime::Error> {
        let mut entries = Vec::with_capacity(event.records.len());
        let mut failed = None;
        for record in &event.records {
            match events(record) {
                Ok(events) => entries.push(events),
                Err(error) => {
                    failed = Some((entries.len(), anyhow::Error::from(error)));
                    break;
                }
            }
        }
        // All at once: sensors that fail together may be in several partitions, and are notified together.
        let (delivered, undelivered) = deliver(&mut self.outbox, &mut self.topic, &entries, clock::now()).await;
        if let Some(undelivered) = undelivered {
            failed = Some((undelivered.entry, undelivered.error.into()));
        }
        let failed = failed.map(|(place, error)| {
            let change = &event.records[place].dynamodb;
            let partition = change
                .new_image
                .partition
                .as_ref()
                .map(|partition| partition.text.as_str());
            error!(
                partition,
                error = format!("{error:#}"),
                "events not delivered; they will be delivered again"
            );
            change.sequence_number.as_str()
        });
        self.metrics.put(&[
            ("AnomaliesKept", Unit::Count, delivered.anomalies),
            ("MessagesPublished", Unit::Count, delivered.messages),
            ("MessagesRefused", Unit::Count, delivered.refused),
            ("MessagesMuted", Unit::Count, delivered.muted),
        ]);
        Ok(Answer::of(failed))
    }
}

/// The events of an entry.
fn events(record: &TableRecord) -> Result<Vec<Event>, StoreError> {
    let events = record.dynamodb.new_image.events.as_ref();
    events.map_or_else(|| Ok(Vec::new()), |events| decode_events(&events.bytes))
}
