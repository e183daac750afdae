//! A real client whose retries are off, and what tests ask of it.

use std::fmt::Debug;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

pub const STREAM: &str = "readings";

pub type Put = Result<PutRecordsOutput, SdkError<PutRecordsError>>;

pub fn client(url: &str) -> Client {
    client_with_key(url, "AKIAFIRST")
}

pub fn client_with_key(url: &str, access_key: &str) -> Client {
    Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new(access_key, "secret", None, None, "test"))
            .endpoint_url(url)
            .retry_config(RetryConfig::disabled())
            .build(),
    )
}

pub fn entry(key: &str, data: &[u8]) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .unwrap()
}

pub fn explicit(key: &str, hash: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .explicit_hash_key(hash)
        .data(Blob::new(key))
        .build()
        .unwrap()
}

/// So many records of different keys.
pub fn entries(count: usize) -> Vec<PutRecordsRequestEntry> {
    (0..count)
        .map(|index| entry(&format!("key {index}"), format!("data {index}").as_bytes()))
        .collect()
}

pub async fn put(client: &Client, entries: Vec<PutRecordsRequestEntry>) -> Put {
    client
        .put_records()
        .stream_name(STREAM)
        .set_records(Some(entries))
        .send()
        .await
}

/// The code and the status of a service error.
pub fn code<E: ProvideErrorMetadata + Debug>(error: &SdkError<E>) -> (String, u16) {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    match error {
        SdkError::ServiceError(service) => (service.err().code().unwrap_or_default().to_owned(), status),
        other => panic!("the service did not answer: {other:?}"),
    }
}
