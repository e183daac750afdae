//! Counts of events in windows of event time.

use serde::{Deserialize, Serialize};
use wire::{Fields, Sensor, Value};

use super::{Derivation, Kept, Yields};
use crate::settings::{Rate, Written};

/// Bit of an event that is counted.
const COUNTED: u64 = 1;
/// Bit of an event that is divided by.
const PER: u64 = 2;

/// Weight of the open windows of a rate, in sensors.
pub(super) const WEIGHT: u64 = 1;

/// The open windows of one sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Windows {
    /// The end of the last one that closed, µs.
    closed: i64,
    /// By start: at most those that lateness keeps open, and the newest.
    open: Vec<Window>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Window {
    /// µs.
    start: i64,
    counted: u64,
    per: u64,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            closed: i64::MIN,
            open: Vec::new(),
        }
    }
}

impl Derivation for Rate {
    fn fresh(&self) -> Kept {
        Kept::Windows(Windows::default())
    }

    fn digest(&self, sensor: &Sensor, event: &Fields, digest: &mut Vec<u64>) {
        let written = self.written();
        if written.kind.as_deref().is_some_and(|kind| kind != sensor.kind()) {
            return;
        }
        let counted = if written.count.matches(event) { COUNTED } else { 0 };
        let per = written.per.as_ref().is_some_and(|per| per.matches(event));
        digest.push(counted | if per { PER } else { 0 });
    }

    fn misses(&self, kept: &Kept, time: i64, _digest: &[u64], now: i64) -> bool {
        let Kept::Windows(kept) = kept else { return false };
        let start = self.start(time);
        start < kept.closed || self.closes(start) <= now
    }

    fn take(&self, kept: &mut Kept, time: i64, digest: &[u64], _: &mut Yields) {
        let Kept::Windows(kept) = kept else { return };
        let start = self.start(time);
        // Nearly always the newest window.
        let place = kept.open.iter().rposition(|window| window.start <= start);
        let at = match place {
            Some(place) if kept.open[place].start == start => place,
            before => {
                let at = before.map_or(0, |before| before + 1);
                let (counted, per) = (0, 0);
                kept.open.insert(at, Window { start, counted, per });
                at
            }
        };
        let says = digest.first().copied().unwrap_or_default();
        let window = &mut kept.open[at];
        window.counted = window.counted.saturating_add(u64::from(says & COUNTED != 0));
        window.per = window.per.saturating_add(u64::from(says & PER != 0));
    }

    fn due(&self, kept: &Kept) -> Option<i64> {
        let Kept::Windows(kept) = kept else { return None };
        kept.open.first().map(|window| self.closes(window.start))
    }

    fn pass(&self, kept: &mut Kept, now: i64, yields: &mut Yields) {
        let Kept::Windows(kept) = kept else { return };
        let due = kept.open.iter().take_while(|window| self.closes(window.start) <= now);
        for window in kept.open.drain(..due.count()) {
            kept.closed = window.start.saturating_add(self.window());
            if let Some(rate) = self.of(&window) {
                yields.push(kept.closed, Value::Scalar(rate));
            }
        }
    }

    fn unit(&self) -> Option<&str> {
        self.written().unit.as_deref()
    }
}

impl Rate {
    /// Start of the window of an instant.
    fn start(&self, time: i64) -> i64 {
        time.div_euclid(self.window()).saturating_mul(self.window())
    }

    /// When a window closes, by its start.
    fn closes(&self, start: i64) -> i64 {
        start.saturating_add(self.window()).saturating_add(self.lateness())
    }

    /// The rate of a window; `None` if there is nothing to divide by.
    fn of(&self, window: &Window) -> Option<f64> {
        let Written { factor, per, .. } = self.written();
        let rate = match per {
            None => factor * window.counted as f64,
            Some(_) if window.per == 0 => return None,
            Some(_) => factor * window.counted as f64 / window.per as f64,
        };
        Some(rate.clamp(f64::MIN, f64::MAX))
    }
}
