//! The program `lakegate`: hands the command line to the library and its answer to the system.

use std::process::ExitCode;

/// Query threads allocate and free batches of megabytes all the time; mimalloc does that without contention.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::run(std::env::args_os())
}
