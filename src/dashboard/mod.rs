//! What operators ask over HTTP: metrics, liveness, readiness, and the page on which people look on and change what runs.

mod admitted_form;
mod assets;
mod control;
mod controls;
mod form;
mod guard;
mod html;
mod incident_stores;
mod incidents;
mod log_in;
mod login_limiter;
mod markup;
mod now;
mod page;
mod rate_sampler;
mod readings;
mod scores;
mod server;
mod session;
mod sources;
mod state;
mod tables;
mod template;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Deserializer, Serialize};
pub use server::{BindError, Server};
use state::Dashboard;
use tokio::sync::watch;
use values::aws_name::AwsName;
use values::duration::Within;
use values::problem::Problem;

use crate::canary::{self, Canary};
use crate::control::status::Status;
use crate::http_server::{ALIVE, Activity};
use crate::pipeline::Health;
use crate::secrets::tokens::Tokens;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recent_readings::RecentReadings;

const INDEX: &str = "temp-ingest

/         the page: what runs now, in a browser
/metrics  what is counted and measured, for Prometheus
/healthz  200 while the process is alive
/readyz   200 while readings are accepted, else 503 and why not
/canary   POST sends one reading of our own: 200 once the sink has it, else 503 and why not
";

/// The content type of Prometheus' text format.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A browser opens up to six connections, Prometheus keeps one.
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");
/// Half of them: several people may come through one proxy or forwarded port.
const CLIENT_CONNECTIONS: NonZeroU32 = NonZeroU32::new(32).expect("32 is not zero");
/// More than any dashboard needs.
const MOST_CONNECTIONS: u32 = 10_000;

/// The `[dashboard]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address and port of `/metrics`, `/healthz`, `/readyz` and the page. Port 0 takes any free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// A file of tokens, one a line: its bearer may change what runs. Without it the dashboard is read-only.
    pub token_file: Option<PathBuf>,
    /// Names the page may be asked by, beside localhost and addresses.
    pub hosts: Vec<String>,
    /// The table in which the functions behind the stream keep incidents: the page shows them.
    pub incidents_table: Option<String>,
    /// The table in which they keep readings, where they do: the page shows their scores.
    pub readings_table: Option<String>,
    /// Connections in all.
    pub max_connections: NonZeroU32,
    /// Connections from one client address.
    pub max_client_connections: NonZeroU32,
    /// How long the headers of a request may take.
    pub header_timeout: Within<100, 600_000>,
    /// How long a form may take after its headers.
    pub body_timeout: Within<100, 600_000>,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Within<100, 3_600_000>,
}

/// What the endpoint shows.
#[derive(Clone)]
pub struct Handles {
    /// What `/metrics` renders.
    pub metrics: Arc<Metrics>,
    /// Whether readings are accepted, and whether the sink takes them; else why not.
    pub ready: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Sends a reading of our own.
    pub canary: Arc<Canary>,
    /// The last readings of sensors, while somebody looks on.
    pub recent: Arc<RecentReadings>,
    /// The daemon as it is now.
    pub status: watch::Receiver<Status>,
    /// How it goes.
    pub health: watch::Receiver<Health>,
}

impl Settings {
    /// All that is wrong with them.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        if let Some(file) = &self.token_file
            && let Err(error) = Tokens::read(file)
        {
            let value = format!("{:?}", file.display().to_string());
            problems.push(Problem::new("dashboard.token_file", value, error.to_string()));
        }
        for host in &self.hosts {
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
            if host.is_empty() || !host.chars().all(is_name) {
                let remedy = "is no name of a host: write it as browsers show it, without a port";
                problems.push(Problem::new("dashboard.hosts", format!("{host:?}"), remedy));
            }
        }
        let counts = [
            ("dashboard.max_connections", self.max_connections),
            ("dashboard.max_client_connections", self.max_client_connections),
        ];
        for (key, count) in counts {
            if count.get() > MOST_CONNECTIONS {
                let remedy = format!("is too many: use at most {MOST_CONNECTIONS}");
                problems.push(Problem::new(key, count.to_string(), remedy));
            }
        }
        let tables = [
            ("dashboard.incidents_table", &self.incidents_table),
            ("dashboard.readings_table", &self.readings_table),
        ];
        for (key, table) in tables {
            problems.extend(table.as_deref().and_then(|table| AwsName::Table.problem(key, table)));
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9184).into(),
            token_file: None,
            hosts: Vec::new(),
            incidents_table: None,
            readings_table: None,
            max_connections: CONNECTIONS,
            max_client_connections: CLIENT_CONNECTIONS,
            header_timeout: Within::from_millis(10_000),
            body_timeout: Within::from_millis(10_000),
            idle_timeout: Within::from_millis(75_000),
        }
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("ready", &(self.ready)())
            .finish_non_exhaustive()
    }
}

fn router(page: Arc<Dashboard>) -> Router {
    let people = Router::new()
        .route("/", get(page::show))
        .route("/readings", get(page::readings))
        .route("/assets/{name}", get(asset))
        .route("/log-in", get(log_in::log_in).post(control::log_in))
        .route("/log-out", post(control::log_out))
        .route("/incident", post(control::incident))
        .route("/source", post(control::source))
        .route("/stream", post(control::stream))
        .route("/template", get(template::edit).post(template::take))
        .layer(from_fn_with_state(page.clone(), guarded));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || ALIVE))
        .route("/readyz", get(ready))
        .route(canary::PATH, post(send_canary))
        .merge(people)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(page)
}

/// Answers what people ask only by names of ours, and what changes something only from our own page.
async fn guarded(State(page): State<Arc<Dashboard>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let safe = request.method().is_safe();
    let checked = guard::check_host(headers, page.hosts()).and_then(|()| match safe {
        true => Ok(()),
        false => guard::check_origin(headers),
    });
    // Connections of a logged-in client are not evicted in favour of others.
    if page.sessions.visitor(headers).is_some()
        && let Some(activity) = request.extensions().get::<Arc<Activity>>()
    {
        activity.admit();
    }
    guard::guarded(match checked {
        Ok(()) => next.run(request).await,
        Err(refused) => (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response(),
    })
}

async fn asset(uri: Uri) -> Response {
    match assets::find(uri.path()) {
        Some(asset) => asset,
        None => unknown(uri).await,
    }
}

async fn metrics(State(page): State<Arc<Dashboard>>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], page.shown().metrics.render()).into_response()
}

async fn ready(State(page): State<Arc<Dashboard>>) -> Response {
    match (page.shown().ready)() {
        Ok(how) => format!("ready: {how}\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn send_canary(State(page): State<Arc<Dashboard>>, headers: HeaderMap) -> Response {
    if let Err(refused) = guard::check_origin(&headers) {
        return (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response();
    }
    let canary = page.shown().canary;
    match canary.send().await {
        Ok(arrived) => format!("{arrived}\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn wrong_method(uri: Uri) -> Response {
    let asked = [canary::PATH, "/log-out", "/incident", "/source", "/stream"];
    let method = if asked.contains(&uri.path()) { "POST" } else { "GET" };
    (StatusCode::METHOD_NOT_ALLOWED, format!("this is asked with {method}\n")).into_response()
}

async fn unknown(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no {}\n\n{INDEX}", uri.path())).into_response()
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "{text:?} is not an address with a port; write one such as \"127.0.0.1:9184\", \
             or \"0.0.0.0:9184\" to be reached from other machines"
        ))
    })
}

#[cfg(test)]
mod tests;
