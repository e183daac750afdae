//! What people change: forms of the page, or requests with a token. Each is answered with what was done in words.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use tokio::sync::oneshot;
use tracing::info;
use values::duration::Within;

use super::admitted_form::{AdmittedForm, Asker};
use super::form::{Form, MAX_LOG_IN};
use super::incident_stores::Action;
use super::log_in::log_in_form;
use super::session::Said;
use super::state::Dashboard;
use crate::control::overrides::{Change, Command};

/// From fifteen minutes to four weeks is what people mute for; the page offers less.
type Mute = Within<60_000, 2_419_200_000>;

/// Begins a session where the token is right.
pub(super) async fn log_in(State(page): State<Arc<Dashboard>>, request: Request) -> Response {
    let form = match page.read_form(request.into_body(), MAX_LOG_IN).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    match page.begin_session(form.field("token"), form.field("name")) {
        Ok(cookie) => {
            info!(name = form.field("name"), "somebody has logged in to the page");
            (
                StatusCode::SEE_OTHER,
                [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())],
            )
                .into_response()
        }
        Err(denied) => {
            let wrong = format!("Not logged in: {denied}.");
            denied.answer(Html(log_in_form(&page, Some(&wrong))))
        }
    }
}

/// Ends the session.
pub(super) async fn log_out(State(page): State<Arc<Dashboard>>, headers: HeaderMap, _: AdmittedForm) -> Response {
    let cookie = page.sessions.log_out(&headers);
    (
        StatusCode::SEE_OTHER,
        [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())],
    )
        .into_response()
}

/// Acknowledges or mutes an incident.
pub(super) async fn incident(State(page): State<Arc<Dashboard>>, headers: HeaderMap, sent: AdmittedForm) -> Response {
    let AdmittedForm { asker, form } = sent;
    let done = about_incident(&page, &form, &asker).await;
    answer(&page, &headers, &asker, done, "incidents")
}

async fn about_incident(page: &Dashboard, form: &Form, asker: &Asker) -> Result<String, String> {
    let id = form.field("id").to_owned();
    if id.is_empty() {
        return Err("name an incident: id=ID".to_owned());
    }
    let mute = match form.field("do") {
        "acknowledge" => None,
        "mute" => Some(
            form.field("for")
                .parse::<Mute>()
                .map_err(|error| error.to_string())?
                .get(),
        ),
        other => return Err(format!("do={other:?} is not known: use acknowledge or mute")),
    };
    let by = asker.name().to_owned();
    let store = page.shown().status.borrow().incidents.clone();
    match page.incident_stores.perform(&store, Action { id, by, mute }).await {
        Some(done) => done,
        None => {
            Err("nobody keeps incidents here: set dashboard.incidents_table, or use `temp-ingest incidents`".to_owned())
        }
    }
}

/// Starts, stops and changes a source.
pub(super) async fn source(State(page): State<Arc<Dashboard>>, headers: HeaderMap, sent: AdmittedForm) -> Response {
    let AdmittedForm { asker, form } = sent;
    let done = match about_source(&form) {
        Ok(change) => ordered(&page, change).await,
        Err(why) => Err(why),
    };
    answer(&page, &headers, &asker, done, "sources")
}

/// Names another stream.
pub(super) async fn stream(State(page): State<Arc<Dashboard>>, headers: HeaderMap, sent: AdmittedForm) -> Response {
    let AdmittedForm { asker, form } = sent;
    let done = ordered(&page, Change::Stream(form.field("stream").to_owned())).await;
    answer(&page, &headers, &asker, done, "sources")
}

fn about_source(form: &Form) -> Result<Change, String> {
    let name = form.field("name").to_owned();
    Ok(match form.field("do") {
        "start" => Change::Start(name),
        "stop" => Change::Stop(name),
        "normal" => Change::Normal(name),
        "anomalies" => Change::Anomalies(name),
        "rate" => {
            let rate = form.field("rate");
            let number = rate
                .parse()
                .map_err(|_| format!("{rate:?} is no number: write one such as 10 or 0.5"))?;
            Change::Rate(name, number)
        }
        other => {
            return Err(format!(
                "do={other:?} is not known: use start, stop, normal, anomalies or rate"
            ));
        }
    })
}

/// Has the daemon do it, and says what that says.
pub(super) async fn ordered(page: &Dashboard, change: Change) -> Result<String, String> {
    let (done, answer) = oneshot::channel();
    let command = Command { change, done };
    let ending = "the daemon is ending, or starting again: nothing was changed";
    page.commands.send(command).await.map_err(|_| ending)?;
    answer.await.map_err(|_| ending)?
}

/// Tells a program at once, and a person on the page they are sent back to.
pub(super) fn answer(
    page: &Dashboard,
    headers: &HeaderMap,
    asker: &Asker,
    done: Result<String, String>,
    place: &'static str,
) -> Response {
    let name = asker.name();
    match &done {
        Ok(said) => info!(name, "by the page: {said}"),
        Err(why) => info!(name, "not done by the page: {why}"),
    }
    match (asker, done) {
        (Asker::Program, Ok(said)) => format!("{said}\n").into_response(),
        (Asker::Program, Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
        (Asker::Person { .. }, done) => {
            let failed = done.is_err();
            let (Ok(text) | Err(text)) = done;
            page.sessions.say(headers, Said { text, failed, place });
            (StatusCode::SEE_OTHER, [(LOCATION, "/#said")]).into_response()
        }
    }
}
