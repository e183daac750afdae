//! Why a request is refused, for its sender: what is wrong, where, and how to fix it.

use serde::Serialize;

use super::body_limits::{MAX_BODY_BYTES, MAX_VALUES};
use crate::store_error::StoreError;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum Unscored {
    /// The request is wrong.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A wrong request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{error}: {detail}")]
pub struct Refusal {
    /// Which kind of mistake it is.
    pub error: Mistake,
    /// What was wrong, and where.
    pub detail: String,
    /// How to fix it.
    pub remedy: String,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// The body is not a JSON object.
    NotJson,
    /// The body is larger than [`MAX_BODY_BYTES`].
    TooLarge,
    /// Neither `values` nor `data`, or fields that do not go together.
    Fields,
    /// A list without a number.
    Empty,
    /// A list longer than its limit.
    TooMany,
    /// What should be a number is something else.
    NotANumber,
    /// A number beyond the range of 64 bits.
    NotFinite,
    /// An invalid instant or interval, or instants out of order.
    Time,
    /// The model has vectors of another length.
    WrongLength,
    /// The model is unknown.
    UnknownModel,
}

impl Mistake {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownModel => 404,
            _ => 400,
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

const FORMS: &str = r#"send {"values":[97.1,97.3]} for a series, or {"data":[1,2,3,4],"model":"NAME"} for a vector"#;

impl Refusal {
    pub(super) fn new(error: Mistake, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            error,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// A body that cannot be read as one of the forms.
    pub(super) fn not_json(problem: impl Into<String>) -> Self {
        Self::new(Mistake::NotJson, problem, FORMS)
    }

    pub(super) fn too_large(bytes: usize) -> Self {
        let detail = format!("the body has {bytes} bytes, and at most {MAX_BODY_BYTES} are taken");
        Self::new(Mistake::TooLarge, detail, "send a long series in parts that overlap")
    }

    /// Fields that are missing, unknown, or do not go together.
    pub(super) fn fields(problem: impl Into<String>) -> Self {
        Self::new(Mistake::Fields, problem, FORMS)
    }

    pub(super) fn empty(field: &str) -> Self {
        Self::new(Mistake::Empty, format!("{field} is empty"), "send at least one number")
    }

    pub(super) fn too_many(field: &str, found: usize, most: usize) -> Self {
        let detail = format!("{field} has {found} items, and at most {most} are taken");
        let remedy = match most {
            MAX_VALUES => "send a long series in parts that overlap",
            _ => "send fewer",
        };
        Self::new(Mistake::TooMany, detail, remedy)
    }

    pub(super) fn time(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Mistake::Time, detail, remedy)
    }

    pub(super) fn no_model() -> Self {
        let remedy = r#"name the sensor or log group: {"data":[1,2,3,4],"model":"NAME"}"#;
        Self::new(
            Mistake::Fields,
            "a vector is scored by a model, and none is named",
            remedy,
        )
    }

    pub(super) fn unknown_model(model: &str) -> Self {
        let detail = format!("{model:?} is unknown: no reading of it has been scored");
        let remedy = "name a sensor as its readings do, or a log group; `temp-ingest incidents list` shows names";
        Self::new(Mistake::UnknownModel, detail, remedy)
    }

    pub(super) fn wrong_length(model: &str, found: usize, length: usize) -> Self {
        let detail = format!("data has {found} numbers, and the readings of {model:?} have {length}");
        Self::new(
            Mistake::WrongLength,
            detail,
            format!("send {length}, in the same order"),
        )
    }
}
