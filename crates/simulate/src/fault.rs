//! Faults that are injected, and when: at most one at a time on a sensor, the wait between them exponential in event time.
//!
//! Lengths are in readings and magnitudes in standard deviations of the profile's own noise, so that a fault is as hard to
//! find at one reading a second as at one an hour.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};
use wire::Timestamp;

use super::noise::{Purpose, generator};

const DAY_MICROS: f64 = 86_400e6;

/// What can go wrong with a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One reading is far off.
    Spike,
    /// The value leaves its course evenly, then comes back at once.
    Drift,
    /// The value stays as it was before.
    Stuck,
    /// No readings come.
    Dropout,
    /// All readings are off by the same.
    LevelShift,
    /// The noise is a multiple of what it was.
    NoiseBurst,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Spike,
        Self::Drift,
        Self::Stuck,
        Self::Dropout,
        Self::LevelShift,
        Self::NoiseBurst,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Drift => "drift",
            Self::Stuck => "stuck",
            Self::Dropout => "dropout",
            Self::LevelShift => "level_shift",
            Self::NoiseBurst => "noise_burst",
        }
    }

    /// How many readings it lasts.
    fn readings(self) -> RangeInclusive<u32> {
        match self {
            Self::Spike => 1..=1,
            Self::Drift => 300..=1_200,
            Self::Stuck | Self::Dropout | Self::NoiseBurst => 60..=300,
            Self::LevelShift => 120..=600,
        }
    }

    /// How far it goes, in standard deviations of the profile's noise.
    fn magnitudes(self) -> RangeInclusive<f64> {
        match self {
            Self::Spike => 8.0..=16.0,
            Self::Drift | Self::LevelShift => 6.0..=12.0,
            Self::NoiseBurst => 5.0..=10.0,
            Self::Stuck | Self::Dropout => 0.0..=0.0,
        }
    }

    /// True where it goes up or down.
    fn has_sign(self) -> bool {
        matches!(self, Self::Spike | Self::Drift | Self::LevelShift)
    }
}

/// A fault that begins: what its label says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Onset {
    pub kind: Kind,
    pub readings: u32,
    pub magnitude: f64,
}

/// The faults of one sensor.
#[derive(Debug)]
pub(super) struct Faults {
    random: ChaCha8Rng,
    mean_wait_micros: f64,
    noise: f64,
    only_up: bool,
    next_micros: f64,
    current: Option<Current>,
    last: Option<f64>,
}

#[derive(Debug)]
struct Current {
    onset: Onset,
    done: u32,
}

impl Faults {
    /// So many faults a day of healthy event time, in units of `noise`; upwards only where values have a floor.
    pub fn new(seed: u64, sensor: u128, per_day: f64, noise: f64, only_up: bool, start: Timestamp) -> Self {
        let mut faults = Self {
            random: generator(seed, sensor, Purpose::Faults),
            mean_wait_micros: DAY_MICROS / per_day,
            noise,
            only_up,
            next_micros: 0.0,
            current: None,
            last: None,
        };
        faults.wait(start);
        faults
    }

    /// What becomes of the value that would be measured at `time`; `None` where nothing is. Tells a fault that begins.
    pub fn apply(&mut self, value: f64, time: Timestamp) -> (Option<f64>, Option<Onset>) {
        let mut begun = None;
        if self.current.is_none() && time.as_micros() as f64 >= self.next_micros {
            let onset = self.draw();
            self.current = Some(Current { onset, done: 0 });
            begun = Some(onset);
        }
        let faulty = match &mut self.current {
            None => Some(value),
            Some(current) => {
                current.done += 1;
                let Onset {
                    kind,
                    readings,
                    magnitude,
                } = current.onset;
                let off = magnitude * self.noise;
                match kind {
                    Kind::Spike | Kind::LevelShift => Some(value + off),
                    Kind::Drift => Some(value + off * f64::from(current.done) / f64::from(readings)),
                    Kind::NoiseBurst => Some(value + off * self.random.sample::<f64, _>(StandardNormal)),
                    Kind::Stuck => Some(self.last.unwrap_or(value)),
                    Kind::Dropout => None,
                }
            }
        };
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.done == current.onset.readings)
        {
            self.current = None;
            self.wait(time);
        }
        self.last = faulty.or(self.last);
        (faulty, begun)
    }

    fn wait(&mut self, time: Timestamp) {
        self.next_micros = time.as_micros() as f64 + self.random.sample::<f64, _>(Exp1) * self.mean_wait_micros;
    }

    fn draw(&mut self) -> Onset {
        let kind = Kind::ALL[self.random.random_range(0..Kind::ALL.len())];
        let down = kind.has_sign() && self.random.random_bool(0.5) && !self.only_up;
        let magnitude = self.random.random_range(kind.magnitudes());
        Onset {
            kind,
            readings: self.random.random_range(kind.readings()),
            magnitude: if down { -magnitude } else { magnitude },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::noise::statistics;
    use super::*;

    const NOISE: f64 = 0.5;

    /// The values of `seconds` readings of a sensor that measures 20 when healthy, and the onsets with their index.
    fn course(per_day: f64, only_up: bool, seconds: i64) -> (Vec<Option<f64>>, Vec<(usize, Onset)>) {
        let mut faults = Faults::new(3, 4, per_day, NOISE, only_up, Timestamp::default());
        let mut onsets = Vec::new();
        let values = (0..seconds)
            .map(|second| {
                let time = Timestamp::default().saturating_add_micros(second * 1_000_000);
                let (value, begun) = faults.apply(20.0, time);
                onsets.extend(begun.map(|onset| (second as usize, onset)));
                value
            })
            .collect();
        (values, onsets)
    }

    #[test]
    fn readings_differ_where_and_as_far_as_the_onsets_say() {
        let (values, onsets) = course(100.0, false, 500_000);
        let mut explained = vec![false; values.len()];
        for (start, onset) in &onsets {
            let end = (start + onset.readings as usize).min(values.len());
            explained[*start..end].fill(true);
            let inside = &values[*start..end];
            let off: Vec<f64> = inside.iter().flatten().map(|value| (value - 20.0) / NOISE).collect();
            let whole = inside.len() == onset.readings as usize;
            match onset.kind {
                Kind::Dropout => assert!(off.is_empty()),
                Kind::Stuck => assert!(off.windows(2).all(|pair| pair[0] == pair[1])),
                Kind::Spike | Kind::LevelShift => assert!(off.iter().all(|off| (off - onset.magnitude).abs() < 1e-9)),
                Kind::Drift if whole => assert!((off[off.len() - 1] - onset.magnitude).abs() < 1e-9),
                Kind::NoiseBurst if whole => {
                    let deviation = statistics::deviation(&off);
                    assert!((deviation / onset.magnitude - 1.0).abs() < 0.4, "{deviation} {onset:?}");
                }
                Kind::Drift | Kind::NoiseBurst => {}
            }
        }
        for (index, value) in values.iter().enumerate().filter(|(index, _)| !explained[*index]) {
            assert_eq!(*value, Some(20.0), "reading {index} differs without a label");
        }
        for kind in Kind::ALL {
            assert!(onsets.iter().any(|(_, onset)| onset.kind == kind), "no {kind:?}");
        }
    }

    #[test]
    fn faults_come_at_the_rate_that_was_set() {
        let seconds = 4_000_000;
        let (_, onsets) = course(24.0, false, seconds);
        let faulty: i64 = onsets.iter().map(|(_, onset)| i64::from(onset.readings)).sum();
        let healthy_days = (seconds - faulty) as f64 / 86_400.0;
        let rate = onsets.len() as f64 / healthy_days;
        assert!((rate - 24.0).abs() < 2.5, "{rate}");
    }

    #[test]
    fn where_values_have_a_floor_faults_go_up() {
        let (_, onsets) = course(100.0, true, 300_000);
        assert!(onsets.iter().all(|(_, onset)| onset.magnitude >= 0.0));
        let (_, onsets) = course(100.0, false, 300_000);
        assert!(onsets.iter().any(|(_, onset)| onset.magnitude < 0.0));
    }
}
