//! The partition's own time: what silence and quiet are measured by. It knows neither an outage of everything nor a wrong clock.
//!
//! It moves with the newest event time, but by no more at once than a few times the longest step it usually makes. So
//! an outage of all sensors passes in a moment (nobody is silent for it), and one sensor whose clock runs years ahead
//! moves it a moment too. While such a reading is the newest the time stands; once nearly all others are far behind,
//! the newest falls back to them.

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000;
/// So much more than the longest usual step may pass at once, besides a second.
const LEAP: i64 = 4;
/// A usual step fades to nothing within so many times its own length.
const FADE: i64 = 64;
/// What a reading ahead of all others outweighs, of readings far behind.
const AHEAD_WEIGHT: u8 = 4;
/// So many readings more far behind than ahead, and the newest falls back.
const FALL_BACK: u8 = 64;
/// A leap that has not fallen back within so many readings was true.
const PROBATION: u16 = 512;

/// Time that passes while the partition is being spoken to, in microseconds from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    now: i64,
    newest: Option<i64>,
    /// The longest usual step.
    usual: i64,
    behind: u8,
    /// The usual step before the last leap, until it is proven true, in so many readings.
    before: Option<(i64, u16)>,
}

impl Clock {
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A reading with this event time came in.
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

    /// The clock of a partition made of several: the latest, so that no age has to be shortened.
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

    /// A partition of ten sensors that speak once a second, one after another, for so many seconds.
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
