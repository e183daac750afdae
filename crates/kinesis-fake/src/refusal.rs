//! Why a whole request is refused: the code and the message Kinesis gives.

use crate::operation::Operation;

/// The account that owns the stream and that every caller belongs to.
pub(crate) const ACCOUNT: &str = "123456789012";
/// Who every caller is.
pub(crate) const CALLER: &str = "arn:aws:sts::123456789012:assumed-role/temp-ingest/i-0123456789abcdef0";

/// An error answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A constraint of the API's model is broken: the service never looks further.
    pub(crate) fn validation(value: &str, place: &str, constraint: &str) -> Self {
        Self::new(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value {value} at '{place}' failed to satisfy constraint: Member must {constraint}"
            ),
        )
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgumentException", message)
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    pub(crate) fn unknown_operation(target: &str) -> Self {
        Self::new(
            400,
            "UnknownOperationException",
            format!("this endpoint has no operation \"{target}\""),
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLargeException",
            format!("the request's body is larger than {limit} bytes"),
        )
    }

    pub(crate) fn not_found(stream: &str) -> Self {
        Self::new(
            400,
            "ResourceNotFoundException",
            format!("Stream {stream} under account {ACCOUNT} not found."),
        )
    }

    pub(crate) fn in_use(stream: &str) -> Self {
        Self::new(
            400,
            "ResourceInUseException",
            format!("Stream {stream} under account {ACCOUNT} not ACTIVE, instead in state CREATING"),
        )
    }

    pub(crate) fn shard_not_found(shard: &str, stream: &str) -> Self {
        Self::new(
            400,
            "ResourceNotFoundException",
            format!("Shard {shard} in stream {stream} under account {ACCOUNT} does not exist"),
        )
    }

    pub(crate) fn throughput_exceeded(stream: &str) -> Self {
        Self::new(
            400,
            "ProvisionedThroughputExceededException",
            format!("Rate exceeded for stream {stream} under account {ACCOUNT}."),
        )
    }

    /// PutRecord's, with the message that PutRecords gives for a record.
    pub(crate) fn record_throttled(message: String) -> Self {
        Self::new(400, "ProvisionedThroughputExceededException", message)
    }

    pub(crate) fn limit_exceeded() -> Self {
        Self::new(
            400,
            "LimitExceededException",
            format!("Rate exceeded for account {ACCOUNT}."),
        )
    }

    pub(crate) fn internal_failure(message: impl Into<String>) -> Self {
        Self::new(500, "InternalFailureException", message)
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "Service is unable to handle request.")
    }

    pub(crate) fn unsigned() -> Self {
        Self::new(
            400,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    }

    pub(crate) fn expired_token() -> Self {
        Self::new(
            400,
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )
    }

    pub(crate) fn access_denied(operation: Operation, resource: &str) -> Self {
        let service = if operation.is_of_sts() { "sts" } else { "kinesis" };
        let action = operation.name();
        Self::new(
            400,
            "AccessDeniedException",
            format!(
                "User: {CALLER} is not authorized to perform: {service}:{action} on resource: {resource} \
                 because no identity-based policy allows the {service}:{action} action"
            ),
        )
    }

    pub(crate) fn dry_run() -> Self {
        Self::new(
            400,
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun parameter was specified.",
        )
    }
}
