//! `lakegate check`: would `serve` start, and if not, which key is at fault?
//!
//! Invariant: a check changes nothing, and one failure does not hide the next, except that a config that cannot be read
//! leaves nothing to check.

use super::Failure;
use crate::config::{Config, Environment, Fault};
use crate::policy_source::PolicySource;
use planner::Engine;
use policies::PolicyStore;
use policies::identity::Users;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Check a config without serving
///
/// Parses the file and the variables over it, opens the TLS files, the seal keys, the users and the policies, and
/// connects to each source. Prints one line for each item: `ok   KEY: what was found` or `FAIL KEY: what is wrong`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate check --config /etc/lakegate/gateway.toml
  lakegate check --config gateway.toml && lakegate serve --config gateway.toml

Exit codes: 0 every item is ok, 1 an item failed, 2 wrong usage.")]
pub(super) struct Arguments {
    /// The config file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments, environment: &Environment) -> Result<(), Failure> {
    let mut report = Report {
        out: io::stdout().lock(),
        total: 0,
        failed: 0,
        first: String::new(),
    };
    let path = arguments.config.display();
    match Config::load(&arguments.config, environment) {
        Ok(config) => {
            report.item("config", Ok(format!("{path}")))?;
            let runtime = super::runtime()?;
            runtime.block_on(check(&config, environment, &mut report))?;
        }
        Err(fault) => report.setting("config", Err(fault))?,
    }
    report.outcome()
}

async fn check(
    config: &Config,
    environment: &Environment,
    report: &mut Report<impl Write>,
) -> Result<(), Failure> {
    let tls = config.tls.check().map(|()| match config.tls.pair() {
        Some(_) => "certificate and key fit".to_owned(),
        None => "off, plaintext".to_owned(),
    });
    report.setting("tls", tls)?;
    let ring = config.seal.open(environment);
    report.setting(
        "seal.keys",
        ring.map(|_| format!("{} in the ring", config.seal.keys.len())),
    )?;
    let users = Users::open(&config.identity.users).map(|users| {
        let count = users.iter().count();
        format!("{}, {count} users", config.identity.users.display())
    });
    report.item("identity.users", users.map_err(|error| chain(&error)))?;
    let policies = PolicySource::open(config, environment).await;
    let found = policies.as_ref().map(PolicySource::told);
    report.item(PolicySource::key(config), found.map_err(|error| chain(error)))?;
    let trail = match &config.audit.folder {
        Some(folder) => config
            .audit
            .signing_key(environment)
            .map(|_| folder.display().to_string()),
        None => Ok("off, nothing is recorded".to_owned()),
    };
    report.setting("audit", trail)?;
    // Sources are connected to even if the policies are bad: nothing is read through this store.
    match policies {
        Ok(store) => sources(config, environment, Arc::new(store), report).await,
        Err(_) => sources(config, environment, Arc::new(NoPolicies::new()?), report).await,
    }
}

/// Opens the planner, then each source alone, so that one that fails does not hide the others.
async fn sources(
    config: &Config,
    environment: &Environment,
    policies: Arc<dyn PolicyStore>,
    report: &mut Report<impl Write>,
) -> Result<(), Failure> {
    let alone = |sources| planner::Config {
        sources,
        ..config.planner.clone()
    };
    let planner = Engine::open(&alone(BTreeMap::new()), Arc::clone(&policies)).await;
    let planner = planner.map(|_| "threads and memory are there".to_owned());
    report.item("planner", planner.map_err(|error| chain(&error)))?;
    let filled = match config.planner_with_secrets(environment) {
        Ok(filled) => filled,
        Err(fault) => {
            let key = fault.key.clone().unwrap_or_default();
            report.item(&key, Err(fault.without_key()))?;
            config.planner.clone()
        }
    };
    for (name, source) in &filled.sources {
        let only = BTreeMap::from([(name.clone(), source.clone())]);
        let outcome = match Engine::open(&alone(only), Arc::clone(&policies)).await {
            Ok(engine) => engine
                .check()
                .await
                .into_iter()
                .try_for_each(|(_, outcome)| outcome),
            Err(error) => Err(error),
        };
        let outcome = outcome.map(|()| "connected".to_owned());
        report.item(
            &format!("planner.sources.{name}"),
            outcome.map_err(|error| chain(&error)),
        )?;
    }
    Ok(())
}

/// A store of the empty document, which denies everything.
#[derive(Debug)]
struct NoPolicies(Arc<policies::PolicySet>);

impl NoPolicies {
    fn new() -> Result<Self, Failure> {
        Ok(Self(Arc::new(policies::PolicySet::parse(
            "",
            std::path::Path::new("none"),
        )?)))
    }
}

impl PolicyStore for NoPolicies {
    fn current(&self) -> Arc<policies::PolicySet> {
        Arc::clone(&self.0)
    }

    fn is_fresh(&self) -> bool {
        true
    }
}

/// The lines, and what they add up to.
struct Report<W> {
    out: W,
    total: usize,
    failed: usize,
    first: String,
}

impl<W: Write> Report<W> {
    fn item(&mut self, key: &str, outcome: Result<String, String>) -> Result<(), Failure> {
        self.total += 1;
        if outcome.is_err() {
            self.failed += 1;
            if self.failed == 1 {
                key.clone_into(&mut self.first);
            }
        }
        let line = match outcome {
            Ok(found) => format!("ok   {key}: {found}\n"),
            Err(reason) => format!("FAIL {key}: {reason}\n"),
        };
        self.out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(|source| Failure::io("writing the report", source))
    }

    /// An item whose fault may name a key of its own.
    fn setting(&mut self, key: &str, outcome: Result<String, Fault>) -> Result<(), Failure> {
        match outcome {
            Ok(found) => self.item(key, Ok(found)),
            Err(fault) => self.item(fault.key.as_deref().unwrap_or(key), Err(fault.without_key())),
        }
    }

    fn outcome(self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Checks {
                first: self.first,
                failed,
                total: self.total,
            }),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::{Failure, Report};
    use crate::config::Fault;

    #[test]
    fn the_report_has_a_line_for_each_item_and_names_the_first_that_failed() {
        let mut out = Vec::new();
        let mut report = Report {
            out: &mut out,
            total: 0,
            failed: 0,
            first: String::new(),
        };
        report.item("tls", Ok("off, plaintext".to_owned())).unwrap();
        let fault = Fault::at("seal.keys[0]", "the variable SEAL is not set");
        report.item("seal.keys[0]", Err(fault.without_key())).unwrap();
        report
            .item("policies.file", Err("p.toml cannot be read".to_owned()))
            .unwrap();
        match report.outcome() {
            Err(Failure::Checks {
                first,
                failed: 2,
                total: 3,
            }) => assert_eq!(first, "seal.keys[0]"),
            other => unreachable!("{other:?}"),
        }
        let lines = String::from_utf8(out).unwrap();
        assert_eq!(
            lines,
            "ok   tls: off, plaintext\nFAIL seal.keys[0]: the variable SEAL is not set\n\
             FAIL policies.file: p.toml cannot be read\n"
        );
    }
}
