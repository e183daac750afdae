//! What a connection is doing, and whether it may be closed to make room for a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection cannot be evicted after it was first read or last served: time for a request already on its
/// way to arrive, so that even a flood of silent connections cannot evict an active client.
pub(super) const GRACE: Duration = Duration::from_millis(10);

/// The same for a connection that has not been read yet: on a busy machine its request may have arrived long ago. A
/// connection is not read during the TLS handshake.
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
    /// When it can be evicted, unless an answer is pending or the client was admitted.
    evictable: Instant,
    read: bool,
    admitted: bool,
    evicted: bool,
}

/// Whose turn it is in the exchange.
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
    /// The state of a newly accepted connection.
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

    /// Marks the client as authorised for this port: its connection is not closed to make room for others.
    pub fn admit(&self) {
        self.state().admitted = true;
    }

    /// True once the client was admitted.
    pub fn is_admitted(&self) -> bool {
        self.state().admitted
    }

    /// The current phase, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let state = self.state();
        (state.phase, state.since)
    }

    /// Enters another phase; after an answer the client has a fresh grace period.
    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
        if phase == Phase::Idle {
            state.evictable = state.since + GRACE;
        }
    }

    /// Marks that the daemon reads from the client.
    pub(super) fn read(&self) {
        let mut state = self.state();
        if !state.read {
            state.read = true;
            state.evictable = state.evictable.min(Instant::now() + GRACE);
        }
    }

    /// When the connection may be closed to make room for another: the longer it has gone without a request, the
    /// earlier. `None` if its client was admitted or waits for an answer.
    pub(super) fn evictable_from(&self) -> Option<Instant> {
        let state = self.state();
        let waits = !state.admitted && state.phase != Phase::Answering;
        waits.then_some(state.evictable)
    }

    /// True once the connection is to be closed.
    pub(super) fn is_evicted(&self) -> bool {
        self.state().evicted
    }

    /// Requests that the connection be closed.
    pub(super) fn evict(&self) {
        self.state().evicted = true;
        self.evicted.notify_one();
    }

    /// Returns once the connection is to be closed to make room for another.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
