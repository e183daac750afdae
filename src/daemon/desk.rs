//! What people change by the page, done between everything else.

use super::{Daemon, Next};
use crate::changes::{Change, Order};
use crate::settings;

impl Daemon {
    /// Does what people want changed, and says when that takes a new start.
    pub(super) fn change(&mut self, order: Order) -> Option<Next> {
        let changed = match &order.change {
            Change::Stream(stream) => self.other_stream(stream).map(|said| (said, Some(Next::Again))),
            change => self.change_source(change).map(|said| (said, None)),
        };
        self.publish();
        // Who asked may have gone; it is done all the same.
        match changed {
            Ok((said, next)) => {
                let _ = order.done.send(Ok(said));
                next
            }
            Err(why) => {
                let _ = order.done.send(Err(why));
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
        let mut changes = self.changes.clone();
        let said = changes.apply(configured, change)?;
        let name = change.source().unwrap_or_default();
        // What only has another rate does not start by that.
        sources
            .set(name, &changes.wanted(configured))
            .map_err(|error| error.to_string())?;
        self.changes = changes;
        Ok(said)
    }

    /// Takes up another stream, for the next start.
    fn other_stream(&mut self, stream: &str) -> Result<String, String> {
        let settings = &self.loaded.settings;
        if settings.sink != settings::Sink::Kinesis {
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
        self.loaded.settings.kinesis.stream = Some(stream_name(stream)?);
        Ok(format!(
            "delivering what is left, then starting again with the stream {stream}"
        ))
    }
}

/// A stream's name or ARN, as Kinesis has them.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html>
fn stream_name(text: &str) -> Result<String, String> {
    let name = match text.starts_with("arn:") {
        true => text.rsplit_once(":stream/").map_or("", |(_, name)| name),
        false => text,
    };
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    match (1..=128).contains(&name.len()) && name.chars().all(is_of_name) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no stream: write its name, of up to 128 letters, digits and _.-, or its ARN"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_by_its_name_or_its_arn() {
        for good in [
            "readings",
            "WindDataStream",
            "arn:aws:kinesis:eu-central-1:123456789012:stream/readings_2.b-c",
        ] {
            assert_eq!(stream_name(good), Ok(good.to_owned()));
        }
        let long = "x".repeat(129);
        for bad in [
            "",
            "a b",
            "a/b",
            "arn:aws:kinesis:eu-central-1:123456789012:stream/",
            "arn:x",
            &long,
        ] {
            assert!(stream_name(bad).is_err(), "{bad}");
        }
    }
}
