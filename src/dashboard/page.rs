//! The page: what runs now, complete as the server writes it. A script only fetches it again and draws the plot.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{self, IntoResponse, Redirect, Response};

use super::controls::{bare_header, how_to_turn_on, post, token};
use super::form::query;
use super::html::{badge, document, link, section};
use super::incident_stores::Kept;
use super::markup::{Html, each, tag};
use super::readings::LookedAt;
use super::session::Said;
use super::state::{Control, Dashboard};
use super::{Handles, incidents, now, readings, sources};
use crate::control::status::Status;

impl Dashboard {
    /// The last readings of a sensor, with their scores where these are kept somewhere.
    async fn look_at(&self, shown: &Handles, status: &Status, sensor: String) -> LookedAt {
        let mut trace = shown.recent.of(&sensor).unwrap_or_default();
        let added = match (&status.readings, status.threshold) {
            (Some(table), Some(threshold)) => self.scores.add(table, &sensor, threshold, &mut trace).await,
            _ => Ok(()),
        };
        LookedAt {
            sensor,
            trace,
            unscored: added.err(),
        }
    }

    /// Whether this person may see it: on this machine everybody, from others who knows a token.
    fn refused(&self, headers: &HeaderMap) -> Option<Response> {
        let control = self.control(headers);
        if self.address.ip().is_loopback() || matches!(control, Control::On(_)) {
            return None;
        }
        if let Some(token) = self.token(headers) {
            return token.err().map(IntoResponse::into_response);
        }
        match control {
            Control::On(_) => None,
            Control::LoggedOut => Some(Redirect::to("/log-in").into_response()),
            Control::Off => Some((StatusCode::FORBIDDEN, response::Html(closed())).into_response()),
        }
    }
}

/// The page.
pub(super) async fn show(State(page): State<Arc<Dashboard>>, headers: HeaderMap, uri: Uri) -> Response {
    if let Some(refused) = page.refused(&headers) {
        return refused;
    }
    let asked = query(&uri, "sensor").filter(|sensor| !sensor.is_empty());
    // What the script fetches again must not take what is to be said to a person.
    let said = match query(&uri, "again") {
        Some(_) => None,
        None => page.sessions.said(&headers),
    };
    let control = page.control(&headers);
    let shown = page.shown();
    let status = shown.status.borrow().clone();
    let kept = Kept::of(&page.incident_stores, &status.incidents).await;
    shown.recent.look(asked.as_deref());
    let sensor = asked.or_else(|| readings::first(&shown.recent, &kept));
    let looked_at = match sensor {
        Some(sensor) => Some(page.look_at(&shown, &status, sensor).await),
        None => None,
    };
    let rates = page.rate_sampler.rates();
    let notice = |place| said.as_ref().filter(|said| said.place == place).map(notice);
    let main = (
        now::part(&shown, &status, &rates, &kept),
        incidents::part(&status, &kept, &control, notice("incidents")),
        readings::part(&shown.recent, &status, looked_at.as_ref()),
        sources::part(&status, &rates, &control, notice("sources")),
    );
    response::Html(document("temp-ingest", header(&shown, &control), main)).into_response()
}

/// The readings of a sensor, for the plot.
pub(super) async fn readings(State(page): State<Arc<Dashboard>>, headers: HeaderMap, uri: Uri) -> Response {
    if let Some(refused) = page.refused(&headers) {
        return refused;
    }
    let Some(sensor) = query(&uri, "sensor") else {
        return (StatusCode::BAD_REQUEST, "name a sensor: /readings?sensor=ID\n").into_response();
    };
    let shown = page.shown();
    shown.recent.look(Some(&sensor));
    let status = shown.status.borrow().clone();
    let looked_at = page.look_at(&shown, &status, sensor).await;
    let series = readings::series(&looked_at.trace, status.threshold).to_string();
    ([(CONTENT_TYPE, "application/json")], series).into_response()
}

fn closed() -> String {
    let why = "The daemon can be reached from other machines, and there is no token that would say who may look.";
    let content = section("closed", "This page is closed", (tag("p").of(why), how_to_turn_on()));
    document(
        "Closed – temp-ingest",
        bare_header(),
        tag("div").class("card narrow").of(content),
    )
}

fn header(shown: &Handles, control: &Control) -> Html {
    let ready = match (shown.ready)() {
        Ok(_) => (badge("badge good", "Ready"), String::new()),
        Err(reason) => (badge("badge bad", "Not ready"), format!(" {reason}")),
    };
    let sections = [
        ("#incidents", "Incidents"),
        ("#readings", "Readings"),
        ("#sources", "Sources"),
    ];
    let links = each(sections, |(to, name)| link(to, name));
    let refresh = tag("noscript").of(link("/", "Refresh"));
    let who = match control {
        Control::On(visitor) => {
            let name = (!visitor.name.is_empty()).then(|| tag("span").class("who").of(&visitor.name));
            let button = tag("button").class("quiet").of("Log out");
            post("/log-out").class("log-out").of((token(visitor), name, button))
        }
        Control::LoggedOut | Control::Off => tag("a").class("button quiet").with("href", "/log-in").of("Log in"),
    };
    tag("header").class("top").of((
        tag("h1").of("temp-ingest"),
        tag("p").class("state").live("ready").of(ready),
        tag("nav").with("aria-label", "Page").of((links, refresh)),
        who,
    ))
}

/// Its place is what the browser goes to, and with a focus of its own is read out.
fn notice(said: &Said) -> Html {
    let (class, role) = if said.failed {
        ("notice failed", "alert")
    } else {
        ("notice", "status")
    };
    let notice = tag("p")
        .id("said")
        .class(class)
        .with("role", role)
        .with("tabindex", "-1");
    notice.of(&said.text)
}
