//! The detectors that need to know what the next value should be: rate of change, noise and drift. Of one number; vectors
//! are left to the score.

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::jump::{Jump, Verdict};
use super::noise::Noise;
use super::predictor::Ar1Predictor;
use super::{Context, Detector, Finding};
use crate::Kinds;

/// Larger numbers count as this, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// After so many times the usual interval, the last value foretells nothing.
const GAP: i64 = 5;
/// For so many readings after something was wrong nothing is learnt.
const REST: u16 = 64;
/// But not for more than so many readings on end: what goes on is the new usual.
const LONGEST: u16 = 1024;
/// A level that moves within so many readings of a jump is the jump's.
const EDGE: u16 = 256;

/// One course and what judges its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signal {
    predictor: Ar1Predictor,
    jump: Jump,
    noise: Noise,
    drift: Drift,
    /// Readings since something was wrong, and since it was told.
    calm: u16,
    told: u16,
    /// Whether its level is away from its course.
    away: bool,
    /// Readings that were not learnt, less those that were since.
    missed: u16,
}

impl Default for Signal {
    fn default() -> Self {
        Self {
            predictor: Ar1Predictor::default(),
            jump: Jump::default(),
            noise: Noise::default(),
            drift: Drift::default(),
            calm: u16::MAX,
            told: u16::MAX,
            away: false,
            missed: 0,
        }
    }
}

impl Detector for Signal {
    fn observe(&mut self, context: &Context<'_>, numbers: &[f64]) -> Finding {
        let &[number] = numbers else {
            return Finding::default();
        };
        let number = number.clamp(-LARGEST, LARGEST);
        let (Some(step), Some(usual)) = (context.step, context.usual) else {
            self.predictor.begin(number);
            return Finding::default();
        };
        if step > usual.saturating_mul(GAP) {
            self.predictor.begin(number);
            return self.drift(context, number, usual, false);
        }
        let foretold = self.predictor.foretold();
        let distance = (number - foretold).abs();
        let mut finding = Finding::default();
        let settings = context.settings;
        let judged = self.jump.judge(number, foretold, usual, settings.jump.get());
        if judged != Verdict::Expected {
            self.calm = 0;
        }
        if judged == Verdict::Outlier(true) {
            let limit = self.jump.limit(usual);
            let expected = Some((foretold - limit, foretold + limit));
            finding = Finding::certain(Kinds::JUMP, context.settings, expected);
        }
        let bounded = match judged {
            Verdict::Expected => distance,
            _ => distance.min(self.jump.limit(usual)),
        };
        if let Some(tell) = self.noise.judge(bounded, usual, settings.noise.get()) {
            self.calm = 0;
            finding.join(match tell {
                true => Finding::certain(Kinds::NOISE, context.settings, None),
                false => Finding::held(context.settings),
            });
        }
        let wrong = self.wrong();
        match judged {
            Verdict::Outlier(..) if wrong => self.predictor.pass(),
            Verdict::Shifted => self.predictor.jump(number),
            _ => self.predictor.follow(number),
        }
        if wrong {
            self.missed = self.missed.saturating_add(1);
        } else {
            self.missed = self.missed.saturating_sub(1);
            self.jump.learn(distance);
            self.noise.learn(bounded);
        }
        finding.join(self.drift(context, number, usual, wrong));
        self.calm = self.calm.saturating_add(1);
        self.told = if finding.kinds.is_empty() {
            self.told.saturating_add(1)
        } else {
            0
        };
        finding
    }
}

impl Signal {
    /// True while something is wrong, and for a while after: nothing should be learnt.
    pub fn wrong(&self) -> bool {
        self.calm < REST && self.missed < LONGEST
    }

    fn drift(&mut self, context: &Context<'_>, number: f64, usual: i64, wrong: bool) -> Finding {
        let factor = context.settings.drift.get();
        let drift = self.drift.judge(context.time, number, usual, factor, wrong);
        if self.away != drift.is_some() {
            self.away = drift.is_some();
            self.predictor.loosen();
        }
        let Some((part, tell, level)) = drift else {
            return Finding::default();
        };
        if !tell || self.told < EDGE {
            return Finding::held(context.settings);
        }
        let reach = (number - level).abs() / part;
        let expected = Some((level - reach, level + reach));
        Finding::certain(Kinds::DRIFT, context.settings, expected)
    }
}
