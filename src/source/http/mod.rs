//! Readings by POST, on a port of their own. 2xx is said only once every reading of the request is delivered, or on disk:
//! in the spool, or among the dead letters. What a client sends one after the other stays in order for each sensor; what it
//! sends at the same time has none.

mod answer;
mod bodies;
mod clients;
mod connection;
mod desk;
mod head;
mod intake;
mod keys;
mod overload;
pub(super) mod plan;
mod terms;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tracing::{debug, info, warn};

use self::clients::Clients;
use self::desk::{Desk, Peer};
use self::intake::Intake;
pub use self::plan::{Listen, Plan};
use self::terms::Terms;
pub use self::terms::TermsError;
use super::plan::Plan as AnyPlan;
use super::{Ended, Means, Output, SourceError};

/// Files are looked at so often, whether they have changed.
const LOOK: Duration = Duration::from_secs(10);
/// After the last answer, connections have so long to be closed in order.
const GOODBYE: Duration = Duration::from_secs(2);
/// Where no connection can be accepted, as with too many open files, it is tried again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Runs until `output` asks it to stop and everybody who waits has an answer. Takes up what `settings` changes to, but for
/// the address.
pub(super) async fn run(name: String, plan: Plan, output: Output, means: Means) -> Result<Ended, SourceError> {
    let Means {
        listener,
        slots,
        metrics,
        mut settings,
        ..
    } = means;
    let listener = listener.expect("a source with an address has its port bound");
    let failed = |source| SourceError::Listen {
        address: plan.listen,
        source,
    };
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let terms = Terms::read(&plan).map_err(SourceError::Terms)?;
    info!(source = name, %address, tls = plan.tls.is_some(), "taking readings over HTTP");
    let mut stop = output.stop();
    let intake = Intake::new(output, slots);
    let mut server = Server {
        desk: Arc::new(Desk::new(name.clone(), terms, intake, metrics)),
        name,
        listener,
        clients: Arc::default(),
        connections: JoinSet::new(),
        ending: watch::Sender::default(),
        failing: false,
    };
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            Ok(()) = settings.changed() => {
                let now = settings.borrow_and_update().plan(&server.name);
                match now {
                    Ok(AnyPlan::Http(plan)) => server.renew(&plan),
                    // It was checked, but a file may have changed since.
                    _ => warn!(source = server.name, "what it is set to now does not hold: going on as before"),
                }
            }
            _ = look.tick() => server.look(),
            Some(_) = server.connections.join_next() => {}
            accepted = server.listener.accept() => server.accepted(accepted).await,
        }
    }
    // Without the output the pipeline drains; whoever waits hears of the receipts it settles meanwhile.
    server.stop().await;
    Ok(Ended::Stopped)
}

struct Server {
    name: String,
    desk: Arc<Desk>,
    listener: TcpListener,
    clients: Arc<Clients>,
    connections: JoinSet<()>,
    /// Tells connections to end after the answer under way.
    ending: watch::Sender<bool>,
    /// The last connection could not be accepted.
    failing: bool,
}

impl Server {
    async fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, address)) => {
                self.failing = false;
                self.serve(stream, address);
            }
            Err(error) => {
                if !self.failing {
                    warn!(source = self.name, %error, "a connection could not be accepted: trying again");
                }
                self.failing = true;
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, address: SocketAddr) {
        let terms = self.desk.terms();
        let Some(visit) = self.clients.admit(address.ip(), terms.limits.places) else {
            debug!(source = self.name, client = %address, "closed: too many connections");
            return;
        };
        // An answer is small and should not wait for more.
        let _ = stream.set_nodelay(true);
        let (desk, ending, name) = (self.desk.clone(), self.ending.subscribe(), self.name.clone());
        self.connections.spawn(async move {
            let peer = Peer {
                address,
                bytes: visit.bytes.clone(),
                over: visit.over,
            };
            let Some(tls) = &terms.tls else {
                connection::serve(stream, desk, peer, ending).await;
                return drop(visit);
            };
            match timeout(terms.limits.patience.headers, tls.accept(stream)).await {
                Ok(Ok(stream)) => connection::serve(stream, desk, peer, ending).await,
                Ok(Err(error)) => debug!(source = name, client = %address, %error, "no TLS was agreed on"),
                Err(_) => debug!(source = name, client = %address, "no TLS was agreed on within header_timeout"),
            }
            drop(visit);
        });
    }

    fn renew(&self, plan: &Plan) {
        match Terms::read(plan) {
            Ok(terms) => self.desk.renew(terms),
            Err(error) => warn!(
                source = self.name,
                "going on with the tokens and certificate in force: {error}"
            ),
        }
    }

    fn look(&self) {
        let terms = self.desk.terms();
        if terms.is_stale() {
            info!(
                source = self.name,
                "tokens or certificate have changed: reading them again"
            );
            self.renew(&terms.plan);
        }
    }

    /// Answers everybody who waits, and whoever comes meanwhile with 503; then closes.
    async fn stop(mut self) {
        self.desk.stop();
        let desk = self.desk.clone();
        let answered = desk.answered();
        tokio::pin!(answered);
        loop {
            tokio::select! {
                biased;
                () = &mut answered => break,
                Some(_) = self.connections.join_next() => {}
                accepted = self.listener.accept() => self.accepted(accepted).await,
            }
        }
        drop(self.listener);
        self.ending.send_replace(true);
        let closed = async { while self.connections.join_next().await.is_some() {} };
        if timeout(GOODBYE, closed).await.is_err() {
            self.connections.shutdown().await;
        }
    }
}
