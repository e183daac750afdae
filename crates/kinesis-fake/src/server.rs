//! A running endpoint: its thread, its listener, and the handle to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime;
use tokio::task::JoinSet;

use crate::command::{Command, CommandError};
use crate::config::Config;
use crate::connection;
use crate::ledger::{Accepted, Counters};
use crate::state::{Line, Shared};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;

/// A running endpoint, on a thread of its own, so that any test can have one. Dropping it stops it.
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] CommandError),
    /// The ledger's file cannot be written.
    #[error("opening the ledger {}: {cause}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The port cannot be bound.
    #[error("listening on 127.0.0.1:{port}: {cause}")]
    Listen {
        /// As configured.
        port: u16,
        /// Why.
        cause: io::Error,
    },
}

impl Endpoint {
    /// Starts one; it listens when this returns.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let shared = Shared::new(&config).map_err(|cause| StartError::Ledger {
            path: config.ledger.clone().unwrap_or_default(),
            cause,
        })?;
        shared.apply(Command::Chances(config.chances))?;
        shared.apply(Command::Script(config.script))?;
        shared.apply(Command::Throttle(config.throttle))?;
        let shared = Arc::new(shared);
        let (started, starting) = mpsc::channel();
        let thread = std::thread::Builder::new().name("kinesis-fake".to_owned()).spawn({
            let (shared, port, slow) = (Arc::clone(&shared), config.port, config.slow);
            move || run(shared, port, slow, &started)
        });
        let listen = |cause| StartError::Listen {
            port: config.port,
            cause,
        };
        let thread = thread.map_err(listen)?;
        let address = starting
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the endpoint's thread ended at once")))
            .map_err(listen)?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens: what `AWS_ENDPOINT_URL` is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes it while it runs.
    pub fn apply(&self, command: Command) -> Result<(), CommandError> {
        self.shared.apply(command)
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.shared.lock().ledger.counters.clone()
    }

    /// What was accepted so far, in order; empty where the configuration keeps nothing.
    pub fn accepted(&self) -> Vec<Arc<Accepted>> {
        self.shared.lock().ledger.accepted().to_vec()
    }

    /// Waits until the counters are as wanted.
    pub async fn until(&self, wanted: impl Fn(&Counters) -> bool) -> Counters {
        let mut changes = self.shared.changed.subscribe();
        loop {
            let counters = self.counters();
            if wanted(&counters) {
                return counters;
            }
            // The sender lives as long as this endpoint.
            let _ = changes.changed().await;
        }
    }

    /// Ends every connection, frees the port, and tells the final counts.
    pub fn stop(mut self) -> Counters {
        self.end();
        self.counters()
    }

    fn end(&mut self) {
        self.shared.line.send_replace(Line::Stopped);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(shared: Arc<Shared>, port: u16, slow: Duration, started: &mpsc::Sender<io::Result<SocketAddr>>) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    runtime.block_on(async {
        // Bound and never listening, it keeps the port ours while an outage refuses connections.
        let opened = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).and_then(|reserved| {
            let address = reserved.local_addr()?;
            Ok((listen(address)?, address, reserved))
        });
        match opened {
            Ok((listener, address, _reserved)) => {
                let _ = started.send(Ok(address));
                serve(shared, slow, listener, address).await;
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

/// Accepts connections while the line is open; ends all of them when it closes.
async fn serve(shared: Arc<Shared>, slow: Duration, listener: TcpListener, address: SocketAddr) {
    let mut line = shared.line.subscribe();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let wanted = *line.borrow_and_update();
        match wanted {
            Line::Stopped => break,
            Line::Closed { until } => {
                listener = None;
                connections.shutdown().await;
                let over = async {
                    match until {
                        Some(until) => tokio::time::sleep_until(until.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = line.changed() => {}
                    () = over => drop(shared.line.send_if_modified(|line| {
                        let over = *line == wanted;
                        if over {
                            *line = Line::Open;
                        }
                        over
                    })),
                }
            }
            Line::Open => {
                let open = match listener.take().map_or_else(|| listen(address), Ok) {
                    Ok(open) => open,
                    // Only the kernel can have run out of something; it is tried again, since nobody else has the port.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                loop {
                    tokio::select! {
                        _ = line.changed() => break,
                        Some(_) = connections.join_next() => {}
                        accepted = open.accept() => if let Ok((stream, _)) = accepted {
                            connections.spawn(connection::serve(stream, Arc::clone(&shared), slow));
                        }
                    }
                }
                listener = Some(open);
            }
        }
    }
    connections.shutdown().await;
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Several sockets of one port may be bound where none of them listens yet.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
