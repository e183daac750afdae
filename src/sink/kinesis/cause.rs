//! An SDK error as one line for people; the full error is some hundred words longer.

use std::error::Error;
use std::iter::successors;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

/// Returns the code and the message of AWS's answer, or why there was no answer.
pub fn cause<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let message = error.message().unwrap_or("no reason given");
    match (error.code(), error.raw_response()) {
        (Some(code), _) => format!("{code}: {message}"),
        // From a proxy, for example.
        (None, Some(answer)) => format!("answered with HTTP {}: {message}", answer.status()),
        (None, None) => causes(error),
    }
}

/// Returns an error and its causes, the most general first. Text that an error repeats from its cause appears once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = successors(Some(error), |error| (*error).source());
    chain.map(ToString::to_string).fold(String::new(), |mut said, cause| {
        if !said.ends_with(&cause) {
            said += if said.is_empty() { "" } else { ": " };
            said += &cause;
        }
        said
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use aws_sdk_kinesis::config::http::HttpResponse;
    use aws_sdk_kinesis::error::{ConnectorError, ErrorMetadata};
    use aws_sdk_kinesis::operation::put_records::PutRecordsError;

    use super::*;

    #[test]
    fn a_line_has_code_and_message_or_the_causes_and_nothing_for_programmers() {
        let answered = |code: Option<&str>, message: Option<&str>| {
            let metadata = ErrorMetadata::builder();
            let metadata = code.into_iter().fold(metadata, |metadata, code| metadata.code(code));
            let metadata = message
                .into_iter()
                .fold(metadata, |metadata, message| metadata.message(message));
            let answer = HttpResponse::new(503.try_into().unwrap(), "".into());
            SdkError::service_error(PutRecordsError::generic(metadata.build()), answer)
        };
        let refused = std::io::Error::other(std::io::Error::other("Connection refused"));
        for (error, said) in [
            (
                answered(Some("AccessDeniedException"), Some("you may not")),
                "AccessDeniedException: you may not",
            ),
            (
                answered(Some("InternalFailure"), None),
                "InternalFailure: no reason given",
            ),
            (answered(None, None), "answered with HTTP 503: no reason given"),
            (
                SdkError::dispatch_failure(ConnectorError::io(refused.into())),
                "dispatch failure: io error: Connection refused",
            ),
            (
                SdkError::timeout_error("it took 2s"),
                "request has timed out: it took 2s",
            ),
        ] {
            assert_eq!(cause(&error), said);
        }
    }
}
