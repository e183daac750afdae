//! The detectors from outside, over readings that are made here.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod derived;
mod faults;
mod flap_damping;
mod incidents;
mod lines;
mod partition;
mod score;
