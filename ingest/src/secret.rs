//! Secrets are referred to, never written down: `file:PATH` or `env:NAME`.
//!
//! Invariant: a reference may be printed; what it refers to is only in a [`policies::Secret`].

use std::path::PathBuf;
use std::str::FromStr;

use policies::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config;
use crate::error::{Error, Result};

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The content of a file, without blanks around it; read anew each time.
    File(PathBuf),
    /// The value of a variable of the environment.
    Environment(String),
}

impl Reference {
    /// The secret; `key` is the key that refers to it, for errors.
    ///
    /// # Errors
    /// [`Error::Secret`] when there is no such file or variable.
    pub fn read(&self, key: &'static str) -> Result<Secret> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|source| Error::Secret {
                key,
                reference: self.to_string(),
                source: Some(source),
            })?,
            Self::Environment(name) => config::variable(name).ok_or_else(|| Error::Secret {
                key,
                reference: self.to_string(),
                source: None,
            })?,
        };
        Ok(Secret::new(text.trim()))
    }
}

impl FromStr for Reference {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            // The text is not repeated: it may be the secret itself.
            _ => Err("holds a text that is no reference, `file:PATH` or `env:NAME`"),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_referred_to_and_never_told() {
        let fault = "hunter2".parse::<Reference>().unwrap_err();
        assert!(!fault.contains("hunter2"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let reference: Reference = format!("file:{}", path.display()).parse().unwrap();
        let missing = reference.read("source.sasl.password").unwrap_err().chain();
        assert!(missing.contains("source.sasl.password"), "{missing}");
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(reference.read("k").unwrap().expose(), "hunter2");
        let unset: Reference = "env:LAKEGATE_NO_SUCH_VARIABLE".parse().unwrap();
        let unset = unset.read("source.sasl.password").unwrap_err().chain();
        assert!(unset.contains("LAKEGATE_NO_SUCH_VARIABLE"), "{unset}");
    }
}
