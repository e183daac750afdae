//! Readings by POST, on a port of their own. The answer is 2xx only once every reading of the request is delivered, or
//! on disk: in the spool or among the dead letters. Requests that a client sends one after the other keep the order of
//! each sensor's readings; requests sent at the same time do not.

mod access;
mod answer;
mod bodies;
mod handler;
mod head;
pub(super) mod http_config;
mod intake;
mod keys;
mod overload;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tracing::{debug, info, warn};

use self::access::Access;
pub use self::access::AccessError;
use self::handler::{Peer, RequestHandler};
pub use self::http_config::{Config, Listen};
use self::intake::Intake;
use super::validate::Validated;
use super::{Ended, Output, SourceContext, SourceError};
use crate::http_server::{self, Activity, Port, Protocol, RequestBody};
use crate::telemetry::metrics::Metrics;

/// The interval at which files are checked for changes.
const LOOK: Duration = Duration::from_secs(10);

/// Runs until `output` asks it to stop and every pending request has its answer. Applies changes of `settings`, except
/// of the address.
pub(super) async fn run(
    name: String,
    config: Config,
    output: Output,
    context: SourceContext,
) -> Result<Ended, SourceError> {
    let SourceContext {
        listener,
        slots,
        metrics,
        mut settings,
        ..
    } = context;
    let listener = listener.expect("a source with an address has its port bound");
    let failed = |source| SourceError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let terms = Access::read(&config).map_err(SourceError::Access)?;
    info!(source = name, %address, tls = config.tls.is_some(), "taking readings over HTTP");
    let mut stop = output.stop();
    let intake = Intake::new(output, slots);
    let mut server = Server {
        handler: Arc::new(RequestHandler::new(name.clone(), terms, intake, metrics.clone())),
        port: Port::new(format!("source.{name}"), listener),
        name,
        metrics,
    };
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            Ok(()) = settings.changed() => {
                let now = settings.borrow_and_update().validate(&server.name);
                match now {
                    Ok(Validated::Http(config)) => server.renew(&config),
                    // It was checked, but a file may have changed since.
                    _ => warn!(source = server.name, "the changed settings are not valid; keeping the previous ones"),
                }
            }
            _ = look.tick() => server.look(),
            (stream, client) = server.port.accept() => server.serve(stream, client).await,
        }
    }
    // Without the output the pipeline drains, and settles the receipts that requests wait for.
    server.stop().await;
    Ok(Ended::Stopped)
}

struct Server {
    name: String,
    handler: Arc<RequestHandler>,
    port: Port,
    metrics: Arc<Metrics>,
}

impl Server {
    async fn serve(&mut self, stream: TcpStream, client: SocketAddr) {
        let terms = self.handler.terms();
        let admitted = self.port.admit(client.ip(), terms.limits.connections, &self.metrics);
        let Some(permit) = admitted.await else { return };
        let peer = Peer {
            address: client,
            bytes: permit.body_bytes.clone(),
            over: permit.refused,
        };
        let (handler, name) = (self.handler.clone(), self.name.clone());
        let (activity, closing) = (permit.activity.clone(), self.port.closing());
        self.port.spawn(permit, async move {
            let Some(tls) = &terms.tls else {
                return serve(stream, handler, peer, activity, closing).await;
            };
            match timeout(terms.limits.timeouts.headers, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, handler, peer, activity, closing).await,
                Ok(Err(error)) => debug!(source = name, %client, %error, "TLS handshake failed"),
                Err(_) => debug!(source = name, %client, "TLS handshake not finished within header_timeout"),
            }
        });
    }

    fn renew(&self, config: &Config) {
        match Access::read(config) {
            Ok(terms) => self.handler.renew(terms),
            Err(error) => warn!(
                source = self.name,
                "keeping the current tokens and certificate: {error}"
            ),
        }
    }

    fn look(&self) {
        let terms = self.handler.terms();
        if terms.is_stale() {
            info!(
                source = self.name,
                "tokens or certificate have changed; reading them again"
            );
            self.renew(&terms.config);
        }
    }

    /// Answers pending requests, and new ones with 503; then closes the port.
    async fn stop(mut self) {
        self.handler.stop();
        let handler = self.handler.clone();
        let answered = handler.answered();
        tokio::pin!(answered);
        loop {
            tokio::select! {
                biased;
                () = &mut answered => break,
                (stream, client) = self.port.accept() => self.serve(stream, client).await,
            }
        }
        self.port.close().await;
    }
}

/// Serves the requests of one connection.
async fn serve<S>(
    stream: S,
    handler: Arc<RequestHandler>,
    peer: Peer,
    activity: Arc<Activity>,
    closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = handler.terms().limits;
    let protocol = Protocol {
        timeouts: limits.timeouts,
        max_headers: limits.headers,
    };
    let peer = Arc::new(peer);
    let client = activity.clone();
    http_server::serve(stream, activity, protocol, closing, |request: Request<RequestBody>| {
        let (handler, peer, client) = (handler.clone(), peer.clone(), client.clone());
        async move {
            if !client.is_admitted() && handler.knows(request.headers()) {
                client.admit();
            }
            let answer = handler.answer(request, &peer).await;
            // Where no token is required, accepted readings identify a legitimate client.
            if answer.is_safe() {
                client.admit();
            }
            answer.into_response()
        }
    })
    .await;
}
