//! Records to a Kinesis data stream, through the AWS SDK. The only file of the daemon's path that names an AWS type.
//!
//! It makes one attempt a call: the SDK's own retries are off, because the lanes retry, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry, RecordDistributionStrategy};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::record::Record;
use crate::sink::{Answer, Put, PutError, Sink, THROTTLED};

/// Which stream, and how it is reached. Credentials and endpoint come from where every AWS SDK takes them.
#[derive(Clone, Debug)]
pub struct Target {
    /// The stream's name or ARN.
    pub stream: String,
    /// The region, where it is neither the environment's nor the ARN's.
    pub region: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Target {
    /// A client for the target, with credentials read afresh.
    pub async fn client(&self) -> Client {
        Client::new(&self.sdk_config().await)
    }

    /// The SDK's settings for the target; retries off.
    pub async fn sdk_config(&self) -> aws_config::SdkConfig {
        let timeout = TimeoutConfig::builder()
            .operation_timeout(self.timeout)
            .connect_timeout(self.timeout / 2)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled());
        let loader = match self.region.as_deref().or_else(|| self.arn()?.split(':').nth(3)) {
            Some(region) => loader.region(Region::new(region.to_owned())),
            None => loader,
        };
        loader.timeout_config(timeout).load().await
    }

    /// The stream's ARN, where it was given by one.
    pub fn arn(&self) -> Option<&str> {
        self.stream.starts_with("arn:").then_some(&*self.stream)
    }

    /// The stream's name, where it was given by one.
    pub fn name(&self) -> Option<&str> {
        (!self.stream.starts_with("arn:")).then_some(&*self.stream)
    }
}

/// Puts records into one stream.
#[derive(Debug)]
pub struct Kinesis {
    target: Target,
    /// `None` until the first request, and after credentials have expired: then they are read afresh.
    client: Mutex<Option<Client>>,
    /// The stream honours partition keys: without them there are no lanes.
    honours_keys: AtomicBool,
}

impl Kinesis {
    /// A sink for the target. Nothing is sent yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            client: Mutex::new(None),
            honours_keys: AtomicBool::new(false),
        }
    }

    async fn client(&self) -> Client {
        let mut client = self.client.lock().await;
        match &*client {
            Some(client) => client.clone(),
            None => client.insert(self.target.client().await).clone(),
        }
    }

    async fn put_records(&self, records: &[Arc<Record>]) -> Result<Vec<Answer>, PutError> {
        let client = self.client().await;
        if !self.honours_keys.load(Ordering::Relaxed) {
            self.check_keys(&client).await?;
        }
        let entries = records.iter().map(|record| {
            PutRecordsRequestEntry::builder()
                .partition_key(&*record.lane.name)
                .explicit_hash_key(record.lane.slice.start().to_string())
                .data(Blob::new(record.data.as_slice()))
                .build()
                .expect("a record has data")
        });
        let request = client.put_records().set_records(Some(entries.collect()));
        let request = request
            .set_stream_arn(self.target.arn().map(str::to_owned))
            .set_stream_name(self.target.name().map(str::to_owned));
        match request.send().await {
            Ok(answer) if answer.records().len() == records.len() => {
                Ok(answer.records().iter().map(answer_of).collect())
            }
            Ok(answer) => Err(PutError::Transient {
                kind: "malformed_answer",
                message: format!(
                    "{} answers to {} records from {}",
                    answer.records().len(),
                    records.len(),
                    self.target.stream
                ),
            }),
            Err(error) => Err(self.failure("putting records into", error).await),
        }
    }

    /// Refuses a stream that ignores partition keys. Where the summary may not be read, the put itself will tell.
    async fn check_keys(&self, client: &Client) -> Result<(), PutError> {
        let request = client.describe_stream_summary();
        let request = request
            .set_stream_arn(self.target.arn().map(str::to_owned))
            .set_stream_name(self.target.name().map(str::to_owned));
        match request.send().await {
            Ok(answer) => {
                let summary = answer.stream_description_summary();
                let strategy = summary.and_then(|summary| summary.record_distribution_strategy());
                if strategy == Some(&RecordDistributionStrategy::Auto) {
                    return Err(PutError::Fatal {
                        message: ignores_keys(&self.target.stream),
                    });
                }
            }
            Err(error) if error.code() == Some("AccessDeniedException") => warn!(
                stream = self.target.stream,
                "may not describe the stream (kinesis:DescribeStreamSummary): whether it honours partition keys is unknown"
            ),
            Err(error) => return Err(self.failure("describing", error).await),
        }
        if !self.honours_keys.swap(true, Ordering::Relaxed) {
            info!(stream = self.target.stream, "the stream is found");
        }
        Ok(())
    }

    async fn failure<E, R>(&self, doing: &str, error: SdkError<E, R>) -> PutError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let kind = kind_of(&error);
        let message = format!("{doing} stream {}: {}", self.target.stream, DisplayErrorContext(&error));
        match kind {
            "expired_credentials" => *self.client.lock().await = None,
            // What comes back under the name may be another stream.
            "stream_missing" => self.honours_keys.store(false, Ordering::Relaxed),
            _ => {}
        }
        match kind {
            "invalid_request" => PutError::Rejected { kind, message },
            _ => PutError::Transient { kind, message },
        }
    }
}

impl Sink for Kinesis {
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a> {
        Box::pin(self.put_records(records))
    }
}

/// Why a stream that ignores partition keys is refused, and what to do.
pub fn ignores_keys(stream: &str) -> String {
    format!(
        "stream {stream} has the record distribution strategy AUTO: it ignores partition keys, so no sensor's readings \
         would stay in order; set it back: aws kinesis update-stream-record-distribution-strategy \
         --record-distribution-strategy USER_PARTITION_KEY, or name another stream under [kinesis]"
    )
}

fn answer_of(entry: &PutRecordsResultEntry) -> Answer {
    match entry.error_code() {
        None => Answer::Accepted(entry.shard_id().map(Arc::from)),
        Some(THROTTLED) => Answer::Refused(THROTTLED),
        Some("InternalFailure") => Answer::Refused("InternalFailure"),
        Some(_) => Answer::Refused("other"),
    }
}

/// What kind of failure it is: a metric label, and what decides between waiting and giving up. Only what names the
/// request itself as invalid is ever given up: everything else may be mended outside while the records wait.
fn kind_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> &'static str {
    let SdkError::ServiceError(service) = error else {
        return match error {
            SdkError::TimeoutError(_) => "timeout",
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "timeout",
            SdkError::DispatchFailure(_) => "connection",
            SdkError::ResponseError(_) => "malformed_answer",
            _ => "not_sent",
        };
    };
    match service.err().code().unwrap_or_default() {
        "InvalidArgumentException" | "ValidationException" | "SerializationException" => "invalid_request",
        "ExpiredToken"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "RequestExpired" => "expired_credentials",
        "AccessDeniedException" | "AccessDenied" => "access_denied",
        "ResourceNotFoundException" => "stream_missing",
        "ResourceInUseException" => "stream_not_active",
        THROTTLED | "LimitExceededException" | "ThrottlingException" => "throttled",
        code if code.starts_with("KMS") || code.starts_with("Kms") => "encryption_key",
        _ => "service",
    }
}
