//! What people change by the page, done between everything else.

use values::aws_name::AwsName;

use super::{Daemon, Next};
use crate::control::overrides::{Change, Command};
use crate::sink;

impl Daemon {
    /// Does what people want changed, and says when that takes a new start.
    pub(super) fn change(&mut self, command: Command) -> Option<Next> {
        let changed = match &command.change {
            Change::Stream(stream) => self.other_stream(stream).map(|said| (said, Some(Next::Again))),
            change => self.change_source(change).map(|said| (said, None)),
        };
        self.publish();
        // Who asked may have gone; it is done all the same.
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
            .ok_or("the daemon is ending: nothing starts any more")?;
        let mut overrides = self.overrides.clone();
        let said = overrides.apply(configured, change)?;
        let name = change.source().unwrap_or_default();
        // What only has another rate does not start by that.
        sources
            .set(name, &overrides.wanted(configured))
            .map_err(|error| error.to_string())?;
        self.overrides = overrides;
        Ok(said)
    }

    /// Takes up another stream, for the next start.
    fn other_stream(&mut self, stream: &str) -> Result<String, String> {
        let settings = &self.loaded.settings;
        if settings.sink != sink::Kind::Kinesis {
            return Err(
                "readings go to no stream: set sink = \"kinesis\" in the configuration, and start again".to_owned(),
            );
        }
        let spooled = self.ledger.snapshot().spooled;
        if spooled > 0 {
            return Err(format!(
                "{spooled} readings in the spool wait for the stream of before: try again when they are delivered"
            ));
        }
        let mut kinesis = settings.kinesis.clone();
        kinesis.stream = Some(stream.to_owned());
        let missing = AwsName::Stream.problem("kinesis.stream", stream);
        if let Some(problem) = missing.into_iter().chain(kinesis.name_problems()).next() {
            return Err(problem.to_string());
        }
        self.loaded.settings.kinesis = kinesis;
        Ok(format!(
            "delivering what is left, then starting again with the stream {stream}"
        ))
    }
}
