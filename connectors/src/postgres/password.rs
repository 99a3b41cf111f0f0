//! Where the password of a source is.
//!
//! Invariants:
//! - The config refers to a password; only [`Password::Known`] holds one, and it is neither printed nor written.
//! - A file is read anew for each connection: a password may change while the gateway runs.

use super::config::invalid;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::fmt;
use std::path::PathBuf;

/// A reference to a password: `file:PATH` or `env:NAME`.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The content of a file, without blanks and line ends around it.
    File(PathBuf),
    /// The value of a variable, which [`crate::SourceConfig::fill_secrets`] replaces by [`Password::Known`].
    Environment(String),
    /// The password itself.
    Known(String),
}

impl Password {
    pub(crate) fn fill(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
        if let Self::Environment(name) = self {
            let unset = || invalid("password", &format!("the variable {name} is not set"));
            *self = Self::Known(variable(name).ok_or_else(unset)?);
        }
        Ok(())
    }

    /// The password. Reads a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file cannot be read or the variable was never filled in.
    pub(crate) async fn read(&self) -> Result<String> {
        match self {
            Self::Known(password) => Ok(password.clone()),
            Self::Environment(name) => Err(invalid("password", &format!("the variable {name} is not set"))),
            Self::File(path) => {
                let read = tokio::fs::read_to_string(path).await;
                let unreadable = |error: std::io::Error| {
                    invalid("password", &format!("{} cannot be read: {error}", path.display()))
                };
                read.map(|text| text.trim().to_owned()).map_err(unreadable)
            }
        }
    }
}

impl TryFrom<&str> for Password {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            // The text is not repeated: it may be the password itself.
            _ => Err(invalid("password", "is a reference, `file:PATH` or `env:NAME`")),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Known(_) => f.write_str("(hidden)"),
        }
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Known(_) => Err(ser::Error::custom("a password is not written down")),
            reference => to.serialize_str(&format!("{reference:?}")),
        }
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::try_from(text.as_str())
            .map_err(|_| de::Error::custom("a secret is a reference, `file:PATH` or `env:NAME`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_a_reference_and_never_printed() {
        assert!(Password::try_from("hunter2").is_err());
        assert!(
            !Password::try_from("hunter2")
                .unwrap_err()
                .to_string()
                .contains("hunter2")
        );
        let mut password = Password::try_from("env:PW").unwrap();
        assert!(password.read().await.is_err());
        assert!(password.fill(|_| None).unwrap_err().to_string().contains("PW"));
        password.fill(|name| Some(format!("value of {name}"))).unwrap();
        assert_eq!(password.read().await.unwrap(), "value of PW");
        assert_eq!(format!("{password:?}"), "(hidden)");
        assert!(serde_json::to_string(&password).is_err());
    }

    #[tokio::test]
    async fn a_file_is_read_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = format!("file:{}", file.path().display());
        let password = Password::try_from(reference.as_str()).unwrap();
        for text in ["one", "two"] {
            std::fs::write(file.path(), format!("{text}\n")).unwrap();
            assert_eq!(password.read().await.unwrap(), text);
        }
    }
}
