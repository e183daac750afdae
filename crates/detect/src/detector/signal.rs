//! The detectors that share a predictor: jump, noise and drift. For single numbers; vectors are left to the score.

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::jump::{Jump, Verdict};
use super::noise::Noise;
use super::predictor::Ar1Predictor;
use super::{Context, Detector, Finding};
use crate::Kinds;

/// Larger numbers count as this one, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// After this many median intervals the last value predicts nothing.
const GAP: i64 = 5;
/// Readings after a fault during which nothing is learnt,
const REST: u16 = 64;
/// but not more than this many in a row: what lasts is the new normal.
const LONGEST: u16 = 1024;
/// A level that moves within this many readings of a reported fault is part of it.
const EDGE: u16 = 256;

/// One predictor, and the detectors that use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signal {
    predictor: Ar1Predictor,
    jump: Jump,
    noise: Noise,
    drift: Drift,
    /// Readings since something was wrong, and since it was reported.
    calm: u16,
    reported: u16,
    /// Whether the level has drifted away.
    away: bool,
    /// Readings that were not learnt, minus those learnt since.
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
            reported: u16::MAX,
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
            self.predictor.restart(number);
            return Finding::default();
        };
        if step > usual.saturating_mul(GAP) {
            self.predictor.restart(number);
            return self.drift(context, number, usual, false);
        }
        let predicted = self.predictor.predicted();
        let distance = (number - predicted).abs();
        let mut finding = Finding::default();
        let settings = context.settings;
        let judged = self.jump.judge(number, predicted, usual, settings.jump.get());
        if judged != Verdict::Expected {
            self.calm = 0;
        }
        if judged == Verdict::Outlier(true) {
            let limit = self.jump.limit(usual);
            let expected = Some((predicted - limit, predicted + limit));
            finding = Finding::certain(Kinds::JUMP, context.settings, expected);
        }
        let bounded = match judged {
            Verdict::Expected => distance,
            _ => distance.min(self.jump.limit(usual)),
        };
        if let Some(report) = self.noise.judge(bounded, usual, settings.noise.get()) {
            self.calm = 0;
            finding.join(match report {
                true => Finding::certain(Kinds::NOISE, context.settings, None),
                false => Finding::held(context.settings),
            });
        }
        let wrong = self.wrong();
        match judged {
            Verdict::Outlier(..) if wrong => self.predictor.skip(),
            Verdict::Shifted => self.predictor.shift(number),
            _ => self.predictor.learn(number),
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
        self.reported = if finding.kinds.is_empty() {
            self.reported.saturating_add(1)
        } else {
            0
        };
        finding
    }
}

impl Signal {
    /// True while something is wrong and for a while after: nothing should be learnt then.
    pub fn wrong(&self) -> bool {
        self.calm < REST && self.missed < LONGEST
    }

    fn drift(&mut self, context: &Context<'_>, number: f64, usual: i64, wrong: bool) -> Finding {
        let factor = context.settings.drift.get();
        let drift = self.drift.judge(context.time, number, usual, factor, wrong);
        if self.away != drift.is_some() {
            self.away = drift.is_some();
            self.predictor.relearn_level();
        }
        let Some((part, report, level)) = drift else {
            return Finding::default();
        };
        if !report || self.reported < EDGE {
            return Finding::held(context.settings);
        }
        let reach = (number - level).abs() / part;
        let expected = Some((level - reach, level + reach));
        Finding::certain(Kinds::DRIFT, context.settings, expected)
    }
}
