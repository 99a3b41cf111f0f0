//! The section `[tls]`.

use super::fault::Fault;
use serde::Deserialize;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error as TlsError, InconsistentKeys};

/// Permissions that a private key's file must not give: writing to its group, anything to everybody. A group may read,
/// as it does where the system hands keys to a service (mode 0640), and where Kubernetes mounts a secret (mode 0440).
const LOOSE: u32 = 0o027;

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
    /// The authorities that may sign client certificates (PEM); without them no client certificate is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused before it can say anything.
    pub client_required: bool,
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

    /// Checks the files: both can be read, the key is kept from others, and it is that of the certificate.
    ///
    /// # Errors
    /// A [`Fault`] with the key whose file is at fault, and the file.
    pub fn check(&self) -> Result<(), Fault> {
        let Some((certificate, key)) = self.pair() else {
            return Ok(());
        };
        let chain = chain(certificate).map_err(|reason| named("tls.certificate", certificate, &reason))?;
        let at_key = |reason: &str| named("tls.key", key, reason);
        let metadata = fs::metadata(key).map_err(|error| at_key(&format!("cannot be read: {error}")))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & LOOSE != 0 {
            return Err(at_key(&format!(
                "has mode {mode:04o}, which lets others at the private key"
            ))
            .with_hint(format!("`chmod 600 {}`", key.display())));
        }
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| at_key(&unread(&error, "private key")))?;
        if let Some(path) = &self.client_ca {
            self::chain(path).map_err(|reason| named("tls.client_ca", path, &reason))?;
        }
        match CertifiedKey::from_der(chain, private, &default_provider()) {
            Ok(_) => Ok(()),
            Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(at_key("is not the key of the certificate in `tls.certificate`"))
            }
            Err(TlsError::InvalidCertificate(problem)) => Err(named(
                "tls.certificate",
                certificate,
                &format!("is not a good certificate: {problem:?}"),
            )),
            Err(error) => Err(at_key(&format!("cannot be used: {error}"))),
        }
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
            (None, None) if self.client_ca.is_some() => Err(Fault::at(
                "tls.client_ca",
                "needs `tls.certificate` and `tls.key`: there is no client certificate without TLS",
            )),
            _ if self.client_required && self.client_ca.is_none() => Err(Fault::at(
                "tls.client_required",
                "needs `tls.client_ca`: nobody could be let in",
            )),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

/// The certificates of a file, at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unread(&error, "certificate"))?;
    if certificates.is_empty() {
        return Err("holds no certificate in PEM form".to_owned());
    }
    Ok(certificates)
}

/// Why a PEM file gave nothing; the parser's own words could repeat a part of a key.
fn unread(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        _ => format!("holds no {what} in PEM form"),
    }
}

fn named(key: &str, path: &Path, reason: &str) -> Fault {
    Fault::at(key, format!("{} {reason}", path.display()))
}
