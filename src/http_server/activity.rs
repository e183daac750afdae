//! What a connection is doing, and whether it may be closed in favour of a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection has this long before it can be evicted, from when it was first read or last served: time for a request that
/// is already under way to arrive, so that even a flood of connections that ask nothing cannot push out a client that does.
pub(super) const GRACE: Duration = Duration::from_millis(10);

/// The same for a connection that was not read yet: on a busy machine its request may have arrived long ago. While it agrees
/// on TLS it is not read.
pub(super) const UNREAD_GRACE: Duration = Duration::from_secs(1);

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
    /// When it can be evicted, unless the daemon has to answer or the client was admitted.
    evictable: Instant,
    read: bool,
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
                evictable: now + UNREAD_GRACE,
                read: false,
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
            state.evictable = state.since + GRACE;
        }
    }

    /// The daemon reads what the client sends.
    pub(super) fn read(&self) {
        let mut state = self.state();
        if !state.read {
            state.read = true;
            state.evictable = state.evictable.min(Instant::now() + GRACE);
        }
    }

    /// From when on the connection may be closed in favour of another, the longer without a request the earlier; `None` where
    /// its client was admitted, or waits for an answer.
    pub(super) fn evictable_from(&self) -> Option<Instant> {
        let state = self.state();
        let waits = !state.admitted && state.phase != Phase::Answering;
        waits.then_some(state.evictable)
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
