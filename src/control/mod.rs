//! The status of the daemon, and what people may change while it runs.

/// Changes that people made, on top of the configuration.
pub mod overrides;
/// The daemon's status, beyond its metrics.
pub mod status;
