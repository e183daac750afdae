//! The endpoint as the real SDK sees it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod faults;
mod ledger;
mod limits;
mod operations;
mod process;
mod reshard;
