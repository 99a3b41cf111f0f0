//! The section `[tls]`.

use super::fault::Fault;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The certificate of the Flight and REST listeners. Without one they are plaintext.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate chain, PEM, leaf first.
    pub certificate: Option<PathBuf>,
    /// The private key, PEM.
    pub key: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub minimum_version: MinimumVersion,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum MinimumVersion {
    /// TLS 1.2 and 1.3.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 alone.
    #[default]
    #[serde(rename = "1.3")]
    Tls13,
}

impl Tls {
    /// Certificate and key, if TLS is on.
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }

    /// Refuses one without the other.
    ///
    /// # Errors
    /// A [`Fault`] with the key that is missing.
    pub fn validate(&self) -> Result<(), Fault> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(Fault::at("tls.key", "the key of `tls.certificate` is missing")),
            (None, Some(_)) => Err(Fault::at(
                "tls.certificate",
                "the certificate of `tls.key` is missing",
            )),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}
