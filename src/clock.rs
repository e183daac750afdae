//! The wall clock, as a reading's timestamp.

use std::time::{SystemTime, UNIX_EPOCH};

use wire::Timestamp;

/// The current time.
pub fn now() -> Timestamp {
    // A clock before the epoch has not been set.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros())
        .ok()
        .and_then(Timestamp::from_micros)
        .unwrap_or(Timestamp::MAX)
}
