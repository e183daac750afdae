//! What a connection is doing, and whether it may be closed in favour of a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A new connection has this long before it can be evicted: time for a request that is already under way to arrive, so that
/// even a flood of connections that ask nothing cannot push out a client that does.
pub const GRACE: Duration = Duration::from_millis(10);

/// The state of one connection, shared by its stream, its requests and the connection limit.
#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// The end of the last answer, or the start of the connection.
    served: Instant,
    admitted: bool,
    evicted: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client may send another request.
    Idle,
    /// The client has to send the headers of a request.
    Headers,
    /// The client has to send the rest of a body.
    Body,
    /// The daemon has to answer.
    Answering,
}

impl Activity {
    /// A connection that was accepted now.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                phase: Phase::Headers,
                since: now,
                served: now,
                admitted: false,
                evicted: false,
            }),
            evicted: Notify::new(),
        }
    }

    /// The client has shown that it may use this port: its connection is not closed in favour of others.
    pub fn admit(&self) {
        self.state().admitted = true;
    }

    /// True once the client was admitted.
    pub fn is_admitted(&self) -> bool {
        self.state().admitted
    }

    /// What the connection is doing, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let state = self.state();
        (state.phase, state.since)
    }

    /// The connection goes on to another phase; a client that was served owes nothing from before.
    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
        if phase == Phase::Idle {
            state.served = state.since;
        }
    }

    /// When the client last completed a request, where it may be closed in favour of another, [`GRACE`] after that; `None`
    /// where it was admitted, or waits for an answer.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        let waits = !state.admitted && state.phase != Phase::Answering;
        waits.then_some(state.served)
    }

    /// True once the connection is to be closed.
    pub(super) fn is_evicted(&self) -> bool {
        self.state().evicted
    }

    /// Has the connection closed.
    pub(super) fn evict(&self) {
        self.state().evicted = true;
        self.evicted.notify_one();
    }

    /// Returns once the connection is to be closed in favour of another.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
