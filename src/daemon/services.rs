//! What of the daemon the world outside knows: its HTTP endpoint, signals, and the service manager. It outlives a daemon that
//! is started again in the same process.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::config::Settings;
use crate::control::overrides::Command;
use crate::daemon::systemd::Notifier;
use crate::dashboard::{Handles, Server};

/// What people want changed waits for its turn; more than one at a time is rare.
const ORDERS: usize = 4;

/// What the world outside knows of the daemon.
#[derive(Debug)]
pub struct Services {
    address: SocketAddr,
    /// Bound, until there is something to show.
    server: Option<Server>,
    /// Once there is something to show.
    pub serving: Option<Serving>,
    commands: mpsc::Sender<Command>,
    /// What people want changed, by the page.
    pub asked: mpsc::Receiver<Command>,
    /// What operators want.
    pub signals: Signals,
    /// Who is told how it goes.
    pub notifier: Notifier,
}

/// The HTTP endpoint at work.
#[derive(Debug)]
pub struct Serving {
    shown: watch::Sender<Handles>,
    task: JoinHandle<()>,
    /// Ends the HTTP endpoint once it is dropped.
    _ends: oneshot::Sender<()>,
}

impl Services {
    /// Binds the port and listens for signals.
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

    /// Shows this from now on, and says where.
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
            (None, None) => unreachable!("what is not served is still bound"),
        }
        self.address
    }
}

/// Waits for the end of the HTTP endpoint, which nobody asks for.
pub async fn ended(serving: &mut Option<Serving>) -> Result<(), JoinError> {
    match serving {
        Some(serving) => (&mut serving.task).await,
        None => std::future::pending().await,
    }
}

/// The signals of operators.
#[derive(Debug)]
pub struct Signals {
    /// End.
    pub terminate: Signal,
    /// End.
    pub interrupt: Signal,
    /// Load the sources anew.
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

/// What it means that the HTTP endpoint has ended.
pub fn dashboard_ended(ended: Result<(), JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow!("the HTTP endpoint ended before it was asked to"),
        Err(error) => anyhow::Error::new(error).context("the HTTP endpoint broke"),
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("listening for signal {}", kind.as_raw_value()))
}
