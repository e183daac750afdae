//! Forms that are sent: their bodies are small, arrive in time, and are few at once. But for the log-in, none is read before
//! its sender has shown a session or a token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use values::duration::friendly;

use super::login_limiter::Denied;
use super::page::Page;
use super::session::Visitor;
use crate::http_server::Activity;

/// A name and a token.
pub(super) const MAX_LOG_IN: usize = 4 << 10;
/// More than any other form holds; the largest is a template.
const MAX_FORM: usize = 256 << 10;
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

/// A form from somebody who may change something.
#[derive(Debug)]
pub(super) struct AdmittedForm {
    /// Who sent it.
    pub asker: Asker,
    /// What they want.
    pub form: Form,
}

/// Who wants something changed.
#[derive(Debug)]
pub(super) enum Asker {
    /// A person, by the page.
    Person { name: String },
    /// A program, with a token.
    Program,
}

/// What the headers of a request show of its sender.
enum Caller {
    /// A session; that the form is one of its own is still to be seen.
    Session(Visitor),
    /// A token.
    Program,
}

/// Why a form was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// It is too long.
    #[error("the form has more than {0} bytes: nothing was changed")]
    TooLarge(usize),
    /// It did not arrive in time.
    #[error("the form did not arrive within admin.body_timeout = {}: nothing was changed", friendly(*.0))]
    Timeout(Duration),
    /// The connection broke.
    #[error("the form ended early: nothing was changed")]
    Broken,
}

/// Why nothing was changed.
enum Refusal {
    /// Their token is not let in.
    Token(Denied),
    /// Nobody is logged in who sent this, as it says.
    Session(&'static str),
}

impl Forms {
    /// Forms may take this long to arrive.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(MAX_FORMS)),
            timeout,
        }
    }

    async fn read(&self, body: Body, max: usize) -> Result<Form, FormError> {
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
    /// Reads a form of at most this many bytes from a client that is not admitted yet.
    pub(super) async fn read(page: &Page, body: Body, max: usize) -> Result<Self, FormError> {
        let read = page.forms.read(body, max).await;
        read.inspect_err(|error| page.count_form_refused(*error))
    }

    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

impl FromRequest<Arc<Page>> for AdmittedForm {
    type Rejection = Response;

    async fn from_request(request: Request, page: &Arc<Page>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let caller = Caller::of(page, &head.headers).map_err(IntoResponse::into_response)?;
        if let Some(activity) = head.extensions.get::<Arc<Activity>>() {
            activity.admit();
        }
        let form = Form::read(page, body, MAX_FORM)
            .await
            .map_err(IntoResponse::into_response)?;
        let asker = caller
            .sent(page, &head.headers, &form)
            .map_err(IntoResponse::into_response)?;
        Ok(Self { asker, form })
    }
}

impl Asker {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Person { name } if !name.is_empty() => name,
            Self::Person { .. } => "somebody on the page",
            Self::Program => "a program",
        }
    }
}

impl Caller {
    fn of(page: &Page, headers: &HeaderMap) -> Result<Self, Refusal> {
        if let Some(visitor) = page.sessions.visitor(headers) {
            return Ok(Self::Session(visitor));
        }
        match page.token(headers) {
            Some(token) => token.map(|()| Self::Program).map_err(Refusal::Token),
            None if page.sessions.are_possible() => Err(Refusal::Session(
                "log in first, or send a token: Authorization: Bearer TOKEN\n",
            )),
            None => Err(Refusal::Session(
                "nothing can be changed here: set admin.token_file to a file of tokens, and start again\n",
            )),
        }
    }

    /// Who sent this form. One that is not of the session needs a token.
    fn sent(self, page: &Page, headers: &HeaderMap, form: &Form) -> Result<Asker, Refusal> {
        match self {
            Self::Program => Ok(Asker::Program),
            Self::Session(visitor) if visitor.sent(form.field("form")) => Ok(Asker::Person { name: visitor.name }),
            Self::Session(_) => match page.token(headers) {
                Some(token) => token.map(|()| Asker::Program).map_err(Refusal::Token),
                None => Err(Refusal::Session(
                    "this is not a form of your session: nothing was changed; open the page again\n",
                )),
            },
        }
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Token(denied) => denied.into_response(),
            Self::Session(why) => (StatusCode::FORBIDDEN, why).into_response(),
        }
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<LengthLimitError>())
}
