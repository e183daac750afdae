//! What is wrong with the sink or the spool, logged when it begins, once a minute while it lasts, and when it ends.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// Each kind of failure is logged at most once in this time, however often it comes and goes.
const REMIND: Duration = Duration::from_secs(60);

/// What is wrong now.
#[derive(Debug, Default)]
pub struct SinkHealth {
    sink: Option<Sink>,
    /// When each kind was last logged; kinds are a closed set of words.
    logged: HashMap<&'static str, Instant>,
}

/// Who or what can end the failure of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Time: an outage, a limit, a credential that is renewed.
    Outage,
    /// A person: the configuration, a permission or the stream itself is wrong.
    Configuration,
}

#[derive(Debug)]
struct Sink {
    cause: Cause,
    message: String,
    since: Instant,
    /// Its end is logged where its beginning was.
    logged: bool,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 2] = [Self::Outage, Self::Configuration];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Configuration => "configuration",
        }
    }
}

impl SinkHealth {
    /// A request failed as a whole, and its records are sent again.
    pub fn failed(&mut self, cause: Cause, kind: &'static str, message: &str) {
        let log = self.is_due(kind);
        let (seconds, logged) = self.begin(cause, message, log);
        let still = if logged { "still " } else { "" };
        match cause {
            _ if !log => debug!(kind, message, "put failed, retrying"),
            Cause::Outage => warn!(
                kind,
                message, seconds, "{still}waiting for the sink: nothing is lost, readings wait in memory and spool"
            ),
            Cause::Configuration => error!(
                kind,
                message,
                seconds,
                "{still}waiting for the sink, which needs a person: nothing is lost, readings wait in memory and spool"
            ),
        }
    }

    /// The first record of a lane was refused by itself, and nothing shows that the sink takes other records.
    pub fn held(&mut self, kind: &'static str, lane: &str, message: &str) {
        if self.is_due("held") {
            error!(
                kind,
                lane,
                message,
                "the sink refuses a record, and its lane waits: it goes to the dead-letter file only where the sink names the \
                 record as the reason and takes other records"
            );
        }
        self.begin(Cause::Configuration, message, false);
    }

    /// The sink took something.
    pub fn ended(&mut self) {
        if let Some(sink) = self.sink.take()
            && sink.logged
        {
            let seconds = sink.since.elapsed().as_secs_f32();
            info!(seconds, "the sink takes readings again");
        }
    }

    /// The spool could not do what it was asked.
    pub fn storage(&mut self, problem: &impl Display) {
        if self.is_due("spool") {
            error!(%problem, "the spool takes nothing now: readings stay in memory, and sources wait when it is full");
        }
    }

    /// For people: why the sink takes nothing.
    pub fn message(&self) -> Option<String> {
        self.sink.as_ref().map(|sink| sink.message.clone())
    }

    /// Who or what can end it, while the sink takes nothing.
    pub fn cause(&self) -> Option<Cause> {
        self.sink.as_ref().map(|sink| sink.cause)
    }

    /// For how many seconds the sink has taken nothing, and whether that was logged before.
    fn begin(&mut self, cause: Cause, message: &str, log: bool) -> (u64, bool) {
        let before = self.sink.take();
        let since = before.as_ref().map_or_else(Instant::now, |sink| sink.since);
        let logged = before.is_some_and(|sink| sink.logged);
        self.sink = Some(Sink {
            cause,
            message: message.to_owned(),
            since,
            logged: logged || log,
        });
        (since.elapsed().as_secs(), logged)
    }

    fn is_due(&mut self, kind: &'static str) -> bool {
        let now = Instant::now();
        let due = self.logged.get(kind).is_none_or(|last| now >= *last + REMIND);
        if due {
            self.logged.insert(kind, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_logged_once_a_minute_however_often_it_comes_and_goes() {
        let mut sink_health = SinkHealth::default();
        for _ in 0..3 {
            sink_health.failed(Cause::Outage, "timeout", "slow");
            sink_health.failed(Cause::Configuration, "access_denied", "not allowed");
            sink_health.ended();
        }
        assert!(!sink_health.is_due("timeout") && !sink_health.is_due("access_denied"));
        assert!(sink_health.is_due("connection"), "another kind does not wait");
        tokio::time::advance(REMIND).await;
        assert!(sink_health.is_due("timeout"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_says_why_and_who_can_end_it() {
        let mut sink_health = SinkHealth::default();
        assert_eq!((sink_health.message(), sink_health.cause()), (None, None));
        sink_health.failed(Cause::Outage, "timeout", "slow");
        sink_health.held("invalid_request", "16/03", "too large");
        assert_eq!(sink_health.message().as_deref(), Some("too large"));
        assert_eq!(sink_health.cause(), Some(Cause::Configuration));
        sink_health.ended();
        assert_eq!((sink_health.message(), sink_health.cause()), (None, None));
    }
}
