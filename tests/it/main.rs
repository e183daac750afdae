//! The daemon and its commands from outside, run as an operator runs them. One program, so that the AWS SDK is linked once.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod attack;
mod backtest;
mod cli;
mod clickstream;
mod command;
mod control_group;
mod daemon;
mod faults;
mod http;
mod kills;
mod kinesis;
mod logs;
mod mosquitto;
mod mqtt;
mod page;
mod redrive;
mod support;
mod systems;
