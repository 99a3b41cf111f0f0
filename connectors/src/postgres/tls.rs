//! How a connection to the server is encrypted.
//!
//! Invariants:
//! - `verify-full` accepts only a certificate for the configured host from a known authority.
//! - The other modes encrypt against listeners only, as libpq's modes of the same names do; they are never the default
//!   beyond this machine.

use super::config::{Address, Config, TlsMode, invalid};
use crate::{Error, Result};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// The client's side of TLS.
#[derive(Clone)]
pub(super) enum Tls {
    /// None.
    Plain,
    /// As configured; whether it may be left out says the mode.
    Rustls(SslMode, Box<MakeRustlsConnect>),
}

impl Tls {
    /// The side of one source. Reads the authorities.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are none, [`Error::Internal`] when the cryptography fails.
    pub(super) fn new(config: &Config, address: &Address) -> Result<Self> {
        let mode = match (config.tls()?, address.is_socket()) {
            (TlsMode::Disable, _) => return Ok(Self::Plain),
            // The server speaks no TLS over a Unix socket.
            (TlsMode::Prefer, true) => return Ok(Self::Plain),
            (_, true) => return Err(invalid("tls", "a Unix socket has none; use \"disable\"")),
            (mode, false) => mode,
        };
        match mode {
            TlsMode::VerifyFull => Ok(Self::Rustls(SslMode::Require, Box::new(verifying(config)?))),
            TlsMode::Require => Ok(Self::Rustls(SslMode::Require, Box::new(trusting()?))),
            TlsMode::Disable | TlsMode::Prefer => Ok(Self::Rustls(SslMode::Prefer, Box::new(trusting()?))),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn verifying(config: &Config) -> Result<MakeRustlsConnect> {
    let Some(path) = &config.tls_ca else {
        // The loader of the system's authorities asks the process for its cryptography. Another part may have set it
        // before, which is as good.
        let _ours_or_theirs = aws_lc_rs::default_provider().install_default();
        let found = MakeRustlsConnect::with_native_certs();
        return found
            .map(|(tls, _)| tls)
            .map_err(|_| invalid("tls_ca", "is missing, and the system knows no authorities"));
    };
    let unreadable = |problem: String| invalid("tls_ca", &format!("{}: {problem}", path.display()));
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("holds no certificate".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn trusting() -> Result<MakeRustlsConnect> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn internal(error: TlsError) -> Error {
    Error::Internal {
        doing: "setting up TLS",
        cause: Box::new(error),
    }
}

/// Takes every certificate, but wants proof that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
