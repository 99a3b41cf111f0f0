//! Nobody sees what they may not: attacks, differences and the matrix of who sees what, over the wire.
//!
//! A case is judged by three oracles: no byte that comes back holds a token of what is hidden (canary), two lakes that
//! differ only in what is hidden answer the same, byte for byte (two worlds), and the same process answers another user
//! afterwards (alive).

mod attacks;
mod commands;
mod differential;
mod matrix;
mod reload;
mod remote;
mod report;
mod statements;
mod told;
mod wire;
mod world;

/// Writes a line past the capture of the test's output: `make test` shows it.
fn tell(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").expect("a standard error output");
}
