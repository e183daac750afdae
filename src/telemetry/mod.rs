//! What the daemon tells of itself.

/// Measured values, for a person who looks on.
pub mod console;
/// Log lines: where they go and what they look like.
pub mod log;
/// Every metric, in one place.
pub mod metrics;
/// The last readings of sensors, while a person looks on.
pub mod recent_readings;
/// What is wrong with the sink or the spool, logged in time.
pub mod sink_health;
