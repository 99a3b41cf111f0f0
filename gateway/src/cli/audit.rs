//! `lakegate audit`: reads the audit trail of a config.

use super::Failure;
use crate::audit::{Filter, Verified, VerifyingKey, search, verify};
use crate::config::{Config, Environment, Fault};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Verify and search the audit trail
///
/// `verify` checks that no record of the trail was changed, dropped, added or moved, and that its end is the one that the
/// gateway has signed; it may run while the gateway writes. `search` prints the requests that are wanted, one a line: when,
/// who, by which method, how it ended, rows, the tables that were read, and the statement as it was kept; with --json, all
/// that is known of them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate audit verify --config gateway.toml
  lakegate audit verify --folder /backup/audit --public-key \"$KEY\"
  lakegate audit search --user ada --since 2026-01-05 --config gateway.toml
  lakegate audit search --table lake.gold.customer --column c_phone --json | jq .who.subject
  lakegate audit search --outcome failed --code LG2001 --since 1h

A TIME is a date such as 2026-01-05, a moment such as 2026-01-05T08:00:00Z, or an age such as 7d.
An outcome is ok, failed, cancelled, open (it runs, or its process has died), or lost (its process
has died, and the next one has said so).

Exit codes: 0 the trail is whole, or was searched; 1 it is broken, or cannot be read; 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The config file (TOML)
    #[arg(long, value_name = "FILE", global = true, default_value = "gateway.toml")]
    config: PathBuf,
    /// The folder of the trail, in the place of that of the config
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check every record and the signature of the end
    Verify {
        /// The public key in base64, as `verify` prints it where the key of the config is; without it that key is used
        #[arg(long, value_name = "KEY", value_parser = VerifyingKey::parse)]
        public_key: Option<VerifyingKey>,
    },
    /// Print requests, one a line
    Search(Box<Wanted>),
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// Who asked: a subject, or the name that a refused caller gave
    #[arg(long)]
    user: Option<String>,
    /// The tenant
    #[arg(long)]
    tenant: Option<String>,
    /// The id of the request, as the caller was told it
    #[arg(long)]
    request: Option<String>,
    /// A table that was read, as CATALOG.SCHEMA.TABLE, or all of a catalog or a schema
    #[arg(long, alias = "object")]
    table: Option<String>,
    /// A column that was read
    #[arg(long)]
    column: Option<String>,
    /// How it ended
    #[arg(long, value_parser = ["ok", "failed", "cancelled", "lost", "open"])]
    outcome: Option<String>,
    /// The code of the failure, such as LG2001
    #[arg(long)]
    code: Option<String>,
    /// Begun at this time or later
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<String>,
    /// Begun before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<String>,
}

/// A time as the records have it, so that it can be compared with theirs letter by letter.
fn parse_time(text: &str) -> Result<String, String> {
    let moment = if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        moment.to_utc()
    } else if let Ok(date) = text.parse::<NaiveDate>() {
        date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc()
    } else {
        let age = humantime_serde::re::humantime::parse_duration(text).ok();
        let age = age.and_then(|age| chrono::Duration::from_std(age).ok());
        age.and_then(|age| Utc::now().checked_sub_signed(age))
            .ok_or("a time is written as 2026-01-05, 2026-01-05T08:00:00Z or as an age such as 90m")?
    };
    Ok(moment.to_rfc3339_opts(SecondsFormat::Micros, true))
}

pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    // Who has the folder and the public key needs no config.
    let is_enough = match &arguments.command {
        Command::Search(_) => true,
        Command::Verify { public_key } => public_key.is_some(),
    };
    let config = match (&arguments.folder, is_enough) {
        (Some(_), true) => None,
        _ => Some(Config::load(&arguments.config, environment)?),
    };
    let of_config = || config.as_ref().and_then(|config| config.audit.folder.clone());
    let folder = arguments
        .folder
        .or_else(of_config)
        .ok_or_else(|| Fault::at("audit.folder", "is not set, so there is no trail"))?;
    match arguments.command {
        Command::Verify { public_key } => {
            let key = match (public_key, &config) {
                (Some(key), _) => key,
                (None, Some(config)) => config.audit.signing_key(environment)?.verifying(),
                (None, None) => return Err(problem("there is no key to verify with".to_owned())),
            };
            verified(&folder, &key, arguments.json)
        }
        Command::Search(wanted) => searched(&folder, &wanted.filter(), arguments.json),
    }
}

fn verified(folder: &Path, key: &VerifyingKey, is_json: bool) -> Result<(), Failure> {
    let found = verify(folder, key);
    if is_json {
        let report = match &found {
            Ok(whole) => json!({"ok": true, "trail": whole, "public_key": key.written()}),
            Err(broken) => json!({"ok": false, "broken": broken, "public_key": key.written()}),
        };
        print(&report.to_string())?;
    }
    let whole = found.map_err(|broken| problem(broken.to_string()))?;
    match is_json {
        true => Ok(()),
        false => print(&sentence(&whole, key)),
    }
}

fn sentence(whole: &Verified, key: &VerifyingKey) -> String {
    let open = match whole.open.len() {
        0 => "no request without an end".to_owned(),
        1 => "1 request without an end".to_owned(),
        count => format!("{count} requests without an end"),
    };
    format!(
        "ok: records {} to {}, signed up to {}, {open}\npublic key {}",
        whole.first,
        whole.last,
        whole.signed,
        key.written()
    )
}

fn searched(folder: &Path, filter: &Filter, is_json: bool) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut broken = None;
    let mut keep = |error: io::Error| {
        let said = error.to_string();
        broken = Some(error);
        said
    };
    let found = search(folder, filter, |request| {
        let text = match is_json {
            true => serde_json::to_string(request).map_err(|error| error.to_string())?,
            false => line(request),
        };
        writeln!(out, "{text}").map_err(&mut keep)
    });
    let found = found.and_then(|()| out.flush().map_err(&mut keep));
    match (broken, found) {
        (Some(source), _) => Err(Failure::io("writing the answer", source)),
        (None, found) => found.map_err(problem),
    }
}

/// A request for a person, in one line.
fn line(request: &Map<String, Value>) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let field = |key: &str| text(request.get(key));
    let subject = text(request.get("who").and_then(|who| who.get("subject")));
    let claimed = field("claims").map(|claims| format!("({claims})"));
    let ended = [field("outcome"), field("code")];
    let tables = request.get("tables").and_then(Value::as_array);
    let names: Vec<String> = tables
        .into_iter()
        .flatten()
        .filter_map(|read| text(read.get("table")))
        .collect();
    let rows = request.get("rows").and_then(Value::as_u64);
    let parts = [
        field("at"),
        subject.or(claimed).or(Some("-".to_owned())),
        field("method"),
        field("command"),
        Some(ended.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        rows.map(|rows| format!("{rows} rows")),
        Some(names.join(", ")).filter(|names| !names.is_empty()),
        field("statement"),
    ];
    let plain = parts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    // A statement that was kept as text may have line ends, and other letters that a terminal obeys.
    plain
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

impl Wanted {
    fn filter(self) -> Filter {
        Filter {
            user: self.user,
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

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|source| Failure::io("writing the answer", source))
}

fn problem(problem: String) -> Failure {
    Failure::Target { problem }
}

#[cfg(test)]
mod tests {
    use super::parse_time;

    #[test]
    fn times_are_brought_into_the_form_of_the_records() {
        for (text, expected) in [
            ("2026-01-05", "2026-01-05T00:00:00.000000Z"),
            ("2026-01-05T08:00:00+02:00", "2026-01-05T06:00:00.000000Z"),
            ("2026-01-05T08:00:00.5Z", "2026-01-05T08:00:00.500000Z"),
        ] {
            assert_eq!(parse_time(text).unwrap(), expected);
        }
        assert!(parse_time("90m").unwrap() < parse_time("1s").unwrap());
        for text in ["", "yesterday", "2026-13-01", "-5m"] {
            parse_time(text).unwrap_err();
        }
    }
}
