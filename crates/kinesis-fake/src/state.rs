//! All that changes while an endpoint runs, behind one lock, and what is told when it does.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::command::{Command, CommandError, Credentials, Metadata};
use crate::config::Config;
use crate::fault::{Fault, Faults};
use crate::form;
use crate::ledger::{Ledger, Slice};
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::stream::{Condition, Stream};

/// What connections and the handle share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told whenever counters or hung keys change.
    pub(crate) changed: watch::Sender<()>,
    /// What the listener shall do.
    pub(crate) line: watch::Sender<Line>,
}

/// What the listener shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Open,
    Closed { until: Option<Instant> },
    Stopped,
}

/// All that changes while an endpoint runs.
pub(crate) struct State {
    pub(crate) started: Instant,
    pub(crate) stream: Stream,
    pub(crate) faults: Faults,
    pub(crate) partial_share: f64,
    pub(crate) ledger: Ledger,
    pub(crate) hung: BTreeSet<String>,
    /// Number of the newest request, from 1.
    pub(crate) request: u64,
    pub(crate) metadata: Metadata,
    /// How long credentials given out are good.
    session: Duration,
    sessions: u64,
    seen: BTreeSet<String>,
    expired: BTreeSet<String>,
    denied: BTreeSet<Operation>,
}

/// Counts a request as hanging for as long as it lives.
pub(crate) struct Hanging(Arc<Shared>);

impl Shared {
    /// Without what commands can change: faults and throttle.
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut state = State {
            started: Instant::now(),
            ledger: Ledger::new(config.ledger.as_deref(), config.keep)?,
            stream: Stream::new(config, created),
            faults: Faults::new(config.seed),
            partial_share: config.partial_share.clamp(0.0, 1.0),
            hung: BTreeSet::new(),
            request: 0,
            metadata: Metadata::default(),
            session: config.session,
            sessions: 0,
            seen: BTreeSet::new(),
            expired: BTreeSet::new(),
            denied: BTreeSet::new(),
        };
        state.tell_shards()?;
        Ok(Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            line: watch::Sender::new(Line::Open),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the running endpoint.
    pub(crate) fn apply(&self, command: Command) -> Result<(), CommandError> {
        let mut state = self.lock();
        let now = state.started.elapsed();
        match command {
            Command::Chances(chances) => state.faults.set_chances(chances)?,
            Command::Script(steps) => state.faults.append(steps),
            Command::Throttle(scale) => {
                if let Some(scale) = scale.filter(|scale| !(*scale > 0.0 && scale.is_finite())) {
                    return Err(CommandError::Throttle(scale));
                }
                state.stream.set_throttle(scale, now);
            }
            Command::CreateStream => state.stream.condition = Condition::Active,
            Command::DeleteStream => state.stream.condition = Condition::Missing,
            Command::MakeStreamAgain { shards, strategy } => {
                state.stream.make_again(shards, strategy, now);
                state.tell_shards()?;
            }
            Command::Strategy(strategy) => state.stream.strategy = strategy,
            Command::Hang(key) => drop(state.hung.insert(key)),
            Command::Release(key) => drop(state.hung.remove(&key)),
            Command::Credentials(Credentials::Expire) => state.expired = state.seen.clone(),
            Command::Credentials(Credentials::Renew) => state.expired.clear(),
            Command::Metadata(metadata) => state.metadata = metadata,
            Command::Deny(operations) => state.denied = operations.into_iter().collect(),
            Command::Outage { millis } => {
                let until = millis.map(|millis| Instant::now() + Duration::from_millis(millis));
                self.line.send_replace(Line::Closed { until });
            }
            Command::Recover => drop(self.line.send_replace(Line::Open)),
        }
        drop(state);
        self.changed.send_replace(());
        Ok(())
    }

    pub(crate) fn hanging(self: &Arc<Self>) -> Hanging {
        self.lock().ledger.counters.hanging += 1;
        self.changed.send_replace(());
        Hanging(Arc::clone(self))
    }
}

impl State {
    /// Counts a request and says what shall happen to it: it is refused for who asks or for what chance decides, or
    /// served with a fault on the way.
    pub(crate) fn admit(
        &mut self,
        operation: Operation,
        access_key: Option<&str>,
        body: &[u8],
    ) -> Result<Option<Fault>, Refusal> {
        self.request += 1;
        *self.ledger.counters.requests.entry(operation).or_default() += 1;
        let Some(access_key) = access_key else {
            return Err(Refusal::unsigned());
        };
        if !self.seen.contains(access_key) {
            self.seen.insert(access_key.to_owned());
        }
        let callers = self.ledger.counters.callers.entry(operation).or_default();
        if !callers.contains(access_key) {
            callers.insert(access_key.to_owned());
        }
        if self.expired.contains(access_key) {
            self.count(Fault::ExpiredToken);
            return Err(Refusal::expired_token());
        }
        if self.denied.contains(&operation) {
            self.count(Fault::AccessDenied);
            let role = form::role(body).filter(|_| operation.is_of_sts());
            return Err(Refusal::access_denied(
                operation,
                role.as_deref().unwrap_or(&self.stream.arn),
            ));
        }
        let fault = self.faults.next(operation);
        if let Some(fault) = fault {
            self.count(fault);
        }
        match fault {
            Some(Fault::Throttled) => Err(Refusal::throughput_exceeded(&self.stream.name)),
            Some(Fault::LimitExceeded) => Err(Refusal::limit_exceeded()),
            Some(Fault::InternalFailure) => Err(Refusal::internal_failure("Internal Service Failure")),
            Some(Fault::Unavailable) => Err(Refusal::unavailable()),
            Some(Fault::ExpiredToken) => Err(Refusal::expired_token()),
            Some(Fault::AccessDenied) => Err(Refusal::access_denied(operation, &self.stream.arn)),
            served => Ok(served),
        }
    }

    /// Writes the shards down after they have changed.
    pub(crate) fn tell_shards(&mut self) -> io::Result<()> {
        let slices = self.stream.shards.iter().map(|shard| Slice {
            shard: shard.id.clone(),
            start: shard.slice.start().to_string(),
            end: shard.slice.end().to_string(),
        });
        self.ledger.shards(&slices.collect::<Vec<_>>())
    }

    /// A new access key with this beginning, and when it expires.
    pub(crate) fn new_session(&mut self, beginning: &str) -> (String, String) {
        self.sessions += 1;
        let end = jiff::Timestamp::now()
            .saturating_add(self.session)
            .unwrap_or(jiff::Timestamp::MAX);
        let end = end.strftime("%Y-%m-%dT%H:%M:%SZ");
        (format!("{beginning}{}", self.sessions), end.to_string())
    }

    fn count(&mut self, fault: Fault) {
        *self.ledger.counters.faults.entry(fault).or_default() += 1;
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.lock().ledger.counters.hanging -= 1;
        self.0.changed.send_replace(());
    }
}
