//! How unlike its past a reading is: a streaming, causal novelty score, so that one threshold means the same for every
//! sensor.
//!
//! Five views of the signal each ask how far it is from the nearest they ever saw, as part of what that view calls far.
//! Together they are as long as the vector of their parts; 1 is an alert, and only as a peak: above all recent ones.

use serde::{Deserialize, Serialize};

use self::band::Band;
use self::nearest_neighbour::NearestNeighbour;
use self::ratio::Ratio;
use self::recent::Recent;
use self::vector::Vector;
use super::season::Season;
use super::zero::Zero;
use super::{Context, Detector, Finding, finite};
use crate::settings::Memory;
use crate::{Kinds, MAX_SCORE};

mod band;
mod nearest_neighbour;
mod ratio;
mod recent;
mod sketch;
mod vector;

/// An alert on the seeds' scale: what parts of this length together score.
const ALERT: f64 = 2.0;
const LENGTH: f64 = 0.95;
/// Larger numbers count as this, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// The memory of recent peaks fades by this part with every reading.
const FADE: f64 = 1.0 / 64.0;
/// After so many times the usual interval, a change says nothing.
const GAP: i64 = 5;
/// What is no peak scores at most this part of an alert.
const NO_PEAK: f64 = 0.95;

/// The usual distances that are far, for each view. Chosen without a single labelled series: with these, each view alone
/// gives one false alarm in eight weeks of readings 5 minutes apart, on average over 18 kinds of simulated noise
/// (docs/detection.md).
const VALUE: f64 = 12.0;
const CHANGE: f64 = 4.0;
const LEVEL: f64 = 12.0;
const RATIO_LEVEL: f64 = 8.0;
const RATIO_SPREAD: f64 = 11.0;

/// How much each view may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capacity {
    Full,
    Small,
}

impl Capacity {
    /// No view keeps more values.
    const MOST: usize = 64;

    /// The values a view keeps.
    const fn values(self) -> usize {
        match self {
            Self::Full => Self::MOST,
            Self::Small => 24,
        }
    }

    /// The parts a vector has: their covariance is what it costs.
    const fn parts(self) -> usize {
        match self {
            Self::Full => Vector::MOST,
            Self::Small => 6,
        }
    }
}

impl From<Memory> for Capacity {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Full => Self::Full,
            Memory::Small => Self::Small,
        }
    }
}

/// The novelty of one sensor's readings. A vector is judged by its distance from what is usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Score {
    vector: Option<Box<Vector>>,
    /// The first number. All others are counted from it, so that they fit in 32 bits.
    origin: Option<f64>,
    previous: f64,
    value: NearestNeighbour,
    change: NearestNeighbour,
    /// The other views, where there is room for them.
    more: Option<Box<More>>,
    band: Band,
    /// The highest part of recent readings, fading.
    peak: f64,
}

/// The views of the latest few readings, each beside its hour of the day and beside its own magnitude.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct More {
    hours: Season,
    residual: Recent,
    level: NearestNeighbour,
    ratio: Ratio,
    ratios: Recent,
    ratio_hours: Season,
    ratio_residual: Recent,
    ratio_level: NearestNeighbour,
    ratio_spread: NearestNeighbour,
}

impl Detector for Score {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let capacity = Capacity::from(context.settings.memory);
        let number = match numbers {
            [number] => number.clamp(-LARGEST, LARGEST),
            _ => match self.vector.get_or_insert_default().distance(numbers, capacity) {
                Some(distance) => distance,
                // The first distance after many that nobody knows would be new as nothing else is.
                None => return Finding::default(),
            },
        };
        // Whether this value is the first beyond 0 is for the next one to know.
        let zero = self.zero();
        let (parts, foretold) = self.look(context, number, capacity);
        let square: f64 = parts.iter().map(|part| part.min(MAX_SCORE).powi(2)).sum();
        let part = (square.sqrt() / LENGTH).min(MAX_SCORE / ALERT);
        let peak = part > self.peak;
        self.peak = part.max(self.peak * (1.0 - FADE));
        let score = ALERT * if peak { part } else { part.min(NO_PEAK) };
        let alert = score >= context.settings.threshold.get();
        let band = self.band.follow(number, foretold).map(|band| zero.bound(band));
        let usual = |(lowest, highest): &(f64, f64)| (*lowest..=*highest).contains(&number);
        // What is new about a value within the band is not its height: then the band explains nothing.
        let expected = band.filter(|band| numbers.len() == 1 && !(alert && usual(band)));
        Finding {
            score,
            kinds: if alert { Kinds::NOVEL } else { Kinds::NONE },
            expected: expected.map(|(lowest, highest)| (finite(lowest), finite(highest))),
        }
    }
}

impl Score {
    /// What 0 is to the numbers seen so far.
    pub fn zero(&self) -> Zero {
        let (lowest, highest) = self.value.span().unwrap_or_default();
        let origin = self.origin.unwrap_or_default();
        // In 32 bits a number is off by so much at most, and 0 itself must not seem beyond 0.
        let off = |offset: f32| f64::from(offset.abs() * f32::EPSILON);
        Zero::of(
            origin + f64::from(lowest) + off(lowest),
            origin + f64::from(highest) - off(highest),
        )
    }

    /// What each view thinks of a number, and which one its hour foretold.
    fn look(&mut self, context: &Context<'_>, number: f64, capacity: Capacity) -> ([f64; 5], Option<f64>) {
        let gap = context.step > context.usual.map(|usual| usual.saturating_mul(GAP));
        let first = self.origin.is_none();
        let origin = *self.origin.get_or_insert(number);
        let change = number - self.previous;
        self.previous = number;
        let offset = number - origin;
        let time = context.time;
        let mut parts = [0.0; 5];
        parts[0] = self.value.part(offset, time, VALUE, capacity);
        if !first && !gap {
            parts[1] = self.change.part(change, time, CHANGE, capacity);
        }
        if capacity == Capacity::Small {
            self.more = None;
            return (parts, None);
        }
        let more = self.more.get_or_insert_default();
        more.hours.learn(time, offset, f64::INFINITY);
        let foretold = more.hours.at(time);
        let recent = foretold.and_then(|foretold| more.residual.follow(offset - foretold));
        if let Some((level, _)) = recent {
            parts[2] = more.level.part(level, time, LEVEL, capacity);
        }
        let ratio = more.ratio.of(number);
        if let Some((level, _)) = more.ratios.follow(ratio) {
            parts[3] = more.ratio_level.part(level, time, RATIO_LEVEL, capacity);
        }
        more.ratio_hours.learn(time, ratio, f64::INFINITY);
        let recent = more
            .ratio_hours
            .at(time)
            .and_then(|foretold| more.ratio_residual.follow(ratio - foretold));
        if let Some((_, spread)) = recent {
            parts[4] = more.ratio_spread.part(spread, time, RATIO_SPREAD, capacity);
        }
        (parts, foretold.map(|foretold| origin + foretold))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use wire::Sensor;

    use super::*;
    use crate::Settings;

    const MINUTES: i64 = 60_000_000;

    /// What each view thinks of nine days of readings 5 minutes apart, with a daily swing and noise, changed from a quarter
    /// of a day before their end.
    fn parts(length: usize, change: impl Fn(usize, f64) -> f64) -> Vec<[f64; 5]> {
        let (mut score, sensor, settings) = (Score::default(), Sensor::new("one", "load"), Settings::default());
        let mut noise = 1u64;
        let mut parts = Vec::new();
        for at in 0..2592usize {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let swing = (at as f64 * std::f64::consts::TAU / 288.0).sin() * 4.0;
            let mut value = 20.0 + swing + (noise >> 40) as f64 / (1u64 << 24) as f64;
            if (CHANGED..CHANGED + length).contains(&at) {
                value = change(at, value);
            }
            let context = Context {
                sensor: &sensor,
                settings: &settings,
                time: at as i64 * 5 * MINUTES,
                step: (at > 0).then_some(5 * MINUTES),
                usual: (at > 0).then_some(5 * MINUTES),
                age: (at > 0).then_some(5 * MINUTES),
                wrong: false,
            };
            parts.push(score.look(&context, value, Capacity::Full).0);
        }
        parts
    }

    /// What is usual after so many readings made of noise around 0, and what 0 is to them.
    fn usual(readings: usize, value: impl Fn(f64) -> f64) -> (Option<(f64, f64)>, Zero) {
        let (mut score, sensor) = (Score::default(), Sensor::new("one", "speed"));
        let settings = Settings::default();
        let mut expected = None;
        for at in 0..readings {
            let context = Context {
                sensor: &sensor,
                settings: &settings,
                time: at as i64 * MINUTES,
                step: (at > 0).then_some(MINUTES),
                usual: (at > 0).then_some(MINUTES),
                age: (at > 0).then_some(MINUTES),
                wrong: false,
            };
            let noise = (at as f64 * 0.7).sin() + (at as f64 * 0.31).sin();
            expected = score.observe(&context, &[value(noise)]).expected;
        }
        (expected, score.zero())
    }

    #[test]
    fn what_was_never_below_0_is_not_usual_there() {
        // Counted from the first one, 0.1, numbers are rounded: 0 itself is not below 0.
        let (speed, zero) = usual(2_000, |noise| (noise + 0.1).max(0.0));
        assert_eq!((speed.unwrap().0, zero), (0.0, Zero::Floor));
        let (level, zero) = usual(2_000, |noise| (noise - 0.1).min(0.0));
        assert_eq!((level.unwrap().1, zero), (0.0, Zero::Ceiling));
        let (temperature, zero) = usual(2_000, |noise| noise + 0.1);
        assert!(
            temperature.unwrap().0 < -1.0 && zero == Zero::Crossed,
            "{temperature:?}"
        );
    }

    const CHANGED: usize = 2372;

    #[test]
    fn each_view_finds_what_it_is_for() {
        let usual = parts(0, |_, value| value);
        let quiet = |view: usize| usual[1000..].iter().all(|parts| parts[view] < 1.0);
        let found = |view: usize, parts: &[[f64; 5]], length: usize| {
            parts[CHANGED..CHANGED + length].iter().any(|parts| parts[view] >= 1.0)
        };
        let beyond = parts(3, |_, value| value + 8.0);
        let jump = parts(1, |_, value| 40.0 - value);
        let other_hour = parts(40, |_, value| 40.0 - value);
        let little = parts(12, |_, value| value / 20.0);
        let halved = parts(12, |at, value| value / if at % 2 == 0 { 1.0 } else { 3.0 });
        for (view, parts, length) in [
            (0, beyond, 3),
            (1, jump, 1),
            (2, other_hour, 40),
            (3, little, 12),
            (4, halved, 12),
        ] {
            assert!(quiet(view) && found(view, &parts, length), "view {view}");
        }
    }
}
