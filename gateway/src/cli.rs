//! The command line of `lakegate`.
//!
//! Invariants: the exit code is 0 for success, 1 for failure and 2 for wrong usage; a failure is one line on the standard
//! error output, with its causes; what a command is asked for goes to the standard output and nothing else does.

mod audit;
mod check;
mod failure;
mod keys;
mod policies;
mod quickstart;
mod serve;
mod sql;
mod users;

pub(crate) use failure::Failure;

use crate::config::Environment;
use crate::serve::Running;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure, 2 wrong usage.";

/// Open data lake gateway: SQL over Arrow Flight SQL and REST
///
/// Lakegate plans SQL across the sources of its config, shows each caller only what the policies allow, and answers
/// JDBC, ADBC, pyarrow and curl alike.
#[derive(Debug, Parser)]
#[command(name = "lakegate", version, after_help = EXIT_CODES, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lakegate quickstart                                 a sample lake and a gateway on this machine
  lakegate sql -c 'SELECT count(*) FROM lineitem'     ask the quickstart
  lakegate check --config gateway.toml                is this config good?
  lakegate serve --config gateway.toml                run it

Exit codes: 0 success, 1 failure, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Arguments),
    Serve(serve::Arguments),
    Check(check::Arguments),
    Policies(policies::Arguments),
    Sql(Box<sql::Arguments>),
    Keys(keys::Arguments),
    Users(users::Arguments),
    Audit(audit::Arguments),
}

/// Runs the command line, the program's name first, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with code 0. Nothing is left to do if they cannot be printed.
            return match error.print() {
                Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let environment = Environment::of_process();
    let outcome = match arguments.command {
        Command::Quickstart(arguments) => quickstart::run(arguments, &environment),
        Command::Serve(arguments) => serve::run(&arguments, &environment),
        Command::Check(arguments) => check::run(&arguments, &environment),
        Command::Policies(arguments) => policies::run(arguments, &environment),
        Command::Sql(arguments) => sql::run(&arguments, &environment),
        Command::Keys(arguments) => keys::run(arguments, &environment),
        Command::Users(arguments) => users::run(arguments, &environment),
        Command::Audit(arguments) => audit::run(arguments, &environment),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has enough, as in `lakegate sql ... | head`.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let line = format!("lakegate: {}\n", failure.chain());
            match io::stderr().write_all(line.as_bytes()) {
                Ok(()) | Err(_) => ExitCode::FAILURE,
            }
        }
    }
}

/// The runtime of a command that serves or connects.
fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::io("starting the runtime", source))
}

/// Ctrl-C and SIGTERM. They are heard from the moment this is made, so that none of them is lost during a start.
#[derive(Debug)]
struct StopOrders {
    interrupt: Signal,
    terminate: Signal,
}

impl StopOrders {
    /// Begins to listen; the caller is on a runtime.
    fn hear() -> Result<Self, Failure> {
        let hear = |kind| signal(kind).map_err(|source| Failure::io("listening for signals", source));
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Serves until the first order to stop, then until running answers have ended, or to the second order.
async fn until_stopped(running: Running, orders: &mut StopOrders) {
    orders.next().await;
    running.stop();
    tokio::select! {
        () = running.stopped() => {}
        () = orders.next() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_every_help_is_complete() {
        let mut root = Arguments::command();
        root.clone().debug_assert();
        root.build();
        // What `help` says of itself is clap's.
        let ours = root
            .get_subcommands()
            .filter(|command| command.get_name() != "help");
        for command in ours {
            let name = command.get_name();
            assert!(
                command.get_about().is_some() && command.get_long_about().is_some(),
                "{name}"
            );
            assert!(
                command.get_after_long_help().is_some(),
                "{name} shows no examples"
            );
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {}", argument.get_id());
            }
        }
    }

    #[test]
    fn wrong_usage_is_told_from_help() {
        for (line, code) in [
            ("lakegate", 2),
            ("lakegate --help", 0),
            ("lakegate serv", 2),
            ("lakegate check", 2),
        ] {
            let error = Arguments::command()
                .try_get_matches_from(line.split(' '))
                .unwrap_err();
            assert_eq!(error.exit_code(), code, "{line}");
        }
    }
}
