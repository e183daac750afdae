//! The daemon and its commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    temp_ingest::cli::main()
}
