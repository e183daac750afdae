//! What operators ask over HTTP: metrics, liveness, readiness. It shows what others measure and decides nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::net::TcpListener;

use crate::canary::{self, Canary};
use crate::metrics::Metrics;

/// What `/healthz` says; `doctor` knows a running daemon by it.
pub const ALIVE: &str = "temp-ingest is alive\n";

const INDEX: &str = "temp-ingest

/metrics  what is counted and measured, for Prometheus
/healthz  200 while the process is alive
/readyz   200 while readings are accepted, else 503 and why not
/canary   POST sends one reading of our own: 200 once the sink has it, else 503 and why not
";

/// The content type of Prometheus' text format.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The `[admin]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address and port of `/metrics`, `/healthz` and `/readyz`. Port 0 takes any free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

/// What the endpoint shows.
#[derive(Clone)]
pub struct Shown {
    /// What `/metrics` renders.
    pub metrics: Arc<Metrics>,
    /// Whether readings are accepted; else why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Sends a reading of our own.
    pub canary: Arc<Canary>,
}

/// A bound port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// The port could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("admin.listen: binding {address}: {}", remedy(.source))]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl Server {
    /// Binds the port; what connects waits for [`Server::serve`].
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let failed = |source| BindError {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done and the requests under way are answered.
    pub async fn serve(self, shown: Shown, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        axum::serve(self.listener, router(shown))
            .with_graceful_shutdown(stop)
            .await
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9184).into(),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("ready", &(self.ready)())
            .finish_non_exhaustive()
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || ALIVE))
        .route("/readyz", get(ready))
        .route(canary::PATH, post(send_canary))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], shown.metrics.render()).into_response()
}

async fn ready(State(shown): State<Shown>) -> Response {
    match (shown.ready)() {
        Ok(()) => "ready: readings are accepted\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn send_canary(State(shown): State<Shown>) -> Response {
    match shown.canary.send().await {
        Ok(arrived) => format!("{arrived}\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn wrong_method(uri: Uri) -> Response {
    let method = if uri.path() == canary::PATH { "POST" } else { "GET" };
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

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has that port, perhaps another temp-ingest; stop it, or set admin.listen to another port"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root; set admin.listen to a higher one",
        _ => "set admin.listen to an address of this machine, such as \"127.0.0.1:9184\"",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::{mpsc, oneshot, watch};

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn operators_are_answered_until_the_stop() {
        let free = Settings {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let server = Server::bind(&free).await.unwrap();
        let address = server.address();
        let (say, known) = watch::channel(Ok(()));
        let ready = Arc::new(move || known.borrow().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let shown = Shown {
            metrics: Arc::new(Metrics::new(Arc::default())),
            ready,
            canary: Arc::new(Canary::new(
                &mpsc::channel(1).0,
                watch::channel(false).1,
                Arc::default(),
                String::new(),
            )),
        };
        let serving = tokio::spawn(server.serve(shown, async {
            let _ = stopped.await;
        }));

        let metrics = ask(address, "GET /metrics").await;
        assert!(
            metrics.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"),
            "{metrics}"
        );
        assert!(
            metrics.contains("\ntemp_ingest_readings_produced_total 0\n"),
            "{metrics}"
        );
        assert!(ask(address, "GET /healthz").await.ends_with(ALIVE));
        assert!(ask(address, "GET /").await.contains("/readyz"));
        assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
        say.send(Err("memory and spool are full".into())).unwrap();
        let unready = ask(address, "GET /readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
        assert!(unready.ends_with("not ready: memory and spool are full\n"), "{unready}");
        let unknown = ask(address, "GET /metric").await;
        assert!(
            unknown.starts_with("HTTP/1.1 404 ") && unknown.contains("there is no /metric\n"),
            "{unknown}"
        );
        let draining = ask(address, "POST /canary").await;
        assert!(draining.starts_with("HTTP/1.1 503 "), "{draining}");
        let wrong = ask(address, "POST /metrics").await;
        assert!(
            wrong.starts_with("HTTP/1.1 405 ") && wrong.ends_with("asked with GET\n"),
            "{wrong}"
        );

        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_key_to_change() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let settings = Settings {
            listen: taken.local_addr().unwrap(),
        };
        let error = Server::bind(&settings).await.unwrap_err().to_string();
        assert!(error.contains(&format!("binding {}", settings.listen)), "{error}");
        assert!(error.contains("set admin.listen to another port"), "{error}");
    }
}
