//! `lakegate policies`: a document before it is in force. Is it one, what does a change of it widen, does it keep what is
//! expected of it, and why does somebody see what they see?
//!
//! Invariant: no running gateway is touched. Without `--config` what is printed is a function of the files.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ::policies::review::{Expectations, Somebody, difference, explain};
use ::policies::{Error, PolicySet, Secret, TableName};

use super::Failure;
use crate::config::Environment;

mod fit;
mod fleet;

/// Stands for the key of hashing masks, which a document is checked without.
const NO_KEY: &str = "the key of a check, which hashes nothing";

/// Check, compare, test, explain and publish policy documents
///
/// No gateway is asked. `check --config` lays a document over the tables of the sources: a rule that does not fit its
/// table would close the table. A fleet that has `fleet.policies` in its config reads the newest published document.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate policies check policies.toml
  lakegate policies check policies.toml --config gateway.toml
  lakegate policies diff policies.toml policies.new.toml
  lakegate policies test policies.toml tests.toml
  lakegate policies explain policies.toml --role data_viewer lake.gold.customer c_phone
  lakegate policies publish policies.toml --config gateway.toml --note \"balances for auditors\"
  lakegate policies history --config gateway.toml

Exit codes: 0 success, 1 a document or a test is at fault, 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether a document is one, which of its rules do nothing, and whether they fit the tables
    Check {
        /// The policy document (TOML)
        document: PathBuf,
        /// The config of a gateway, whose sources are asked for their tables
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Fail also where a rule does nothing or names a table that is not there
        #[arg(long)]
        strict: bool,
    },
    /// Say what a change widens and narrows, role by role
    Diff {
        /// The document in force
        old: PathBuf,
        /// The document that is to come
        new: PathBuf,
    },
    /// Run a file of expectations against a document
    Test {
        /// The policy document (TOML)
        document: PathBuf,
        /// The expectations (TOML): `[[test]]` with name, roles, table, rows and columns
        tests: PathBuf,
    },
    /// Say what somebody sees of a table or column, and by which rules
    Explain {
        /// The policy document (TOML)
        document: PathBuf,
        /// A role of the one who asks; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// The name of the one who asks
        #[arg(long, value_name = "NAME", default_value = "somebody")]
        subject: String,
        /// The table, as CATALOG.SCHEMA.TABLE
        #[arg(value_parser = parse_table)]
        table: TableName,
        /// One column of it
        column: Option<String>,
    },
    /// Publish a document to the gateways of a fleet, where it is in force within two seconds
    ///
    /// Prints what it widens and narrows, and appends it to the table `lakegate_policies` of `fleet.policies`, which is made
    /// where it is not there.
    Publish {
        /// The policy document (TOML)
        document: PathBuf,
        /// The config of a gateway of the fleet
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What the change is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Refuse unless this version is the newest
        #[arg(long, value_name = "VERSION")]
        replaces: Option<i64>,
        /// Print what would change, and publish nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the published versions, the newest first
    History {
        /// The config of a gateway of the fleet
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print a published document
    Show {
        /// Its version; the newest when not given
        version: Option<i64>,
        /// The config of a gateway of the fleet
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn parse_table(text: &str) -> Result<TableName, String> {
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [catalog, schema, table] => Ok(TableName::new(*catalog, *schema, *table)),
        _ => Err("a table is written as CATALOG.SCHEMA.TABLE".to_owned()),
    }
}

pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    match arguments.command {
        Command::Check {
            document,
            config,
            strict,
        } => fit::check(&document, config.as_deref(), strict, environment),
        Command::Publish {
            document,
            config,
            note,
            replaces,
            dry_run,
        } => {
            let wanted = fleet::Wanted {
                note,
                replaces,
                is_dry: dry_run,
            };
            fleet::publish(&document, &config, wanted, environment)
        }
        Command::History { config } => fleet::history(&config, environment),
        Command::Show { version, config } => fleet::show(version, &config, environment),
        Command::Diff { old, new } => {
            let changes = difference(&open(&old)?, &open(&new)?);
            print(&changes.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        Command::Test { document, tests } => {
            let set = open(&document)?;
            let expected = Expectations::parse(&text(&tests)?, &tests)?;
            let failures = expected.failures(&set);
            let lines: Vec<String> = failures
                .iter()
                .map(|(name, problem)| format!("FAIL {name}: {problem}"))
                .collect();
            print(&lines)?;
            match failures.first() {
                None => print(&[format!("ok   {} tests", expected.tests.len())]),
                Some((first, _)) => Err(Failure::Checks {
                    first: first.clone(),
                    failed: failures.len(),
                    total: expected.tests.len(),
                }),
            }
        }
        Command::Explain {
            document,
            roles,
            subject,
            table,
            column,
        } => {
            let who = Somebody {
                subject,
                roles: roles.into_iter().collect(),
            };
            let found = explain(&open(&document)?, &who, &table, column.as_deref());
            let reasons = found.reasons.iter().map(|reason| {
                let mark = if reason.counts { "  +" } else { "  -" };
                format!("{mark} {} `{}` {}", reason.kind, reason.rule, reason.why)
            });
            let lines: Vec<String> = found.answers.iter().cloned().chain(reasons).collect();
            print(&lines)
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        action: "read",
        source,
    });
    Ok(read?)
}

fn open(path: &Path) -> Result<PolicySet, Failure> {
    let key = Secret::new(NO_KEY);
    Ok(PolicySet::parse_with_key(&text(path)?, path, Some(&key))?)
}

fn print(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    lines
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))
        .map_err(|source| Failure::io("writing to the standard output", source))
}
