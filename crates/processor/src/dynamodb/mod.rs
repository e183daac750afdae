//! The tables in DynamoDB: partitions, anomalies, incidents, and every reading where that is wanted. `cfn/data.yaml` makes
//! them. With the functions' own binary, the only part of this crate that names an AWS type.

/// The wall clock.
pub mod clock;
/// Incidents as people ask for them.
pub mod incidents;
/// Anomalies and incidents.
pub mod outbox;
/// Partitions: a checkpoint, and a ring of entries.
pub mod partitions;
/// Every reading, many to an item.
pub mod readings;

mod attribute;
mod batch;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

pub use incidents::TableIncidents;
pub use outbox::TableOutbox;
pub use partitions::TablePartitions;
pub use readings::TableReadings;

use crate::store_error::StoreError;

/// How many requests are under way at once: more would only wait for each other in a function's memory.
const CONCURRENCY: usize = 16;

fn unavailable<E, R>(doing: impl Into<String>, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    StoreError::unavailable(doing, said(error))
}

/// What a service said, or why it could not be asked, in one line.
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
