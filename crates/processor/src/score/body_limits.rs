//! How much a request may hold.

/// The largest body. API Gateway would pass on 10 MB: more than a small function scores within its 29 seconds.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The most values of a series.
pub const MAX_VALUES: usize = 50_000;
