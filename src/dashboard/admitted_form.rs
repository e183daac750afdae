//! Forms from senders who may change something. No form is read before its sender has shown a session or a token.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::form::{Form, MAX_FORM};
use super::login_limiter::Denied;
use super::session::Visitor;
use super::state::Dashboard;
use crate::http_server::Activity;

/// A form whose sender may change something.
#[derive(Debug)]
pub(super) struct AdmittedForm {
    /// The sender.
    pub asker: Asker,
    /// The content.
    pub form: Form,
}

/// The sender of an admitted form.
#[derive(Debug)]
pub(super) enum Asker {
    /// A person using the dashboard.
    Person { name: String },
    /// A program with a token.
    Program,
}

/// The sender as far as the request's headers identify it.
enum Caller {
    /// A session; whether the form is the session's own is checked later.
    Session(Visitor),
    /// A token.
    Program,
}

/// Why nothing was changed.
enum Refusal {
    /// The token is not accepted.
    Token(Denied),
    /// No session sent this form; the text says why.
    Session(&'static str),
}

impl FromRequest<Arc<Dashboard>> for AdmittedForm {
    type Rejection = Response;

    async fn from_request(request: Request, page: &Arc<Dashboard>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let caller = Caller::of(page, &head.headers).map_err(IntoResponse::into_response)?;
        if let Some(activity) = head.extensions.get::<Arc<Activity>>() {
            activity.admit();
        }
        let form = page
            .read_form(body, MAX_FORM)
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
    fn of(page: &Dashboard, headers: &HeaderMap) -> Result<Self, Refusal> {
        if let Some(visitor) = page.sessions.visitor(headers) {
            return Ok(Self::Session(visitor));
        }
        match page.token(headers) {
            Some(token) => token.map(|()| Self::Program).map_err(Refusal::Token),
            None if page.sessions.are_possible() => Err(Refusal::Session(
                "log in first, or send a token: Authorization: Bearer TOKEN\n",
            )),
            None => Err(Refusal::Session(
                "nothing can be changed here: set dashboard.token_file to a file of tokens, and restart\n",
            )),
        }
    }

    /// Returns the sender of this form. A form that is not the session's own needs a token.
    fn sent(self, page: &Dashboard, headers: &HeaderMap, form: &Form) -> Result<Asker, Refusal> {
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Token(denied) => denied.into_response(),
            Self::Session(why) => (StatusCode::FORBIDDEN, why).into_response(),
        }
    }
}
