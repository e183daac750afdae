//! The daemon's interfaces to the outside: its HTTP endpoint, signals and the service manager. They outlive a daemon
//! that restarts in the same process.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::config::Settings;
use crate::control::overrides::Command;
use crate::daemon::systemd::Notifier;
use crate::dashboard::{Handles, Server};

/// Commands waiting to be executed; more than one at a time is rare.
const ORDERS: usize = 4;

/// The daemon's interfaces to the outside.
#[derive(Debug)]
pub struct Services {
    address: SocketAddr,
    /// The bound port, until there is something to serve.
    server: Option<Server>,
    /// The running HTTP endpoint, once there is something to serve.
    pub serving: Option<Serving>,
    commands: mpsc::Sender<Command>,
    /// Commands from the dashboard.
    pub asked: mpsc::Receiver<Command>,
    /// Signals from operators.
    pub signals: Signals,
    /// Notifies the service manager.
    pub notifier: Notifier,
}

/// The running HTTP endpoint.
#[derive(Debug)]
pub struct Serving {
    shown: watch::Sender<Handles>,
    task: JoinHandle<()>,
    /// Ends the HTTP endpoint when dropped.
    _ends: oneshot::Sender<()>,
}

impl Services {
    /// Binds the port and installs the signal handlers.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let signals = Signals::listen()?;
        let server = Server::bind(&settings.dashboard).await?;
        let (commands, asked) = mpsc::channel(ORDERS);
        Ok(Self {
            address: server.address(),
            server: Some(server),
            serving: None,
            commands,
            asked,
            signals,
            notifier: Notifier::new(),
        })
    }

    /// Serves these handles from now on, and returns the address.
    pub fn show(&mut self, shown: Handles) -> SocketAddr {
        match (&self.serving, self.server.take()) {
            (Some(serving), _) => drop(serving.shown.send_replace(shown)),
            (None, Some(server)) => {
                let (ends, ended) = oneshot::channel::<()>();
                let (sender, shown) = watch::channel(shown);
                let serving = server.serve(shown, self.commands.clone(), async { drop(ended.await) });
                self.serving = Some(Serving {
                    shown: sender,
                    task: tokio::spawn(serving),
                    _ends: ends,
                });
            }
            (None, None) => unreachable!("a server that is not serving is still bound"),
        }
        self.address
    }
}

/// Waits for the HTTP endpoint to end, which nothing asks it to.
pub async fn ended(serving: &mut Option<Serving>) -> Result<(), JoinError> {
    match serving {
        Some(serving) => (&mut serving.task).await,
        None => std::future::pending().await,
    }
}

/// The signals of operators.
#[derive(Debug)]
pub struct Signals {
    /// SIGTERM: shut down.
    pub terminate: Signal,
    /// SIGINT: shut down.
    pub interrupt: Signal,
    /// SIGHUP: reload the sources.
    pub hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// The error to report when the HTTP endpoint has ended.
pub fn dashboard_ended(ended: Result<(), JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow!("the HTTP endpoint ended unexpectedly"),
        Err(error) => anyhow::Error::new(error).context("the HTTP endpoint panicked"),
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("listening for signal {}", kind.as_raw_value()))
}
