//! What can go wrong with a request, by chance or by script. Knows no network: who carries a fault out is the service.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// How likely each fault is, from 0 to 1. At most one happens to a request, so they add up to 1 at most.
pub type Chances = BTreeMap<Fault, f64>;

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Some records are refused, each with ProvisionedThroughputExceededException or InternalFailure.
    Partial,
    /// The whole request: 400 ProvisionedThroughputExceededException.
    Throttled,
    /// The whole request: 400 LimitExceededException.
    LimitExceeded,
    /// 500 InternalFailureException; nothing is committed.
    InternalFailure,
    /// 503 ServiceUnavailable; nothing is committed.
    Unavailable,
    /// The connection is reset; nothing is committed.
    ResetBefore,
    /// The records are committed, then the connection is reset.
    ResetAfter,
    /// Never answered, while the client waits; nothing is committed.
    TimeoutBefore,
    /// The records are committed, then never answered, while the client waits.
    TimeoutAfter,
    /// The records are committed at once and answered late.
    Slow,
    /// The records are committed; half of the answer's body arrives, then the connection ends.
    Truncated,
    /// 400 ExpiredTokenException.
    ExpiredToken,
    /// 400 AccessDeniedException.
    AccessDenied,
}

/// What happens to the next requests of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `None` lets them through, whatever the chances.
    pub fault: Option<Fault>,
    /// How many requests.
    #[serde(default = "once")]
    pub times: u32,
    /// Of this operation.
    #[serde(default)]
    pub operation: Operation,
}

/// Words that name no fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no fault: use one of {known}", known = Fault::ALL.map(Fault::name).join(", "))]
pub struct NoFault(String);

/// Chances that cannot be.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the chances of faults add up to {0}: each is 0 to 1, and all together at most 1")]
pub struct Improbable(f64);

/// Decides what happens to each request.
pub(crate) struct Faults {
    chances: Chances,
    scripts: BTreeMap<Operation, VecDeque<Step>>,
    random: ChaCha8Rng,
}

impl Step {
    /// The next `times` PutRecords requests.
    pub fn puts(fault: Fault, times: u32) -> Self {
        Self {
            fault: Some(fault),
            times,
            operation: Operation::PutRecords,
        }
    }
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 13] = [
        Self::Partial,
        Self::Throttled,
        Self::LimitExceeded,
        Self::InternalFailure,
        Self::Unavailable,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::TimeoutBefore,
        Self::TimeoutAfter,
        Self::Slow,
        Self::Truncated,
        Self::ExpiredToken,
        Self::AccessDenied,
    ];

    /// As flags, scripts and counters name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Throttled => "throttled",
            Self::LimitExceeded => "limit_exceeded",
            Self::InternalFailure => "internal_failure",
            Self::Unavailable => "unavailable",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::TimeoutBefore => "timeout_before",
            Self::TimeoutAfter => "timeout_after",
            Self::Slow => "slow",
            Self::Truncated => "truncated",
            Self::ExpiredToken => "expired_token",
            Self::AccessDenied => "access_denied",
        }
    }
}

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(name: &str) -> Result<Self, NoFault> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| NoFault(name.to_owned()))
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chances: Chances::new(),
            scripts: BTreeMap::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn set_chances(&mut self, chances: Chances) -> Result<(), Improbable> {
        let sum: f64 = chances.values().sum();
        // The slack is what a sum of decimal fractions may be off by.
        if chances.values().any(|chance| !(0.0..=1.0).contains(chance)) || sum > 1.0 + 1e-9 {
            return Err(Improbable(sum));
        }
        self.chances = chances;
        Ok(())
    }

    pub(crate) fn append(&mut self, steps: Vec<Step>) {
        for step in steps.into_iter().filter(|step| step.times > 0) {
            self.scripts.entry(step.operation).or_default().push_back(step);
        }
    }

    /// What happens to the next request of this operation: by the script while it lasts, then by chance.
    pub(crate) fn next(&mut self, operation: Operation) -> Option<Fault> {
        if let Some(script) = self.scripts.get_mut(&operation)
            && let Some(step) = script.front_mut()
        {
            let fault = step.fault;
            step.times -= 1;
            if step.times == 0 {
                script.pop_front();
            }
            return fault;
        }
        if !operation.puts() || self.chances.is_empty() {
            return None;
        }
        let mut draw: f64 = self.random.random();
        for (fault, chance) in &self.chances {
            if draw < *chance {
                return Some(*fault);
            }
            draw -= chance;
        }
        None
    }

    /// True with the probability `share`.
    pub(crate) fn strikes(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }
}

fn once() -> u32 {
    1
}
