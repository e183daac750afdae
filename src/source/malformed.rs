//! Malformed input: counted, logged with file and line, and skipped.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

/// The first malformed lines, all of which are logged; after them, one in [`ONE_IN`].
const ALL_OF_FIRST: u64 = 10;
const ONE_IN: u64 = 1_000;
/// The characters of a payload shown in the log.
const SHOWN_CHARS: usize = 100;

/// Counts the malformed lines of one source, over all its restarts.
#[derive(Debug, Default)]
pub struct Malformed(AtomicU64);

impl Malformed {
    /// Returns the count.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a message, and logs it unless there are many.
    pub(crate) fn message(&self, topic: &str, payload: &[u8], reason: &str) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if count <= ALL_OF_FIRST {
            warn!(topic, payload = shortened(payload), reason, "malformed message skipped");
        } else if count.is_multiple_of(ONE_IN) {
            let payload = shortened(payload);
            warn!(
                topic,
                payload, reason, count, "malformed messages skipped; one in {ONE_IN} is logged"
            );
        }
    }

    /// Counts a line, and logs it unless there are many.
    pub(crate) fn record(&self, place: &str, line: u64, reason: &str) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if count <= ALL_OF_FIRST {
            warn!(file = place, line, reason, "malformed line skipped");
        } else if count.is_multiple_of(ONE_IN) {
            warn!(
                file = place,
                line, reason, count, "malformed lines skipped; one in {ONE_IN} is logged"
            );
        }
    }
}

/// Shortens a payload to what fits in a log line.
fn shortened(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(&payload[..payload.len().min(4 * SHOWN_CHARS)]);
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_counted_once() {
        let malformed = Malformed::default();
        (1..=2_500).for_each(|line| malformed.record("readings.csv", line, "no value"));
        assert_eq!(malformed.count(), 2_500);
    }
}
