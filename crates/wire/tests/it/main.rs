//! The formats from outside, against the published decoder and over whatever proptest thinks of.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod aggregates;
mod batches;
mod kinesis_agg;
mod readings;
