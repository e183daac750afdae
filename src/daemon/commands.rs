//! Changes that people make on the dashboard, applied between the other work of the run loop.

use values::aws_name::AwsName;

use super::{Daemon, Next};
use crate::control::overrides::{Change, Command};
use crate::sink;

impl Daemon {
    /// Applies a command and returns what the run loop has to do next, if the change needs a restart.
    pub(super) fn change(&mut self, command: Command) -> Option<Next> {
        let changed = match &command.change {
            Change::Stream(stream) => self.other_stream(stream).map(|said| (said, Some(Next::Again))),
            change => self.change_source(change).map(|said| (said, None)),
        };
        self.publish();
        // The requester may be gone; the change is applied all the same.
        match changed {
            Ok((said, next)) => {
                let _ = command.done.send(Ok(said));
                next
            }
            Err(why) => {
                let _ = command.done.send(Err(why));
                None
            }
        }
    }

    fn change_source(&mut self, change: &Change) -> Result<String, String> {
        let configured = &self.loaded.settings.source;
        let sources = self
            .sources
            .as_mut()
            .ok_or("the daemon is shutting down: no source can be started")?;
        let mut overrides = self.overrides.clone();
        let said = overrides.apply(configured, change)?;
        let name = change.source().unwrap_or_default();
        // A change of rate does not start a source.
        sources
            .set(name, &overrides.wanted(configured))
            .map_err(|error| error.to_string())?;
        self.overrides = overrides;
        Ok(said)
    }

    /// Switches to another stream, which takes effect at the next start.
    fn other_stream(&mut self, stream: &str) -> Result<String, String> {
        let settings = &self.loaded.settings;
        if settings.sink != sink::Kind::Kinesis {
            return Err(
                "readings are not sent to a stream: set sink = \"kinesis\" in the configuration and restart".to_owned(),
            );
        }
        let spooled = self.ledger.snapshot().spooled;
        if spooled > 0 {
            return Err(format!(
                "{spooled} readings in the spool belong to the current stream: try again once they are delivered"
            ));
        }
        let mut kinesis = settings.kinesis.clone();
        kinesis.stream = Some(stream.to_owned());
        let missing = AwsName::Stream.problem("kinesis.stream", stream);
        if let Some(problem) = missing.into_iter().chain(kinesis.name_problems()).next() {
            return Err(problem.to_string());
        }
        self.loaded.settings.kinesis = kinesis;
        Ok(format!("draining, then restarting with the stream {stream}"))
    }
}
