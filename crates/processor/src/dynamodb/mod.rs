//! The tables in DynamoDB: partitions, anomalies, incidents, and optionally every reading. `cfn/data.yaml` creates
//! them. The only part of this crate that names an AWS type.

/// The wall clock.
pub mod clock;
/// Incidents as people query them.
pub mod incidents;
/// Anomalies and incidents.
pub mod outbox;
/// Partitions: a checkpoint, and a ring of entries.
pub mod partitions;
/// Every reading, many to an item.
pub mod readings;

mod anomaly;
mod attribute;
mod batch;
mod entries;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

pub use incidents::TableIncidents;
pub use outbox::TableOutbox;
pub use partitions::TablePartitions;
pub use readings::TableReadings;

use crate::store_error::StoreError;

/// Concurrent requests: more would only wait in a function's memory.
const CONCURRENCY: usize = 16;

fn unavailable<E, R>(doing: impl Into<String>, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    StoreError::unavailable(doing, said(error))
}

/// The error of a service, or why it could not be reached, in one line.
pub fn said<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(service) = error.as_service_error()
        && let Some(code) = service.code()
    {
        return format!("{code}: {}", service.message().unwrap_or("without a reason"));
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
