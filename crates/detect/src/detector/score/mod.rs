//! How unlike its past a reading is: a streaming, causal novelty score with one threshold for every sensor.
//!
//! Each of five views of the signal measures the distance to the nearest value it ever saw, relative to a large
//! distance of that view. The length of the vector of the five is the result: 1 is an alert, and only as a peak above
//! all recent ones.

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

/// The anomaly score of an alert, and the length of the vector that scores it.
const ALERT: f64 = 2.0;
const LENGTH: f64 = 0.95;
/// Larger numbers count as this one, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// The memory of recent peaks fades by this fraction with every reading.
const FADE: f64 = 1.0 / 64.0;
/// After this many median intervals, a change says nothing.
const GAP: i64 = 5;
/// A reading that is not a peak scores at most this fraction of an alert.
const NO_PEAK: f64 = 0.95;

/// The large distance of each view, in typical distances. Chosen without a single labelled series: with these, each
/// view alone gives one false alarm in eight weeks of readings 5 minutes apart, on average over 18 kinds of simulated
/// noise (docs/design/detection.md).
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
    /// The most values any view keeps.
    const MOST: usize = 64;

    /// The values a view keeps.
    const fn values(self) -> usize {
        match self {
            Self::Full => Self::MOST,
            Self::Small => 24,
        }
    }

    /// The parts of a vector: their covariance is its cost.
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

/// The novelty of one sensor's readings. A vector is judged by its distance from the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Score {
    vector: Option<Box<Vector>>,
    /// The first number. All others are relative to it, so that they fit in 32 bits.
    origin: Option<f64>,
    previous: f64,
    value: NearestNeighbour,
    change: NearestNeighbour,
    /// The other views, if there is room for them.
    more: Option<Box<More>>,
    band: Band,
    /// The highest result of recent readings, fading.
    peak: f64,
}

/// The views of the latest few readings, relative to the hour of the day and to their magnitude.
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
                // After many unknown distances the first known one would seem novel beyond measure.
                None => return Finding::default(),
            },
        };
        // Before this value counts: it may be the first beyond 0.
        let zero = self.zero();
        let (parts, predicted) = self.look(context, number, capacity);
        let square: f64 = parts.iter().map(|part| part.min(MAX_SCORE).powi(2)).sum();
        let part = (square.sqrt() / LENGTH).min(MAX_SCORE / ALERT);
        let peak = part > self.peak;
        self.peak = part.max(self.peak * (1.0 - FADE));
        let score = ALERT * if peak { part } else { part.min(NO_PEAK) };
        let alert = score >= context.settings.threshold.get();
        let band = self.band.follow(number, predicted).map(|band| zero.bound(band));
        let usual = |(lowest, highest): &(f64, f64)| (*lowest..=*highest).contains(&number);
        // What is novel about a value within the band is not its height: then the band explains nothing.
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
        // The rounding error in 32 bits: 0 itself must not seem beyond 0.
        let off = |offset: f32| f64::from(offset.abs() * f32::EPSILON);
        Zero::of(
            origin + f64::from(lowest) + off(lowest),
            origin + f64::from(highest) - off(highest),
        )
    }

    /// The result of each view, and the number that the hour of the day predicts.
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
        let predicted = more.hours.at(time);
        let recent = predicted.and_then(|predicted| more.residual.follow(offset - predicted));
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
            .and_then(|predicted| more.ratio_residual.follow(ratio - predicted));
        if let Some((_, spread)) = recent {
            parts[4] = more.ratio_spread.part(spread, time, RATIO_SPREAD, capacity);
        }
        (parts, predicted.map(|predicted| origin + predicted))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use wire::Sensor;

    use super::*;
    use crate::Settings;

    const MINUTES: i64 = 60_000_000;

    /// The results of each view over nine days of readings 5 minutes apart, with a daily swing and noise, changed from
    /// a quarter of a day before their end.
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

    /// The expected range after this many readings made of noise around 0, and what 0 is to them.
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
