//! The page: what runs now, complete as the server writes it. A script only fetches it again and draws the plot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{self, IntoResponse, Redirect, Response};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::form::{FormError, Forms};
use super::html::{badge, document, link, section};
use super::incident_stores::IncidentStores;
use super::incidents::{self, Kept};
use super::login_limiter::Denied;
use super::markup::{Html, Tag, each, tag};
use super::rate_sampler::{self, RateSampler, Sample};
use super::readings::LookedAt;
use super::scores::Scores;
use super::session::{Said, Sessions, Visitor};
use super::{Handles, Settings, now, readings, sources};
use crate::control::overrides::Command;
use crate::control::status::Status;

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Page {
    shown: watch::Receiver<Handles>,
    pub commands: mpsc::Sender<Command>,
    address: SocketAddr,
    pub sessions: Sessions,
    hosts: Vec<String>,
    rate_sampler: RateSampler,
    pub incident_stores: IncidentStores,
    pub forms: Forms,
    scores: Scores,
}

/// What this person may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Nobody may change anything: there are no tokens.
    Off,
    /// They may log in.
    LoggedOut,
    /// They may change what runs.
    On(Visitor),
}

impl Page {
    pub(super) fn new(
        shown: watch::Receiver<Handles>,
        commands: mpsc::Sender<Command>,
        address: SocketAddr,
        sessions: Sessions,
        settings: &Settings,
    ) -> Self {
        Self {
            shown,
            commands,
            address,
            sessions,
            hosts: settings.hosts.clone(),
            rate_sampler: RateSampler::default(),
            incident_stores: IncidentStores::default(),
            forms: Forms::new(settings.body_timeout.get()),
            scores: Scores::default(),
        }
    }

    /// What there is to show now.
    pub(super) fn shown(&self) -> Handles {
        self.shown.borrow().clone()
    }

    /// Names it may be asked by.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Counts once a second, for rates.
    pub(super) async fn count(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(rate_sampler::INTERVAL);
        loop {
            ticks.tick().await;
            let shown = self.shown();
            let counts = shown.metrics.counts();
            let status = shown.status.borrow();
            let sources = status.sources.iter();
            self.rate_sampler.beat(Sample {
                at: Instant::now(),
                produced: counts.produced,
                delivered: counts.delivered,
                sources: sources.map(|row| (row.name.clone(), row.produced.get())).collect(),
            });
        }
    }

    pub(super) fn control(&self, headers: &HeaderMap) -> Control {
        match self.sessions.visitor(headers) {
            Some(visitor) => Control::On(visitor),
            None if self.sessions.are_possible() => Control::LoggedOut,
            None => Control::Off,
        }
    }

    /// Begins a session; what the browser is to keep.
    pub(super) fn begin_session(&self, token: &str, name: &str) -> Result<String, Denied> {
        self.sessions
            .log_in(token, name)
            .inspect_err(|denied| self.count_denied(*denied))
    }

    /// Whether the token of the request itself is let in; `None` where it has none, or there are none at all.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<Result<(), Denied>> {
        let token = self.sessions.token(headers)?;
        Some(token.inspect_err(|denied| self.count_denied(*denied)))
    }

    pub(super) fn count_form_refused(&self, error: FormError) {
        self.shown.borrow().metrics.page_form_refused(error.reason());
    }

    fn count_denied(&self, denied: Denied) {
        self.shown.borrow().metrics.page_token_refused(denied.reason());
        // What follows is counted only: whoever goes on must not fill the log.
        if denied == Denied::Wrong {
            warn!("somebody tried a wrong token on the page");
        }
    }

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
pub(super) async fn show(State(page): State<Arc<Page>>, headers: HeaderMap, uri: Uri) -> Response {
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
pub(super) async fn readings(State(page): State<Arc<Page>>, headers: HeaderMap, uri: Uri) -> Response {
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

/// Where a token is asked for.
pub(super) async fn log_in(State(page): State<Arc<Page>>) -> Response {
    response::Html(log_in_form(&page, None)).into_response()
}

/// The form, and what was wrong with what was sent.
pub(super) fn log_in_form(page: &Page, wrong: Option<&str>) -> String {
    let wrong = wrong.map(|wrong| tag("p").class("notice failed").with("role", "alert").of(wrong));
    let back = link("/", "Back");
    let content = match page.sessions.are_possible() {
        true => post("/log-in").of((
            field(
                "name",
                "Your name",
                "Noted with the incidents that you acknowledge.",
                |input| input.with("autocomplete", "username").with("maxlength", "60"),
            ),
            field(
                "token",
                "Token",
                "A line of the file that admin.token_file names.",
                |input| {
                    let input = input.with("type", "password").with("autocomplete", "current-password");
                    input.flag("required", true)
                },
            ),
            tag("p").class("actions").of((tag("button").of("Log in"), back)),
        )),
        false => tag("div").class("steps").of((how_to_turn_on(), back)),
    };
    let main = tag("div")
        .class("card narrow")
        .of(section("log-in", "Log in to change what runs", (wrong, content)));
    document("Log in – temp-ingest", bare_header(), main)
}

/// A form that changes something.
pub(super) fn post(action: &str) -> Tag {
    tag("form").with("method", "post").with("action", action)
}

/// How control is turned on, where it is off.
pub(super) fn how_to_turn_on() -> Html {
    let code = |text: &'static str| tag("code").of(text);
    let steps = [
        ("make a token: ", code("(umask 077; openssl rand -hex 32 > tokens)"), ""),
        (
            "name the file in the configuration, in the table [admin]: ",
            code("token_file = \"/path/to/tokens\""),
            "",
        ),
        (
            "start the daemon again, and log in with the token.",
            Html::default(),
            "",
        ),
    ];
    let why = "Nothing can be changed here yet, because there is no token. To turn control on:";
    tag("div").of((tag("p").of(why), tag("ol").of(each(steps, |step| tag("li").of(step)))))
}

fn field(name: &'static str, label: &str, hint: &str, kind: impl Fn(Tag) -> Tag) -> Html {
    let hint_id = format!("{name}-hint");
    let input = tag("input")
        .id(name)
        .with("name", name)
        .with("aria-describedby", &hint_id);
    tag("p").class("field").of((
        tag("label").with("for", name).of(label),
        kind(input).void(),
        tag("span").class("hint").id(&hint_id).of(hint),
    ))
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

pub(super) fn bare_header() -> Html {
    tag("header").class("top").of(tag("h1").of("temp-ingest"))
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

/// What makes a form one of this visitor's.
pub(super) fn token(visitor: &Visitor) -> Html {
    hidden("form", &visitor.form)
}

/// What a form says beside what is typed into it.
pub(super) fn hidden(name: &str, value: &str) -> Html {
    let input = tag("input").with("type", "hidden");
    input.with("name", name).with("value", value).void()
}

/// A word of the address.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
