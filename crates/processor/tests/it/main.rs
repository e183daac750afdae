//! The handler and its stores from outside. One program, so that the AWS SDK is linked once.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[cfg(any(feature = "sqlite", feature = "dynamodb"))]
mod contract;
#[cfg(feature = "sqlite")]
mod embedded;
#[cfg(feature = "sqlite")]
mod envelope;
mod mapping;
#[cfg(feature = "sqlite")]
mod score;
#[cfg(feature = "dynamodb")]
mod standin;
#[cfg(feature = "dynamodb")]
mod tables;
