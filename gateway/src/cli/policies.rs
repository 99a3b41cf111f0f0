//! `lakegate policies`: a document before it is in force. Is it one, what does a change of it widen, does it keep what is
//! expected of it, and why does somebody see what they see?
//!
//! Invariant: nothing here touches a source or a running gateway; what is printed is a function of the files.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ::policies::review::{Expectations, Somebody, difference, explain};
use ::policies::{Error, PolicySet, Secret, TableName};

use super::Failure;

/// Stands for the key of hashing masks, which a document is checked without.
const NO_KEY: &str = "the key of a check, which hashes nothing";

/// Check, compare, test and explain policy documents
///
/// Works on files alone: no gateway and no source is asked. What a rule means for the columns of a real table is seen
/// when the document is in force; a rule that does not fit its table closes the table and is logged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate policies check policies.toml
  lakegate policies diff policies.toml policies.new.toml
  lakegate policies test policies.toml tests.toml
  lakegate policies explain policies.toml --role data_viewer lake.gold.customer c_phone

Exit codes: 0 success, 1 a document or a test is at fault, 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether a document is one, and what is wrong with it
    Check {
        /// The policy document (TOML)
        document: PathBuf,
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
}

fn parse_table(text: &str) -> Result<TableName, String> {
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [catalog, schema, table] => Ok(TableName::new(*catalog, *schema, *table)),
        _ => Err("a table is written as CATALOG.SCHEMA.TABLE".to_owned()),
    }
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Check { document } => {
            let set = open(&document)?;
            print(&[format!("ok   {}, epoch {}", document.display(), set.epoch())])
        }
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
