//! Forms that are sent: their bodies are small, arrive in time, and are few at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::CONNECTION;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use values::duration::friendly;

/// A name and a token.
pub(super) const MAX_LOG_IN: usize = 4 << 10;
/// More than any other form holds; the largest is a template.
pub(super) const MAX_FORM: usize = 256 << 10;
/// All forms under way together: the log-ins of a port full of strangers leave three quarters to those who are logged in.
const MAX_FORMS: usize = 1 << 20;

/// A form that was sent.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    /// Its share of the bytes of all forms.
    _bytes: Option<OwnedSemaphorePermit>,
}

/// The forms under way.
#[derive(Debug)]
pub(super) struct Forms {
    bytes: Arc<Semaphore>,
    timeout: Duration,
}

/// Why a form was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// It is too long.
    #[error("the form has more than {0} bytes: nothing was changed")]
    TooLarge(usize),
    /// It did not arrive in time.
    #[error("the form did not arrive within dashboard.body_timeout = {}: nothing was changed", friendly(*.0))]
    Timeout(Duration),
    /// The connection broke.
    #[error("the form ended early: nothing was changed")]
    Broken,
}

impl Forms {
    /// Forms may take this long to arrive.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(MAX_FORMS)),
            timeout,
        }
    }

    /// Reads a form of at most this many bytes.
    pub(super) async fn read(&self, body: Body, max: usize) -> Result<Form, FormError> {
        let size = body.size_hint();
        if size.lower() > max as u64 {
            return Err(FormError::TooLarge(max));
        }
        let most = size.upper().map_or(max, |upper| max.min(upper as usize));
        let reading = async {
            let bytes = self.bytes.clone().acquire_many_owned(most as u32).await.ok();
            let body = to_bytes(body, max).await.map_err(|error| match is_too_large(&error) {
                true => FormError::TooLarge(max),
                false => FormError::Broken,
            })?;
            Ok(Form {
                fields: form_urlencoded::parse(&body).into_owned().collect(),
                _bytes: bytes,
            })
        };
        let read = timeout(self.timeout, reading).await;
        read.unwrap_or(Err(FormError::Timeout(self.timeout)))
    }
}

impl Form {
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

impl FormError {
    /// In one word, as it is counted.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::Timeout(_) => "timeout",
            Self::Broken => "broken",
        }
    }
}

impl IntoResponse for FormError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        };
        (status, [(CONNECTION, "close")], format!("{self}\n")).into_response()
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<LengthLimitError>())
}

/// A word of the address.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
