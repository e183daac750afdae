//! The dashboard's port: who connects is served within limits, until the daemon ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::session::Sessions;
use super::state::Dashboard;
use super::{Handles, Settings, router};
use crate::control::overrides::Command;
use crate::http_server::{self, ConnectionLimit, LimitReached, Port, Protocol, RequestBody, Timeouts};
use crate::secrets::tokens::TokensError;
use crate::telemetry::metrics::DASHBOARD_PORT;

/// Bytes of the headers of a request: cookies of other services on the same host come along.
const MAX_HEADERS: usize = 16 << 10;
/// After so many seconds a client that found no place may try again.
const RETRY_SECONDS: &str = "1";

/// A bound port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    pub(super) address: SocketAddr,
    sessions: Sessions,
    settings: Settings,
}

/// The port could not be bound, or nobody could be let in.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port.
    #[error("dashboard.listen: binding {address}: {}", remedy(.source))]
    Listen {
        /// What is set.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The tokens.
    #[error("dashboard.token_file: {0}")]
    Tokens(#[from] TokensError),
}

impl Server {
    /// Binds the port; what connects waits for [`Server::serve`].
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            sessions: Sessions::open(settings.token_file.clone(), address.port())?,
            settings: settings.clone(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done and the requests under way are answered. It shows what `shown` holds at the time; what
    /// people want changed goes to `commands`.
    pub async fn serve(
        self,
        shown: watch::Receiver<Handles>,
        commands: mpsc::Sender<Command>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        let (limit, protocol) = (self.settings.connection_limit(), self.settings.protocol());
        let page = Arc::new(Dashboard::new(
            shown,
            commands,
            self.address,
            self.sessions,
            &self.settings,
        ));
        let counting = tokio::spawn(page.clone().count());
        let service = TowerToHyperService::new(router(page.clone()));
        let mut port = Port::new(DASHBOARD_PORT.to_owned(), self.listener);
        let mut stop = pin!(stop);
        loop {
            let (stream, client) = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = port.accept() => accepted,
            };
            let metrics = page.shown().metrics;
            let Some(permit) = port.admit(client.ip(), limit, &metrics).await else {
                continue;
            };
            let (activity, refused, service) = (permit.activity.clone(), permit.refused, service.clone());
            let of_request = activity.clone();
            let answer = move |mut request: Request<RequestBody>| {
                request.extensions_mut().insert(of_request.clone());
                let service = service.clone();
                async move {
                    match refused {
                        Some(reached) => beyond(reached),
                        None => {
                            let Ok(answer) = service.call(request).await;
                            answer
                        }
                    }
                }
            };
            let serving = http_server::serve(stream, activity, protocol, port.closing(), answer);
            port.spawn(permit, serving);
        }
        port.close().await;
        counting.abort();
    }
}

impl Settings {
    fn connection_limit(&self) -> ConnectionLimit {
        ConnectionLimit {
            all: self.max_connections.get() as usize,
            per_address: self.max_client_connections.get() as usize,
        }
    }

    fn protocol(&self) -> Protocol {
        Protocol {
            timeouts: Timeouts {
                headers: self.header_timeout.get(),
                idle: self.idle_timeout.get(),
            },
            max_headers: MAX_HEADERS,
        }
    }
}

/// The answer on a connection that is beyond a limit.
fn beyond(reached: LimitReached) -> Response {
    let status = match reached {
        LimitReached::All(_) => StatusCode::SERVICE_UNAVAILABLE,
        LimitReached::Address(_) => StatusCode::TOO_MANY_REQUESTS,
    };
    let headers = [(RETRY_AFTER, RETRY_SECONDS), (CONNECTION, "close")];
    (status, headers, format!("dashboard: {reached}\n")).into_response()
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has that port, perhaps another temp-ingest; stop it, or set dashboard.listen to another port"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root; set dashboard.listen to a higher one",
        _ => "set dashboard.listen to an address of this machine, such as \"127.0.0.1:9184\"",
    }
}
