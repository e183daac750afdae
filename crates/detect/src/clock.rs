//! The partition's own clock, which measures silence and quiet. Neither an outage of all sensors nor a single wrong
//! clock disturbs it.
//!
//! It follows the newest event time, but one step is limited to a few times the longest usual step. So an outage of all
//! sensors takes only a moment (no sensor is silent because of it), and a sensor whose clock is years ahead moves it
//! only a moment too. While such a reading is the newest, the clock stands; once nearly all readings are far behind,
//! the newest falls back to them.

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000;
/// The largest step is this multiple of the longest usual one, plus a second.
const LEAP: i64 = 4;
/// A usual step fades to nothing within this multiple of its own length.
const FADE: i64 = 64;
/// Readings far behind that one ahead of all others outweighs.
const AHEAD_WEIGHT: u8 = 4;
/// The newest falls back after this many more readings far behind than ahead.
const FALL_BACK: u8 = 64;
/// A leap that has not fallen back within this many readings was genuine.
const PROBATION: u16 = 512;

/// Time that passes while readings arrive, in microseconds from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    now: i64,
    newest: Option<i64>,
    /// The longest usual step.
    usual: i64,
    behind: u8,
    /// The usual step before the last leap, and for how many readings that is still on probation.
    before: Option<(i64, u16)>,
}

impl Clock {
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A reading with this event time arrived.
    pub fn advance(&mut self, event: i64) {
        let newest = *self.newest.get_or_insert(event);
        let limit = self.usual.saturating_mul(LEAP).saturating_add(SECOND);
        let step = event.saturating_sub(newest);
        if let Some((_, readings)) = &mut self.before {
            *readings = readings.saturating_sub(1);
            if *readings == 0 {
                self.before = None;
            }
        }
        if step > 0 {
            if step > limit {
                let usual = self.before.map_or(self.usual, |(usual, _)| usual);
                self.before = Some((usual, PROBATION));
            }
            let step = step.min(limit);
            self.now = self.now.saturating_add(step);
            self.usual = step.max(self.usual - step / FADE);
            self.newest = Some(event);
            self.behind = self.behind.saturating_sub(AHEAD_WEIGHT);
        } else if step < -limit {
            self.behind = self.behind.saturating_add(1);
            if self.behind >= FALL_BACK {
                self.behind = 0;
                self.newest = Some(event);
                if let Some((usual, _)) = self.before.take() {
                    self.usual = usual;
                }
            }
        }
    }

    /// The clock of a merged partition: the latest of both, so that no age has to be shortened.
    pub fn merge(&self, other: &Self) -> Self {
        Self {
            now: self.now.max(other.now),
            newest: self.newest.max(other.newest),
            usual: self.usual.max(other.usual),
            behind: 0,
            before: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten sensors with a reading a second each, one after another.
    fn run(clock: &mut Clock, from: i64, seconds: i64) {
        for tenth in 0..seconds * 10 {
            clock.advance(from + tenth * SECOND / 10);
        }
    }

    #[test]
    fn it_keeps_pace_with_steady_readings() {
        let mut clock = Clock::default();
        run(&mut clock, 0, 100);
        assert_eq!(clock.now(), 99_900_000);
    }

    #[test]
    fn an_outage_of_everything_passes_in_a_moment() {
        let mut clock = Clock::default();
        run(&mut clock, 0, 100);
        let before = clock.now();
        run(&mut clock, 3600 * SECOND, 1);
        assert!(clock.now() - before < 3 * SECOND, "{}", clock.now() - before);
    }

    #[test]
    fn it_learns_the_pace_of_a_slow_partition() {
        let mut clock = Clock::default();
        for hour in 0..20 {
            clock.advance(hour * 3600 * SECOND);
        }
        let before = clock.now();
        clock.advance(20 * 3600 * SECOND);
        assert_eq!(clock.now() - before, 3600 * SECOND);
    }

    #[test]
    fn a_sensor_years_ahead_neither_stops_it_nor_drives_it() {
        let mut clock = Clock::default();
        run(&mut clock, 0, 100);
        let century = 100 * 366 * 86_400 * SECOND;
        let before = clock.now();
        for tenth in 1000..20_000 {
            clock.advance(tenth * SECOND / 10);
            if tenth % 20 == 0 {
                clock.advance(century + tenth * SECOND / 10);
            }
        }
        let passed = clock.now() - before;
        assert!((200 * SECOND..=1900 * SECOND).contains(&passed), "{passed}");
    }
}
