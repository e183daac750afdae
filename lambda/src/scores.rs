//! Where scores go: to the output stream, to the readings table, to both or nowhere.

use processor::StoreError;
use processor::dynamodb::TableReadings;
use processor::partition::PartitionName;
use processor::scores::{Scored, Scores};

use crate::output::Output;

/// The destinations that are configured.
#[derive(Debug)]
pub struct Destinations {
    pub output: Option<Output>,
    pub readings: Option<TableReadings>,
}

impl Scores for Destinations {
    fn wanted(&self) -> bool {
        self.output.is_some() || self.readings.is_some()
    }

    async fn keep(&mut self, partitions: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        if let Some(readings) = &mut self.readings {
            readings.keep(partitions).await?;
        }
        match &self.output {
            Some(output) => output.put(partitions).await,
            None => Ok(()),
        }
    }
}
