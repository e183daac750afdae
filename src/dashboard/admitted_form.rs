//! Forms of those who may change something. None is read before its sender has shown a session or a token.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::form::{Form, MAX_FORM};
use super::login_limiter::Denied;
use super::session::Visitor;
use super::state::Dashboard;
use crate::http_server::Activity;

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

/// Why nothing was changed.
enum Refusal {
    /// Their token is not let in.
    Token(Denied),
    /// Nobody is logged in who sent this, as it says.
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
                "nothing can be changed here: set dashboard.token_file to a file of tokens, and start again\n",
            )),
        }
    }

    /// Who sent this form. One that is not of the session needs a token.
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
