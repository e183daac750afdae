//! Behind the pages' table: the events of entries in, anomalies and incidents kept, people told.

use aws_config::SdkConfig;
use lambda::alert::{Delivered, deliver};
use lambda::entry::decode_events;
use lambda::tables::{TableOutbox, clock};
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
    async fn invoke(&mut self, event: TableEvent) -> Result<Answer, lambda_runtime::Error> {
        let mut delivered = Delivered::default();
        let mut failed = None;
        for record in &event.records {
            match self.deliver(record).await {
                Ok(more) => delivered.add(&more),
                Err(error) => {
                    let page = record.dynamodb.new_image.page.as_ref().map(|page| page.text.as_str());
                    error!(
                        page,
                        error = format!("{error:#}"),
                        "events of an entry wait to be delivered"
                    );
                    failed = Some(record.dynamodb.sequence_number.as_str());
                    break;
                }
            }
        }
        self.metrics.put(&[
            ("AnomaliesKept", Unit::Count, delivered.anomalies),
            ("MessagesPublished", Unit::Count, delivered.messages),
            ("MessagesMuted", Unit::Count, delivered.muted),
        ]);
        Ok(Answer::of(failed))
    }
}

impl Alert {
    async fn deliver(&mut self, record: &TableRecord) -> anyhow::Result<Delivered> {
        let Some(events) = &record.dynamodb.new_image.events else {
            return Ok(Delivered::default());
        };
        let events = decode_events(&events.bytes)?;
        Ok(deliver(&mut self.outbox, &mut self.topic, &events, clock::now()).await?)
    }
}
