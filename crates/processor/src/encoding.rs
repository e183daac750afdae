//! The format of entries, checkpoints and events: a version byte, then postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store_error::StoreError;

/// The version known here.
const FORMAT: u8 = 1;

/// Encodes a value.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("memory takes all, and no type kept here refuses to be written")
}

/// Decodes a value; `what` names it in an error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: impl FnOnce() -> String) -> Result<T, StoreError> {
    match bytes.split_first() {
        None => Err(StoreError::Damaged {
            what: what(),
            problem: "it is empty".to_owned(),
        }),
        Some((&FORMAT, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(StoreError::Damaged {
                what: what(),
                problem: format!("{} bytes too many", rest.len()),
            }),
            Err(error) => Err(StoreError::Damaged {
                what: what(),
                problem: error.to_string(),
            }),
        },
        Some((&found, _)) => Err(StoreError::Newer {
            what: what(),
            found: found.into(),
            known: FORMAT.into(),
        }),
    }
}
