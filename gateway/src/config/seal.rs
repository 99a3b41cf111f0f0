//! The section `[seal]`, and how a secret is referred to.
//!
//! Invariant: a config names where a secret is and never holds one. Without a key nothing starts: a key drawn at random
//! would make the nodes of a fleet refuse each other's tickets. Only the quickstart, which is alone, draws one.

use super::environment::Environment;
use super::fault::Fault;
use policies::Secret;
use serde::{Deserialize, Deserializer, de};
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

/// The ring of keys that close tokens, tickets and handles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// References to keys, each the base64 of 32 random bytes. The first seals, all of them open.
    pub keys: Vec<SecretReference>,
    /// A reference to the base64 of 32 random bytes that API keys are checked with; without it there are no API keys.
    pub pepper: Option<SecretReference>,
}

impl Seal {
    /// Reads the pepper, where there is one.
    ///
    /// # Errors
    /// A [`Fault`] that names the key of the config.
    pub fn pepper(&self, environment: &Environment) -> Result<Option<policies::Pepper>, Fault> {
        let Some(reference) = &self.pepper else {
            return Ok(None);
        };
        let fault = |reason: String| Fault::at("seal.pepper", reason);
        let written = reference.resolve(environment).map_err(fault)?;
        let made = policies::Pepper::new(&written).map_err(|error| match error {
            policies::Error::Setting { reason, .. } => fault(reason),
            other => fault(other.to_string()),
        });
        made.map(Some)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// A [`Fault`] that names the key of the config.
    pub fn open(&self, environment: &Environment) -> Result<policies::Seal, Fault> {
        if self.keys.is_empty() {
            return Err(Fault::at("seal.keys", "there is no key").with_hint(
                "write one with `openssl rand -base64 32 > FILE` and refer to it as `file:FILE`",
            ));
        }
        let resolve = |(index, reference): (usize, &SecretReference)| {
            reference
                .resolve(environment)
                .map_err(|reason| Fault::at(format!("seal.keys[{index}]"), reason))
        };
        let keys = self
            .keys
            .iter()
            .enumerate()
            .map(resolve)
            .collect::<Result<Vec<_>, _>>()?;
        policies::Seal::from_keys(&keys).map_err(|error| match error {
            policies::Error::SealKey { position: 0, reason } => Fault::at("seal.keys", reason),
            policies::Error::SealKey { position, reason } => {
                Fault::at(format!("seal.keys[{}]", position - 1), reason)
            }
            other => Fault::at("seal.keys", other.to_string()),
        })
    }
}

/// Where a secret is: `file:PATH` or `env:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// The content of a file, without blanks and line ends around it.
    File(PathBuf),
    /// The value of a variable.
    Environment(String),
}

impl SecretReference {
    /// Fetches the secret.
    ///
    /// # Errors
    /// A sentence that names the file or the variable.
    pub fn resolve(&self, environment: &Environment) -> Result<Secret, String> {
        let text = match self {
            Self::File(path) => fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
            Self::Environment(name) => environment
                .get(name)
                .map(str::to_owned)
                .ok_or_else(|| format!("the variable {name} is not set"))?,
        };
        if text.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(Secret::new(text))
    }
}

impl FromStr for SecretReference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            // The text is not repeated: it may be the secret itself.
            _ => Err("a secret is a reference, `file:PATH` or `env:NAME`"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretReference {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(de::Error::custom)
    }
}
