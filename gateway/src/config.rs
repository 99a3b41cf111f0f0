//! What the gateway is told at its start: one TOML file, then the environment over it.
//!
//! A key `a.b.c` of the file is overridden by the variable `LAKEGATE__A__B__C`. A variable's value is read as TOML where
//! it is a boolean, a number, an array, a table or a quoted string, and as plain text otherwise.
//! `deploy/config/gateway.toml` shows every key with its default.
//!
//! Invariants:
//! * The environment of the process is read here and nowhere else, once.
//! * An unknown key, a wrong type and a value out of bounds stop the start; the fault names file and key.
//! * Secrets are references (`file:PATH`, `env:NAME`); the config itself holds none and may be printed.

mod audit;
mod environment;
mod fault;
mod fleet;
mod layer;
mod limits;
mod listen;
mod rates;
mod seal;
mod session;
mod telemetry;
mod tls;

pub use audit::{Oldest, Statements, Trail, WhenFull};
pub use environment::Environment;
pub use fault::Fault;
pub use fleet::{Fleet, PolicyDatabase};
pub use limits::Limits;
pub use listen::{Listen, parse_address};
pub use rates::Rates;
pub use seal::{Seal, SecretReference};
pub use session::Session;
pub use telemetry::{Format, Telemetry};
pub use tls::{MinimumVersion, Tls};

use figment::Figment;
use layer::Layer;
use serde::Deserialize;
use std::path::Path;

/// Every setting of a gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// How its listeners are encrypted.
    pub tls: Tls,
    /// The keys of tokens, tickets and handles.
    pub seal: Seal,
    /// Who may come in.
    pub identity: policies::identity::Config,
    /// What they may see.
    pub policies: policies::Config,
    /// What a new session starts with.
    pub session: Session,
    /// What the gateway admits.
    pub limits: Limits,
    /// What it shares with other gateways.
    pub fleet: Fleet,
    /// How queries are planned and run, and the sources.
    pub planner: planner::Config,
    /// How many requests a minute who may make.
    pub rates: Rates,
    /// Where every request is recorded.
    pub audit: Trail,
    /// What it logs.
    pub telemetry: Telemetry,
}

impl Config {
    /// Reads a file and the overrides of the environment, and checks every value.
    ///
    /// # Errors
    /// The first [`Fault`], with the file and line, or the variable, and the key.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(path).map_err(|error| Fault::file(path, &error))?;
        Self::parse(&text, path, environment)
    }

    /// As [`Config::load`] for a text; `path` only names it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Self, Fault> {
        let file = Layer::file(text, path)?;
        let overrides = Layer::environment(environment)?;
        let figment = Figment::from(&file).merge(&overrides);
        let config: Self = figment
            .extract()
            .map_err(|error| fault::explain(error, &figment, &[&file, &overrides]))?;
        config
            .validate()
            .map_err(|fault| fault.found_in(&[&overrides, &file]))
            .map(|()| config)
    }

    /// The planner's section with the secrets of its sources, which [`Config`] itself only refers to. Reads no file:
    /// a secret in a file is read by the source, each time anew.
    ///
    /// # Errors
    /// A [`Fault`] that names the source and the variable that is not set.
    pub fn planner_with_secrets(&self, environment: &Environment) -> Result<planner::Config, Fault> {
        let mut filled = self.planner.clone();
        for (name, source) in &mut filled.sources {
            source
                .fill_secrets(|variable| environment.get(variable).map(str::to_owned))
                .map_err(|error| Fault::at(format!("planner.sources.{name}"), error.to_string()))?;
        }
        Ok(filled)
    }

    /// Checks the bounds of each value and the rules between them, without touching files or sources.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub fn validate(&self) -> Result<(), Fault> {
        self.tls.validate()?;
        self.listen.validate(self.tls.pair().is_some())?;
        self.identity.validate().map_err(|error| match error {
            policies::Error::Setting { key, reason } => Fault::at(format!("identity.{key}"), reason),
            other => Fault::at("identity", other.to_string()),
        })?;
        self.policies.validate().map_err(|error| match error {
            policies::Error::Setting { key, reason } => Fault::at(format!("policies.{key}"), reason),
            other => Fault::at("policies", other.to_string()),
        })?;
        self.limits.validate()?;
        self.rates.validate()?;
        self.audit.validate()?;
        self.telemetry.validate()?;
        self.planner.validate().map_err(|error| match error {
            planner::Error::Setting { key, problem } => Fault::at(format!("planner.{key}"), problem),
            other => Fault::at("planner", other.to_string()),
        })
    }
}

/// The environment of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read"
)]
fn process_environment() -> impl Iterator<Item = (String, String)> {
    let text = |raw: std::ffi::OsString| raw.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

#[cfg(test)]
mod tests;
