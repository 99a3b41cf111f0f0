//! Keys over HTTP: the discovery document (OpenID Connect Discovery 1.0, section 4), then the keys it points at.
//!
//! Invariants: https only, except on this machine; no redirect is followed; a discovered address lies at the issuer's
//! own origin, so that a document cannot send us elsewhere; every answer is bounded in bytes and in time.

use super::config::{Issuer, url_fault};
use super::jwks::KeySet;
use super::keyring::KeySource;
use crate::error::{Error, Result};
use async_trait::async_trait;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};
use serde::Deserialize;
use std::fs;
use std::time::Duration;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use url::Url;

/// The longest discovery or key document.
const BYTES_MAX: usize = 256 * 1024;

const CONNECT_MAX: Duration = Duration::from_secs(3);

/// One whole answer. A caller with an unknown key waits for two of them at most.
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// An issuer that answers over HTTP.
#[derive(Debug)]
pub(super) struct Http {
    issuer: String,
    jwks: Option<String>,
    client: Client,
}

impl Http {
    pub(super) fn new(issuer: &Issuer) -> Result<Self> {
        let failed = || Error::Internal {
            operation: "making an HTTP client for an issuer",
        };
        // The client asks the process for its cryptography. Another part may have set it before, which is as good.
        let _ours_or_theirs = default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .user_agent("lakegate");
        if let Some(path) = &issuer.ca {
            let file = |source| Error::File {
                path: path.clone(),
                action: "read",
                source,
            };
            let pem = fs::read(path).map_err(file)?;
            let authorities = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|found| !found.is_empty());
            let authorities = authorities.ok_or_else(|| Error::Document {
                path: path.clone(),
                line: None,
                reason: "holds no certificate in PEM form".to_owned(),
            })?;
            builder = builder.tls_built_in_root_certs(false);
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        Ok(Self {
            issuer: issuer.issuer.clone(),
            jwks: issuer.jwks.clone(),
            client: builder.build().map_err(|_| failed())?,
        })
    }

    async fn discover(&self) -> std::result::Result<String, String> {
        let base = self.issuer.trim_end_matches('/');
        let (bytes, _) = self
            .get(&format!("{base}/.well-known/openid-configuration"))
            .await?;
        let found: Discovery = serde_json::from_slice(&bytes)
            .map_err(|error| format!("the discovery document cannot be read: {error}"))?;
        if found.issuer != self.issuer {
            return Err("the discovery document is that of another issuer".to_owned());
        }
        if let Some(reason) = url_fault(&found.jwks_uri) {
            return Err(format!("the discovered jwks_uri {reason}"));
        }
        let origin = |text: &str| Url::parse(text).map(|url| url.origin()).ok();
        if origin(&found.jwks_uri) != origin(&self.issuer) {
            return Err(
                "the discovered jwks_uri lies elsewhere; if that is right, set it as `jwks`".to_owned(),
            );
        }
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: &str) -> std::result::Result<(Vec<u8>, HeaderMap), String> {
        let failed = |error: reqwest::Error| format!("{url} does not answer: {}", causes(&error));
        let sent = self.client.get(url).header(ACCEPT, "application/json").send();
        let mut response = sent.await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(format!("{url} answers with {}", response.status()));
        }
        let headers = response.headers().clone();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(format!("{url} answers with more than {BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, headers))
    }
}

#[async_trait]
impl KeySource for Http {
    async fn fetch(&self) -> std::result::Result<(KeySet, Option<Duration>), String> {
        let url = match &self.jwks {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let (bytes, headers) = self.get(&url).await?;
        Ok((KeySet::parse(&bytes)?, max_age(&headers)))
    }
}

/// `Cache-Control: max-age=N`.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = text
        .split(',')
        .find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
