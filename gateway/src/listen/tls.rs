//! The TLS side of the listeners: the certificate, and which client certificates are taken.
//!
//! Invariants:
//! * A connection keeps what it began with; the next one gets what is in force then.
//! * Files that do not fit together change nothing: what was in force stays, and the caller is told so.
//! * A client certificate is only ever seen by the rest of the house when it was checked against `tls.client_ca`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::config::{MinimumVersion, Tls};
use crate::error::{Error, Result};

/// What tells a file from an earlier one of its name; none when it is not there.
type Mark = Option<(u64, u64, i64, i64)>;

/// TLS as it is in force now.
#[derive(Debug)]
pub(crate) struct TlsDoor {
    config: Tls,
    current: RwLock<Arc<ServerConfig>>,
    marks: Mutex<Vec<Mark>>,
}

impl TlsDoor {
    /// Opens the files; none when no certificate is configured.
    ///
    /// # Errors
    /// `Config` or `Malformed` naming the file that cannot be read or does not fit.
    pub(crate) fn open(config: &Tls) -> Result<Option<Arc<Self>>> {
        if config.pair().is_none() {
            return Ok(None);
        }
        let marks = marks(config);
        Ok(Some(Arc::new(Self {
            config: config.clone(),
            current: RwLock::new(Arc::new(server(config)?)),
            marks: Mutex::new(marks),
        })))
    }

    /// What takes the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(
            &self.current.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Reads the files again. Sessions to be resumed are forgotten, so that nobody goes on with a certificate whose
    /// authority has gone.
    ///
    /// # Errors
    /// As [`TlsDoor::open`]; then what was in force stays.
    pub(crate) fn reload(&self) -> Result<()> {
        let now = marks(&self.config);
        let read = server(&self.config);
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = now;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read?);
        Ok(())
    }

    /// Whether a file is another one than was read last.
    pub(crate) fn has_changed(&self) -> bool {
        let now = marks(&self.config);
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) != now
    }
}

fn marks(config: &Tls) -> Vec<Mark> {
    let mark = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ))
    };
    let files = [&config.certificate, &config.key, &config.client_ca];
    files
        .into_iter()
        .map(|path| path.as_ref().and_then(mark))
        .collect()
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Malformed {
        what: "TLS file",
        problem: format!("{}: {error}", path.display()),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(path, &error))
}

fn server(config: &Tls) -> Result<ServerConfig> {
    config.check()?;
    let Some((certificate, key)) = config.pair() else {
        return Err(Error::Internal {
            message: "TLS without a certificate".to_owned(),
        });
    };
    let chain = certificates(certificate)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let versions: &[&SupportedProtocolVersion] = match config.minimum_version {
        MinimumVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinimumVersion::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| bad(certificate, &error))?;
    let builder = match &config.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, config.client_required)?),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder
        .with_single_cert(chain, key_der)
        .map_err(|error| bad(certificate, &error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}

fn verifier(path: &Path, is_required: bool) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|error| bad(path, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let builder = match is_required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| bad(path, &error))
}
