//! The progress of a replay, shown on a terminal.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::info;

/// The delay of the first line; later lines become rarer in a long replay.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Prints progress at growing intervals.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    size: u64,
    shown: bool,
    began: Option<(Instant, u64)>,
    readings: u64,
    wait: Duration,
    next: Instant,
}

impl Progress {
    /// Shows the progress of the source `name` over `size` bytes, if standard error is a terminal.
    pub fn new(name: &str, size: u64) -> Self {
        Self {
            name: name.into(),
            size,
            shown: stderr().is_terminal(),
            began: None,
            readings: 0,
            wait: FIRST,
            next: Instant::now() + FIRST,
        }
    }

    /// Adds readings handed over, up to this byte.
    pub fn advance(&mut self, readings: usize, bytes: u64) {
        let now = Instant::now();
        let (began, from) = *self.began.get_or_insert((now, bytes));
        self.readings += readings as u64;
        if !self.shown || now < self.next {
            return;
        }
        self.wait = (self.wait * 2).min(LONGEST);
        self.next = now + self.wait;
        let seconds = now.duration_since(began).as_secs_f64();
        info!(
            source = self.name,
            percent = percent(bytes, self.size),
            readings_per_second = (self.readings as f64 / seconds.max(1e-3)).round(),
            left = left(bytes, from, self.size, seconds),
            "replaying"
        );
    }
}

fn percent(bytes: u64, size: u64) -> u64 {
    (u128::from(bytes.min(size)) * 100 / u128::from(size.max(1))) as u64
}

/// Returns the time left at the pace since `from`, to the second.
fn left(bytes: u64, from: u64, size: u64, seconds: f64) -> String {
    let pace = bytes.saturating_sub(from) as f64 / seconds;
    match size.saturating_sub(bytes) as f64 / pace {
        left if left.is_finite() && left < 1e9 => format!("{:#}", SignedDuration::from_secs(left.round() as i64)),
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_pace_so_far() {
        assert_eq!(left(500, 0, 1_000, 10.0), "10s");
        assert_eq!(left(500, 400, 1_000, 10.0), "50s");
        assert_eq!(left(1_000, 0, 1_000, 10.0), "0s");
        assert_eq!(left(500, 500, 1_000, 10.0), "unknown");
    }

    #[test]
    fn percents_do_not_pass_a_hundred() {
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(500, 1_000), 50);
        assert_eq!(percent(2_000, 1_000), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
