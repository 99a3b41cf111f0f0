//! `lakegate keys`: API keys of services, made, listed and taken back in the keys file of a config.
//!
//! Invariants: a key is printed once, alone on the standard output, and kept nowhere; the file is replaced as a whole and
//! has mode 0600; a gateway that runs on the file takes a change up within `identity.reread`.

use super::Failure;
use crate::config::{Config, Environment};
use policies::Scope;
use policies::identity::{ApiKey, ApiKeys, Purpose, rewrite};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Make, list and revoke API keys
///
/// A service logs in with an API key: as a Bearer token over Flight SQL and REST, without a session. The keys file of the
/// config (`identity.keys`) holds a keyed hash of each key, made with the secret at `seal.pepper`; the key itself is shown
/// once. A running gateway sees a change within `identity.reread`; the answers of a revoked key that are still running end
/// there and then.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate keys create etl --role data_engineer --expires 90d --config gateway.toml
  lakegate keys create catalog-crawler --role data_viewer --scope metadata --config gateway.toml
  lakegate keys list --config gateway.toml
  lakegate keys revoke Qh3v8Yz0Lr5T --config gateway.toml

A service has at most two live keys: make the new one, roll it out, revoke the old one.

Exit codes: 0 success, 1 failure, 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The config file (TOML)
    #[arg(long, value_name = "FILE", global = true, default_value = "gateway.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key and print it
    Create {
        /// Whose key it is: letters, digits, `-`, `_` and `.`; the caller is known as `service:SERVICE`
        service: String,
        /// A role that policies speak of; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What the key is for: select, metadata, ingest or admin; may be given several times; all of them when not given
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<Scope>,
        /// Whose data the service works with
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// After what time the key ends, such as `90d`; never when not given
        #[arg(long, value_name = "TIME", value_parser = humantime_serde::re::humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Print the keys, without what would open anything
    List,
    /// Take a key back
    Revoke {
        /// The id of the key, as `lakegate keys list` prints it: the part after `lg_`
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let found = Scope::ALL.into_iter().find(|scope| scope.name() == text);
    found.ok_or_else(|| "the scopes are select, metadata, ingest and admin".to_owned())
}

pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, environment)?;
    let path = &config.identity.keys;
    let now = SystemTime::now();
    let said = match arguments.command {
        Command::Create {
            service,
            roles,
            scopes,
            tenant,
            expires,
        } => {
            let pepper = config.seal.pepper(environment)?.ok_or_else(no_pepper)?;
            let purpose = Purpose {
                service,
                tenant,
                roles: roles.into_iter().collect(),
                scopes: (!scopes.is_empty()).then(|| scopes.into_iter().collect()),
                expires: expires.map(|time| now + time),
            };
            let key = rewrite(path, || {
                let mut keys = ApiKeys::open(path)?;
                let (_, key) = keys.create(purpose, &pepper, now)?;
                Ok((keys.to_toml()?, key))
            })?;
            format!("{}\n", key.expose())
        }
        Command::List => list(&ApiKeys::open(path)?, now),
        Command::Revoke { id } => {
            let was_live = rewrite(path, || {
                let mut keys = ApiKeys::open(path)?;
                let was_live = keys.revoke(&id, now);
                Ok((keys.to_toml()?, was_live))
            })?;
            if !was_live {
                return Err(Failure::Target {
                    problem: format!("{} has no live key '{id}'", path.display()),
                });
            }
            String::new()
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| Failure::io("writing the answer", source))
}

fn no_pepper() -> Failure {
    let fault = crate::config::Fault::at("seal.pepper", "is not set, so there are no API keys");
    fault
        .with_hint("write one with `openssl rand -base64 32 > FILE` and refer to it as `file:FILE`")
        .into()
}

/// A line for each key: id, service, tenant, roles, scopes, when it was made, when it ends, and what it is now.
fn list(keys: &ApiKeys, now: SystemTime) -> String {
    keys.iter().map(|key| line(key, now)).collect()
}

fn line(key: &ApiKey, now: SystemTime) -> String {
    let day = |time: SystemTime| humantime_serde::re::humantime::format_rfc3339_seconds(time).to_string();
    let scopes: Vec<&str> = match &key.scopes {
        Some(scopes) => scopes.iter().map(|scope| scope.name()).collect(),
        None => vec!["all"],
    };
    let roles: Vec<&str> = key.roles.iter().map(String::as_str).collect();
    let state = match key.revoked {
        Some(revoked) => format!("revoked {}", day(revoked)),
        None if key.is_live(now) => "live".to_owned(),
        None => "expired".to_owned(),
    };
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{state}\n",
        key.id,
        key.service,
        key.tenant,
        roles.join(","),
        scopes.join(","),
        day(key.created),
        key.expires.map_or_else(|| "never".to_owned(), day),
    )
}
