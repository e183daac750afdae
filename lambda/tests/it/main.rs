//! The handler and its stores from outside. One program, so that the AWS SDK is linked once.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[cfg(any(feature = "embedded", feature = "tables"))]
mod contract;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "embedded")]
mod envelope;
mod mapping;
#[cfg(feature = "embedded")]
mod score;
#[cfg(feature = "tables")]
mod standin;
#[cfg(feature = "tables")]
mod tables;
