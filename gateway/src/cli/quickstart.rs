//! `lakegate quickstart`: one command from nothing to a lake that answers.
//!
//! Order of a start, so that what can be refused is refused before anything is made: flags, folder and its lock, ports, config; then the
//! accounts, the room on the disk and the lake, the gateway. Everything that is made can be found half made by the next start, which
//! finishes it.
//!
//! Invariants:
//! * One folder has one quickstart at a time; the lock lasts as long as the process.
//! * Passwords are random, lie in files of mode 0600, and are printed in the snippets only.
//! * Standard output holds the line `ready ...` and the snippets, nothing else; progress goes to standard error.

mod accounts;
mod bar;
mod dock;
mod error;
mod folder;
mod lake;
mod ports;
mod postgres;
mod settings;
mod snippets;

pub(super) use error::Error;

use super::{Failure, StopOrders, until_stopped};
use crate::config::{Config, Environment, parse_address};
use crate::serve;
use dock::Dock;
use folder::Folder;
use ports::Ports;
use snippets::At;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Make a sample lake and serve it on this machine
///
/// The first start generates the TPC-H tables into DIR, with users and random passwords; later starts find them and are ready in seconds. When
/// the gateway serves, one line `ready flight=URL rest=URL ingest=URL` comes on the standard output, then snippets to paste for pyarrow, ADBC,
/// JDBC and curl, and one that posts records. Ctrl-C or SIGTERM lets running answers end; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate quickstart
  lakegate quickstart --dir /tmp/lake --scale 1
  lakegate quickstart --postgres postgres://reader@localhost:5432/sales
  lakegate quickstart --flight 127.0.0.1:0 --rest 127.0.0.1:0 --ingest 127.0.0.1:0 --admin 127.0.0.1:0

DIR holds warehouse/ and catalog.sqlite (the lake), credentials.json (users and passwords), users.toml, policies.toml,
pepper, audit.key and pipelines/ (kept, yours to edit), audit/ (who has asked for what), gateway.toml, ingest.toml, seal.key and endpoints.json (written anew by
every start), and ingest-state/ (can be deleted).

Exit codes: 0 stopped as told, 1 failure, 2 wrong usage.")]
pub(super) struct Arguments {
    /// Where lake, users and config lie; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./lakegate-data")]
    dir: PathBuf,
    /// Address of Flight SQL (gRPC); port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051", value_parser = parse_address)]
    flight: SocketAddr,
    /// Address of REST; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    rest: SocketAddr,
    /// Address that takes records; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088", value_parser = parse_address)]
    ingest: SocketAddr,
    /// Address of metrics and health checks; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090", value_parser = parse_address)]
    admin: SocketAddr,
    /// Scale of the sample, 1 being six million order lines in 300 MB [default: that of the lake in DIR, 0.1 for a new one]
    #[arg(long, value_name = "N", value_parser = parse_scale)]
    scale: Option<f64>,
    /// A database to show beside the lake as the catalog pg: postgres://USER:PASSWORD@HOST:PORT/DATABASE; the user admin may read it
    #[arg(long, value_name = "URL", value_parser = postgres::parse)]
    postgres: Option<postgres::Database>,
}

/// The scale of a new lake when none is asked for.
const SCALE: f64 = 0.1;

fn parse_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    ingest::sample::check_scale(scale)
        .map(|()| scale)
        .map_err(|error| error.to_string())
}

/// Runs until Ctrl-C, SIGTERM or a failure.
pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    let folder = Folder::open(&arguments.dir)?;
    let ports = Ports::take(&arguments)?;
    let text = settings::gateway(&folder, &arguments);
    let config = Config::parse(&text, &folder.path("gateway.toml"), environment)?;
    folder.write("gateway.toml", &text)?;
    let password = arguments
        .postgres
        .as_ref()
        .and_then(|database| database.password.as_ref());
    if let Some(password) = password {
        folder.write(postgres::PASSWORD, password)?;
    }
    folder.write("seal.key", &settings::seal_key()?)?;
    for kept in [settings::PEPPER, settings::AUDIT_KEY] {
        if folder.read(kept)?.is_none() {
            folder.write(kept, &settings::seal_key()?)?;
        }
    }
    let runtime = super::runtime()?;
    let served = runtime.block_on(serve(&arguments, &folder, ports, config, environment));
    // An encoder that was told to stop ends at its next batch; the folder stays locked until then.
    drop(runtime);
    served
}

async fn serve(
    arguments: &Arguments,
    folder: &Folder,
    ports: Ports,
    config: Config,
    environment: &Environment,
) -> Result<(), Failure> {
    let mut orders = StopOrders::hear()?;
    let accounts = accounts::ensure(folder).await?;
    tokio::select! {
        made = lake::ensure(folder, arguments.scale) => made?,
        () = orders.next() => return Err(Error::Stopped.into()),
    }
    drop(ports);
    let running = tokio::select! {
        started = serve::start(config, environment) => started?,
        () = orders.next() => return Ok(()),
    };
    let dock = tokio::select! {
        started = Dock::start(folder, arguments) => started?,
        () = orders.next() => return Ok(()),
    };
    let at = At::new(folder, running.flight, running.rest, dock.open.address);
    folder.write("endpoints.json", &settings::endpoints(&at, running.admin))?;
    let snippets = snippets::render(&at, &accounts, arguments.postgres.is_some())?;
    announce(&at, &snippets).map_err(|source| Failure::io("writing to the standard output", source))?;
    until_stopped(running, &mut orders).await;
    tokio::select! {
        () = dock.stop() => {}
        () = orders.next() => {}
    }
    Ok(())
}

/// The line that scripts wait for, then the snippets for people.
fn announce(at: &At, snippets: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "ready flight={} rest={} ingest={}",
        at.flight, at.rest, at.ingest
    )?;
    out.flush()?;
    out.write_all(snippets.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests;
