//! `lakegate audit`: reads the audit trail of a config.

use super::Failure;
use crate::audit::{Filter, VerifyingKey, search, verify};
use crate::config::{Config, Environment, Fault};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Verify and search the audit trail
///
/// `verify` checks that no record of the trail was changed, dropped, added or moved, and that its end is the one that the
/// gateway has signed; it may run while the gateway writes. `search` prints each request that is wanted as one line of JSON:
/// who asked, for what, which tables and columns were read under which policies, and how it ended.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate audit verify --config gateway.toml
  lakegate audit verify --folder /backup/audit --public-key \"$KEY\"
  lakegate audit search --subject ada --since 2026-01-05 --config gateway.toml
  lakegate audit search --table lake.gold.customer --column c_phone --outcome ok | jq .who.subject

Times are compared as text in UTC, such as 2026-01-05T08:00:00Z or the first letters of it.

Exit codes: 0 the trail is whole, or was searched; 1 failure; 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The config file (TOML)
    #[arg(long, value_name = "FILE", global = true, default_value = "gateway.toml")]
    config: PathBuf,
    /// The folder of the trail, in the place of that of the config
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check every record and the signature of the end
    Verify {
        /// The public key in base64, as the first record of each file tells it and a verifying gateway prints it; without it
        /// the key of the config is used
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
    },
    /// Print requests, one JSON object a line
    Search(Box<Wanted>),
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// The subject
    #[arg(long)]
    subject: Option<String>,
    /// The tenant
    #[arg(long)]
    tenant: Option<String>,
    /// The id of the request, as the caller was told it
    #[arg(long)]
    request: Option<String>,
    /// A table that was read, as catalog.schema.table
    #[arg(long)]
    table: Option<String>,
    /// A column that was read
    #[arg(long)]
    column: Option<String>,
    /// How it ended: ok, failed, cancelled, lost or open
    #[arg(long)]
    outcome: Option<String>,
    /// The code of the failure, such as LG2001
    #[arg(long)]
    code: Option<String>,
    /// Begun at this time or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Begun before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    // Who has the folder and the public key needs no config.
    let config = match (&arguments.folder, &arguments.command) {
        (Some(_), Command::Search(_)) => None,
        (Some(_), Command::Verify { public_key: Some(_) }) => None,
        _ => Some(Config::load(&arguments.config, environment)?),
    };
    let folder = match (arguments.folder, &config) {
        (Some(folder), _) => folder,
        (None, config) => config
            .as_ref()
            .and_then(|config| config.audit.folder.clone())
            .ok_or_else(|| Fault::at("audit.folder", "is not set, so there is no trail"))?,
    };
    match arguments.command {
        Command::Verify { public_key } => {
            let key = match (public_key, &config) {
                (Some(written), _) => VerifyingKey::parse(&written).map_err(problem)?,
                (None, Some(config)) => config.audit.signing_key(environment)?.verifying(),
                (None, None) => return Err(problem("no key".to_owned())),
            };
            verified(&folder, &key)
        }
        Command::Search(wanted) => {
            let mut out = io::stdout().lock();
            let mut broken = None;
            let found = search(&folder, &wanted.filter(), |request| {
                let text = serde_json::to_string(request).map_err(|error| error.to_string())?;
                writeln!(out, "{text}").map_err(|error| {
                    let said = error.to_string();
                    broken = Some(error);
                    said
                })
            });
            match (broken, found) {
                (Some(source), _) => Err(Failure::io("writing the answer", source)),
                (None, found) => found.map_err(problem),
            }
        }
    }
}

fn verified(folder: &Path, key: &VerifyingKey) -> Result<(), Failure> {
    let whole = verify(folder, key).map_err(problem)?;
    let line = format!(
        "ok: records {} to {}, signed up to {}, {} requests open, public key {}\n",
        whole.first,
        whole.last,
        whole.signed,
        whole.open,
        key.written()
    );
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| Failure::io("writing the answer", source))
}

impl Wanted {
    fn filter(self) -> Filter {
        Filter {
            subject: self.subject,
            tenant: self.tenant,
            request: self.request,
            table: self.table,
            column: self.column,
            outcome: self.outcome,
            code: self.code,
            since: self.since,
            until: self.until,
        }
    }
}

fn problem(problem: String) -> Failure {
    Failure::Target { problem }
}
