//! The daemon and its commands.

use std::process::ExitCode;

/// In plain mode every reading is a record of its own, allocated here and freed there: the system's allocator takes a
/// quarter of the CPU time then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    temp_ingest::cli::main()
}
