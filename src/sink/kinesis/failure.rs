//! What a failed call to Kinesis means: an outage that ends by itself, a configuration that a person has to correct, or
//! a request that the service calls invalid.
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>

use std::error::Error;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use delivery::sink::{Objection, THROTTLED};

use super::lacks_credentials;

/// The kind and meaning of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The metric label, from a closed set.
    pub kind: &'static str,
    pub meaning: Meaning,
}

/// Who or what can end a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It ends by itself.
    Outage,
    /// A person has to correct the configuration.
    Configuration,
    /// A request without the record that the service rejects.
    Request(Objection),
}

/// Members of a request that name the stream. If one of them is invalid, the error says nothing about the records.
const STREAM_MEMBERS: [&str; 5] = ["streamname", "stream name", "streamarn", "stream arn", "streamid"];
/// Members of a record, and the word for one.
const RECORD_MEMBERS: [&str; 5] = ["record", "partitionkey", "partition key", "explicithashkey", "hash key"];

impl Failure {
    pub fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            return Self::before_an_answer(error);
        };
        let (code, message) = (service.err().code(), service.err().message());
        Self::answered(
            code.unwrap_or_default(),
            service.raw().status().as_u16(),
            message.unwrap_or_default(),
        )
    }

    /// The same failure for a request without records, where only the stream's name can be wrong.
    pub fn without_records(self) -> Self {
        match self.meaning {
            Meaning::Request(_) => Self::configuration(self.kind),
            Meaning::Outage | Meaning::Configuration => self,
        }
    }

    fn before_an_answer<E: Error + 'static>(error: &SdkError<E>) -> Self {
        match error {
            error if lacks_credentials(error) => Self::configuration("no_credentials"),
            SdkError::TimeoutError(_) => Self::outage("timeout"),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::outage("timeout"),
            SdkError::DispatchFailure(_) => Self::outage("connection"),
            SdkError::ResponseError(_) => Self::outage("malformed_answer"),
            _ => Self::configuration("not_sent"),
        }
    }

    fn answered(code: &str, status: u16, message: &str) -> Self {
        match code {
            "ValidationException" | "InvalidArgumentException" | "SerializationException" => match objection(message) {
                Some(objection) => Self {
                    kind: "invalid_request",
                    meaning: Meaning::Request(objection),
                },
                None => Self::configuration("invalid_request"),
            },
            "RequestEntityTooLargeException" => Self::TOO_LARGE,
            // They are read again at the next attempt, and may have been renewed by then.
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::outage("expired_credentials"),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::configuration("wrong_credentials"),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => {
                Self::configuration("access_denied")
            }
            "ResourceNotFoundException" => Self::configuration("stream_missing"),
            "ResourceInUseException" => Self::outage("stream_not_active"),
            "UnknownOperationException" | "InvalidAction" => Self::configuration("wrong_endpoint"),
            THROTTLED | "LimitExceededException" | "ThrottlingException" | "KMSThrottlingException" => {
                Self::outage("throttled")
            }
            code if code.starts_with("KMS") || code.starts_with("Kms") => Self::configuration("encryption_key"),
            // An answer of a proxy or of another service has no Kinesis error code.
            "" if status == 413 => Self::TOO_LARGE,
            "" if (400..500).contains(&status) && status != 429 => Self::configuration("wrong_endpoint"),
            _ => Self::outage("service"),
        }
    }

    const TOO_LARGE: Self = Self {
        kind: "request_too_large",
        meaning: Meaning::Request(Objection::Record),
    };

    fn outage(kind: &'static str) -> Self {
        let meaning = Meaning::Outage;
        Self { kind, meaning }
    }

    fn configuration(kind: &'static str) -> Self {
        let meaning = Meaning::Configuration;
        Self { kind, meaning }
    }
}

/// How a person can resolve a failure of this kind; empty if only time helps, or the message says it.
pub(super) fn remedy(kind: &str) -> &'static str {
    match kind {
        "invalid_request" => {
            "correct kinesis.stream, kinesis.region or AWS_ENDPOINT_URL; `temp-ingest doctor` tries each"
        }
        "no_credentials" => {
            "give the daemon credentials: a role of the instance, AWS_PROFILE, or AWS_ACCESS_KEY_ID with \
             AWS_SECRET_ACCESS_KEY"
        }
        "wrong_credentials" => "correct the access key and its secret, and check this machine's clock",
        "access_denied" => {
            "allow kinesis:PutRecords and kinesis:DescribeStreamSummary on the stream, in the policy of the caller and, for \
             another account's stream, in that of the stream"
        }
        "stream_missing" => "create the stream, or correct kinesis.stream or kinesis.region",
        "encryption_key" => "enable the stream's KMS key, and allow the caller kms:GenerateDataKey on it",
        "wrong_endpoint" => "the server is not Kinesis: correct or unset AWS_ENDPOINT_URL, or the proxy's settings",
        "not_sent" => "set kinesis.region or AWS_REGION, and correct kinesis.stream",
        _ => "",
    }
}

/// Which part of an invalid request is invalid; `None` if it is the stream's name or ARN, whatever else is named.
/// Validation messages name members, as in `Value '' at 'records.1.member.partitionKey' failed to satisfy constraint`.
fn objection(message: &str) -> Option<Objection> {
    let message = message.to_lowercase();
    let names = |members: &[&str]| members.iter().any(|member| message.contains(member));
    match names(&STREAM_MEMBERS) {
        true => None,
        false if names(&RECORD_MEMBERS) => Some(Objection::Record),
        false => Some(Objection::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Meaning = Meaning::Request(Objection::Record);

    fn meaning(code: &str, message: &str) -> Meaning {
        Failure::answered(code, 400, message).meaning
    }

    #[test]
    fn a_stream_that_is_named_wrongly_is_no_fault_of_records() {
        for message in [
            "1 validation error detected: Value '${STREAM}' at 'streamName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "1 validation error detected: Value 'arn:x' at 'streamARN' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+",
            "2 validation errors detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: Member \
             must have length greater than or equal to 1; Value 'a b' at 'streamName' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "Either StreamName or StreamARN must be specified.",
        ] {
            for code in ["ValidationException", "InvalidArgumentException"] {
                assert_eq!(meaning(code, message), Meaning::Configuration, "{message}");
            }
        }
    }

    #[test]
    fn a_record_is_blamed_only_where_the_service_names_it() {
        for message in [
            "1 validation error detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: Member \
             must have length greater than or equal to 1",
            "1 validation error detected: Value at 'records.7.member.data' failed to satisfy constraint: Member must have \
             length less than or equal to 10485760",
            "Records size exceeds 10 MB limit",
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was x",
        ] {
            assert_eq!(meaning("ValidationException", message), RECORD, "{message}");
            assert_eq!(meaning("InvalidArgumentException", message), RECORD, "{message}");
        }
        assert_eq!(Failure::answered("", 413, "").meaning, RECORD);
        for message in ["", "invalid base64", "account is suspended"] {
            assert_eq!(
                meaning("SerializationException", message),
                Meaning::Request(Objection::Unknown),
                "{message}"
            );
            let failure = Failure::answered("ValidationException", 400, message).without_records();
            assert_eq!(failure.meaning, Meaning::Configuration, "{message}");
        }
    }

    #[test]
    fn a_failure_says_who_can_end_it_and_how() {
        for (code, kind) in [
            ("AccessDeniedException", "access_denied"),
            ("ResourceNotFoundException", "stream_missing"),
            ("UnrecognizedClientException", "wrong_credentials"),
            ("InvalidSignatureException", "wrong_credentials"),
            ("KMSDisabledException", "encryption_key"),
            ("KMSAccessDeniedException", "encryption_key"),
            ("UnknownOperationException", "wrong_endpoint"),
            ("", "wrong_endpoint"),
        ] {
            assert_eq!(Failure::answered(code, 400, ""), Failure::configuration(kind), "{code}");
            assert_ne!(remedy(kind), "", "{kind}");
        }
        for (code, status) in [
            ("ExpiredTokenException", 400),
            ("ResourceInUseException", 400),
            (THROTTLED, 400),
            ("KMSThrottlingException", 400),
            ("InternalFailure", 500),
            ("", 503),
            ("", 429),
        ] {
            assert_eq!(
                Failure::answered(code, status, "").meaning,
                Meaning::Outage,
                "{code} {status}"
            );
        }
    }
}
