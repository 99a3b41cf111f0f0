//! `lakegate sql`: a small client over Flight SQL.
//!
//! It speaks to the gateway as any other client does and knows nothing that they do not.
//!
//! Invariants: a failure of a statement ends a script and not a conversation; Ctrl-C stops the statement that runs and
//! nothing else; the gateway's own sentence is what is shown.

mod command;
mod connection;
mod keeping;
mod print;
mod script;
mod session;
mod shell;
mod target;

use super::Failure;
use crate::config::Environment;
use connection::Connection;
use print::Format;
use session::{Session, Settings};
use std::io::{self, BufWriter, IsTerminal as _, Read as _};
use std::path::PathBuf;
use target::Target;

/// Ask a gateway with SQL
///
/// Without -c it reads statements from the terminal, with history, or from the standard input if that is a file or a
/// pipe. Statements end with a semicolon. A backslash begins a command of the shell; \? shows them all.
///
/// Without --url it looks for a quickstart in ./lakegate-data and goes there as its first user. The password comes from
/// --password-file, else from the variable LAKEGATE_PASSWORD, else from the credentials, else it is asked for.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate sql                                             a shell on the quickstart of this folder
  lakegate sql -c 'SELECT count(*) FROM lineitem'          one statement
  lakegate sql --format csv -c 'SELECT * FROM region' > region.csv
  lakegate sql --url grpc+tls://lake.example:50051 --user ada --password-file ~/.lakegate-password
  lakegate sql < report.sql

Exit codes: 0 every statement succeeded, 1 one failed or there was no connection, 2 wrong usage.")]
pub(super) struct Arguments {
    /// Where the gateway is: grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Who asks [default: the first of the credentials]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A credentials.json as a quickstart writes it; without --url, endpoints.json beside it says where to go
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Certificate authorities to trust (PEM) in place of the system's
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Run this and leave; may be given several times, and hold several statements
    #[arg(short, long = "command", value_name = "SQL")]
    command: Vec<String>,
    /// The form of the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How many rows a table shows at most; 0 shows all. The other forms always give all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rows_max: usize,
    /// Leave out the time that a statement took
    #[arg(long)]
    no_timing: bool,
}

pub(super) fn run(arguments: &Arguments, environment: &Environment) -> Result<(), Failure> {
    let to_terminal = io::stdout().is_terminal();
    if to_terminal && arguments.format == Format::Arrow {
        let problem = "Arrow is not for the terminal: write it to a file or a pipe".to_owned();
        return Err(Failure::Target { problem });
    }
    let target = Target::find(arguments, environment)?;
    let runtime = super::runtime()?;
    let connection = runtime.block_on(Connection::open(target))?;
    let settings = Settings {
        format: arguments.format,
        rows_max: Some(arguments.rows_max).filter(|rows| *rows > 0),
        timing: !arguments.no_timing,
        to_terminal,
    };
    let mut session = Session::new(connection, settings);
    if arguments.command.is_empty() && io::stdin().is_terminal() {
        return shell::run(&runtime, session, environment);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if !arguments.command.is_empty() {
        return arguments
            .command
            .iter()
            .try_for_each(|text| runtime.block_on(session.run_script(text, &mut out)));
    }
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|source| Failure::io("reading the statements", source))?;
    runtime.block_on(session.run_script(&text, &mut out))
}
