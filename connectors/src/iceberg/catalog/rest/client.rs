//! Requests to a REST catalog: tokens, retries, bounds and failures.
//!
//! Invariants:
//! - A token is renewed before it ends, and once more when the catalog no longer takes it.
//! - An answer is read within a bound; what a catalog says of a failure goes to the log and not to the caller.

use super::config::{Config, invalid, renamed};
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use url::Url;

/// A token is renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token is used that does not say when it ends.
const UNTOLD: Duration = Duration::from_secs(15 * 60);
/// The largest answer about a token, in bytes.
const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// The wait before a request is sent again, which doubles each time.
const BACKOFF: Duration = Duration::from_millis(100);

/// A client of one catalog. Clones share everything.
#[derive(Clone)]
pub(super) struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    source_name: String,
    base: Url,
    config: Config,
    http: reqwest::Client,
    token: Mutex<Option<Token>>,
    bytes_max: u64,
    io: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("source", &self.inner.source_name)
            .field("base", &self.inner.base.as_str())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// A body, with its entity tag.
    Found(Bytes, Option<String>),
    /// What the tag of the request names is still there.
    Unchanged,
    /// There is no such thing.
    Missing,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the catalog's address, without a slash at its start.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

impl Ask {
    /// A request that only looks.
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// The same, for what is no longer as `tag` names it.
    pub(super) fn unless(mut self, tag: Option<&str>) -> Self {
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
            self.headers.insert(IF_NONE_MATCH, tag);
        }
        self
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Client {
    /// A client of the catalog at `base`; asks nothing yet.
    pub(super) fn new(
        source_name: &str,
        base: &Url,
        config: &Config,
        bytes_max: u64,
        io: Handle,
    ) -> Result<Self> {
        let _inside = io.enter();
        let http = reqwest::Client::builder()
            .user_agent(concat!("lakegate/", env!("CARGO_PKG_VERSION")))
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            // A catalog that sends us elsewhere would be sent our token there.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|cause| Error::Internal {
                doing: "setting up HTTP",
                cause: Box::new(cause),
            })?;
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                source_name: source_name.to_owned(),
                base,
                config: config.clone(),
                http,
                token: Mutex::new(None),
                bytes_max,
                io: io.clone(),
            }),
        })
    }

    /// Sends a request and reads the answer, on the runtime that waits for sockets.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the catalog does not answer, or not with what was asked for.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer> {
        let client = self.clone();
        let asked = self.inner.io.spawn(async move { client.ask_here(&ask).await });
        asked.await.map_err(|cause| Error::Internal {
            doing: "asking a catalog",
            cause: Box::new(cause),
        })?
    }

    /// As [`Client::ask`], with the body read as JSON.
    pub(super) async fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<Option<T>> {
        let path = ask.path.clone();
        match self.ask(ask).await? {
            Answer::Found(body, _) => {
                let parsed = serde_json::from_slice(&body);
                parsed.map(Some).map_err(|cause| self.failure(&path, cause))
            }
            Answer::Unchanged | Answer::Missing => Ok(None),
        }
    }

    /// The failure of a request for `path`.
    pub(super) fn failure(&self, path: &str, cause: impl Into<crate::error::Cause>) -> Error {
        let base = self.inner.base.as_str();
        Error::Unavailable {
            source_name: self.inner.source_name.clone(),
            path: format!("{base}{}", path.split('?').next().unwrap_or_default()),
            cause: cause.into(),
        }
    }

    async fn ask_here(&self, ask: &Ask) -> Result<Answer> {
        let mut wait = BACKOFF;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let sent = self.send(ask).await;
            tries += 1;
            let failure = match sent {
                Ok(answer) => match answer.status() {
                    status if status.is_success() => {
                        let tag = answer.headers().get(ETAG);
                        let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                        let body = self.body(answer, self.inner.bytes_max, &ask.path).await?;
                        return Ok(Answer::Found(body, tag));
                    }
                    StatusCode::NOT_MODIFIED => return Ok(Answer::Unchanged),
                    StatusCode::NOT_FOUND => return Ok(Answer::Missing),
                    // Iceberg's catalogs say 419 for a token that has ended.
                    status if (status == 401 || status == 419) && !renewed => {
                        renewed = true;
                        *self.inner.token.lock().await = None;
                        continue;
                    }
                    status => {
                        let said = self
                            .body(answer, TOKEN_BYTES_MAX, &ask.path)
                            .await
                            .unwrap_or_default();
                        let said = String::from_utf8_lossy(&said).into_owned();
                        tracing::debug!(source = %self.inner.source_name, %status, said, "a catalog refused");
                        let error = self.failure(&ask.path, format!("the catalog answers {status}"));
                        match is_passing(status) {
                            true => error,
                            false => return Err(error),
                        }
                    }
                },
                Err(error) => error,
            };
            // A request that changes something may have done so: whoever sent it has to look.
            if tries > self.inner.config.retries_max || ask.method != Method::GET {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    async fn send(&self, ask: &Ask) -> Result<reqwest::Response> {
        let url = self
            .inner
            .base
            .join(&ask.path)
            .map_err(|cause| self.failure(&ask.path, cause))?;
        let mut request = self
            .inner
            .http
            .request(ask.method.clone(), url)
            .headers(ask.headers.clone());
        if let Some(header) = self.token().await? {
            request = request.header(AUTHORIZATION, header);
        }
        if let Some(body) = &ask.body {
            request = request
                .header("content-type", "application/json")
                .body(body.clone());
        }
        // Its text may have the address with what was asked for, and no more.
        let sent = request.send().await;
        sent.map_err(|cause| self.failure(&ask.path, cause.without_url()))
    }

    /// The bytes of an answer, up to `bytes_max`.
    async fn body(&self, mut answer: reqwest::Response, bytes_max: u64, path: &str) -> Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let part = answer
                .chunk()
                .await
                .map_err(|cause| self.failure(path, cause.without_url()))?;
            let Some(part) = part else {
                return Ok(body.freeze());
            };
            body.extend_from_slice(&part);
            if body.len() as u64 > bytes_max {
                return Err(self.failure(path, format!("the answer is longer than {bytes_max} bytes")));
            }
        }
    }

    /// What stands in the header of a request; none where the catalog is open to all.
    async fn token(&self) -> Result<Option<HeaderValue>> {
        let config = &self.inner.config;
        if let Some(token) = &config.token {
            let token = token.read().await.map_err(|error| renamed(error, "token"))?;
            return bearer(&token, "token").map(Some);
        }
        let Some(credential) = &config.credential else {
            return Ok(None);
        };
        let mut held = self.inner.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(Some(token.header.clone()));
        }
        let credential = credential
            .read()
            .await
            .map_err(|error| renamed(error, "credential"))?;
        let token = self.renew(&credential).await?;
        let header = token.header.clone();
        *held = Some(token);
        Ok(Some(header))
    }

    async fn renew(&self, credential: &str) -> Result<Token> {
        let (id, secret) = credential
            .split_once(':')
            .ok_or_else(|| invalid("credential", "is not of the form ID:SECRET"))?;
        let path = "v1/oauth/tokens";
        let url = match &self.inner.config.oauth2_server_uri {
            Some(server) => Url::parse(server),
            None => self.inner.base.join(path),
        };
        let url = url.map_err(|cause| self.failure(path, cause))?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", id)
            .append_pair("client_secret", secret)
            .append_pair("scope", &self.inner.config.scope)
            .finish();
        let request = self.inner.http.post(url);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let sent = request.send().await;
        let answer = sent.map_err(|cause| self.failure(path, cause.without_url()))?;
        let status = answer.status();
        let body = self.body(answer, TOKEN_BYTES_MAX, path).await?;
        if !status.is_success() {
            return Err(self.failure(path, format!("no token is given: {status}")));
        }
        // What could not be read may hold a token, so the parser's words are not passed on.
        let given: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| self.failure(path, "the answer holds no token"))?;
        let good = given.expires_in.map_or(UNTOLD, Duration::from_secs);
        // A token that is good for less than the margin is used for half of its time.
        let used = good
            .checked_sub(MARGIN)
            .filter(|used| !used.is_zero())
            .unwrap_or(good / 2);
        Ok(Token {
            header: bearer(&given.access_token, "credential")?,
            renew_at: Instant::now() + used,
        })
    }
}

fn bearer(token: &str, key: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| invalid(key, "gives a token that no header can hold"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Whether the same request may be answered later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}
