//! What is wrong with the sink or the spool, said once when it begins, now and then while it lasts, and when it ends.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// While trouble lasts it is said again so often.
const REMIND: Duration = Duration::from_secs(60);

/// What is wrong now.
#[derive(Debug, Default)]
pub struct Trouble {
    sink: Option<Sink>,
    spool_said: Option<Instant>,
}

#[derive(Debug)]
struct Sink {
    kind: &'static str,
    message: String,
    since: Instant,
    said: Instant,
}

impl Trouble {
    /// A request came to nothing, and is sent again.
    pub fn seen(&mut self, kind: &'static str, message: &str) {
        let now = Instant::now();
        match &mut self.sink {
            Some(sink) if sink.kind == kind && now < sink.said + REMIND => {
                debug!(kind, message, "put failed, retrying")
            }
            Some(sink) => {
                let seconds = now.duration_since(sink.since).as_secs();
                warn!(
                    kind,
                    message, seconds, "still waiting for the sink: nothing is lost, readings wait in memory and spool"
                );
                *sink = Sink {
                    kind,
                    message: message.to_owned(),
                    since: sink.since,
                    said: now,
                };
            }
            None => {
                warn!(
                    kind,
                    message, "waiting for the sink: nothing is lost, readings wait in memory and spool"
                );
                self.sink = Some(Sink {
                    kind,
                    message: message.to_owned(),
                    since: now,
                    said: now,
                });
            }
        }
    }

    /// The sink took something.
    pub fn ended(&mut self) {
        if let Some(sink) = self.sink.take() {
            let seconds = sink.since.elapsed().as_secs_f32();
            info!(kind = sink.kind, seconds, "the sink takes readings again");
        }
    }

    /// The spool could not do what it was asked.
    pub fn storage(&mut self, problem: &impl Display) {
        if self.spool_said.is_none_or(|said| said.elapsed() >= REMIND) {
            self.spool_said = Some(Instant::now());
            error!(%problem, "the spool takes nothing now: readings stay in memory, and sources wait when it is full");
        }
    }

    /// For people: why the sink takes nothing.
    pub fn message(&self) -> Option<String> {
        self.sink.as_ref().map(|sink| sink.message.clone())
    }
}
