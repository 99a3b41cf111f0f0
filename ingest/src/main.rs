//! The program `lakegate-ingest`: hands the command line to the library and its answer to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    ingest::cli::run(std::env::args_os())
}
