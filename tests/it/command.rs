//! The real binary as a person calls it, and what it said.

use std::path::Path;
use std::process::{Command, Output};

/// The binary in an environment of its own: no configuration, no credentials, no state of this machine.
pub fn temp_ingest(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_temp-ingest"));
    command
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(home);
    command
}

pub fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}
