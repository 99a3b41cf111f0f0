//! `lakegate serve`: runs a gateway until it is told to stop.

use super::{Failure, StopOrders, until_stopped};
use crate::config::{Config, Environment};
use crate::serve;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Run a gateway
///
/// Reads the config, opens users, policies, keys and sources, listens, and prints one line `ready flight=URL rest=URL
/// admin=URL` on the standard output. The log goes to the standard error output. Ctrl-C or SIGTERM lets running answers
/// end within `limits.drain_timeout`; a second one ends at once. SIGHUP reads the users file and the policy document
/// again: whoever has left is refused from the next call on, tokens included. A document that is bad is logged with the
/// reason and the old one stays in force; `lakegate_reloads_total` counts both. Nothing else is read again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate serve --config /etc/lakegate/gateway.toml
  LAKEGATE__LISTEN__REST=127.0.0.1:0 lakegate serve --config gateway.toml
  lakegate check --config gateway.toml && kill -HUP PID     users and policies anew, no restart

Every key of the file is shown with its default in deploy/config/gateway.toml. A key `a.b` can be set by the variable
LAKEGATE__A__B as well, which wins over the file.

Exit codes: 0 stopped as told, 1 failure, 2 wrong usage.")]
pub(super) struct Arguments {
    /// The config file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, environment)?;
    let scheme = if config.tls.pair().is_some() {
        ("grpc+tls", "https")
    } else {
        ("grpc", "http")
    };
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let mut orders = StopOrders::hear()?;
        let mut running = tokio::select! {
            started = serve::start(config, environment) => started?,
            () = orders.next() => return Ok(()),
        };
        running.reload_on_hangup()?;
        let ready = format!(
            "ready flight={}://{} rest={}://{} admin=http://{}\n",
            scheme.0, running.flight, scheme.1, running.rest, running.admin
        );
        let mut out = io::stdout().lock();
        let told = out.write_all(ready.as_bytes()).and_then(|()| out.flush());
        drop(out);
        told.map_err(|source| Failure::io("writing the ready line", source))?;
        until_stopped(running, &mut orders).await;
        Ok(())
    })
}
