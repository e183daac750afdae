//! A port: accepts connections, keeps them within their limit, and closes them in an orderly way.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};
use tracing::{debug, warn};

use super::limit::{ConnectionLimit, ConnectionPermit, ConnectionTable, Decision};
use crate::telemetry::metrics::Metrics;

/// How long connections have to close after the last answer.
const GOODBYE: Duration = Duration::from_secs(2);
/// The wait after a failed accept, as with too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The backlog of connections waiting to be accepted. With the usual 128, a burst makes honest clients wait a second or
/// more before they try to connect again.
const BACKLOG: i32 = 1024;

/// A listening port and its connections.
#[derive(Debug)]
pub struct Port {
    name: String,
    listener: TcpListener,
    table: Arc<ConnectionTable>,
    connections: JoinSet<()>,
    /// Tells connections to end after the current answer.
    closing: watch::Sender<bool>,
    /// The last connection could not be accepted.
    failing: bool,
}

impl Port {
    /// Creates a port; `name` identifies it in logs and metrics.
    pub fn new(name: String, listener: TcpListener) -> Self {
        // On a socket that already listens this changes only the backlog, and the port works without it.
        let _ = rustix::net::listen(&listener, BACKLOG);
        Self {
            name,
            listener,
            table: Arc::default(),
            connections: JoinSet::new(),
            closing: watch::Sender::default(),
            failing: false,
        }
    }

    /// Returns the next connection. Cancel safe: no connection is lost.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            tokio::select! {
                Some(_) = self.connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, client)) => {
                        self.failing = false;
                        // Answers are small and must not wait for more data.
                        let _ = stream.set_nodelay(true);
                        return (stream, client);
                    }
                    Err(error) => {
                        if !self.failing {
                            warn!(port = self.name, %error, "cannot accept connections; retrying");
                        }
                        self.failing = true;
                        sleep(ACCEPT_AGAIN).await;
                    }
                },
            }
        }
    }

    /// Returns the permit of a connection from `client`, or `None` if the connection must be closed at once. Waits
    /// while another connection is closed in its favour.
    pub async fn admit(&self, client: IpAddr, limit: ConnectionLimit, metrics: &Metrics) -> Option<ConnectionPermit> {
        loop {
            match self.table.decide(client, limit) {
                Decision::Admit(permit) => return Some(permit),
                Decision::Evicted => metrics.connection_closed(&self.name, "evicted"),
                Decision::Refuse(permit, reached) => {
                    metrics.connection_closed(&self.name, reached.reason());
                    return Some(permit);
                }
                Decision::Close(reached) => {
                    metrics.connection_closed(&self.name, reached.reason());
                    debug!(port = self.name, %client, "connection closed: {reached}");
                    return None;
                }
                Decision::Wait(until) => {
                    let released = self.table.released();
                    match until {
                        Some(until) => drop(timeout_at(until, released).await),
                        None => released.await,
                    }
                }
            }
        }
    }

    /// Becomes true when connections are to end after the current answer.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Runs `serving`, which serves the permit's connection, until it ends or is evicted.
    pub fn spawn(&mut self, permit: ConnectionPermit, serving: impl Future<Output = ()> + Send + 'static) {
        self.connections.spawn(async move {
            tokio::select! {
                biased;
                () = permit.activity.evicted() => {}
                () = serving => {}
            }
            drop(permit);
        });
    }

    /// Stops accepting connections, and returns once the existing ones are closed.
    pub async fn close(mut self) {
        drop(self.listener);
        self.closing.send_replace(true);
        let closed = async { while self.connections.join_next().await.is_some() {} };
        if timeout(GOODBYE, closed).await.is_err() {
            self.connections.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_closed_in_favour_of_another() {
        let listener = TcpListener::bind((CLIENT, 0)).await.unwrap();
        let mut port = Port::new("dashboard".to_owned(), listener);
        let (metrics, limit) = (Metrics::new(Arc::default()), ConnectionLimit { all: 1, per_address: 1 });
        let (open, closed) = oneshot::channel::<()>();
        let permit = port.admit(CLIENT, limit, &metrics).await.unwrap();
        port.spawn(permit, async move {
            let _open = open;
            pending().await
        });
        let second = port.admit(CLIENT, limit, &metrics).await.unwrap();
        assert_eq!(second.refused, None);
        assert!(closed.await.is_err());
        second.activity.admit();
        let third = port.admit(CLIENT, limit, &metrics).await.unwrap();
        assert!(third.refused.is_some());
        let scrape = metrics.render();
        for reason in ["evicted", "max_client_connections"] {
            let counted = format!("{{port=\"dashboard\",reason=\"{reason}\"}} 1\n");
            assert!(scrape.contains(&counted), "{counted} in\n{scrape}");
        }
    }
}
