//! What runs now, and what people may change of it while it runs.

/// What people changed, over what the configuration says.
pub mod overrides;
/// What the running daemon tells of itself, beside its metrics.
pub mod status;
