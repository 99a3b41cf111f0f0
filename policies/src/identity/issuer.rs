//! Callers of an OIDC issuer: a signed token in, a principal out.
//!
//! The gateway is a resource server and nothing more: it reads the issuer's keys and checks tokens with them. It never
//! sees a password, a code or a refresh token of the issuer.
//!
//! Invariants:
//! * What decides is the config, never the token: the algorithms, the audience, the claims that are roles. A token's
//!   `jwk`, `jku`, `x5u` and `x5c` are not read.
//! * Whatever is wrong with a token gives [`Error::Token`], except that one whose time is over says so.
//! * Nothing is fetched for a token whose issuer, algorithm, audience or time is wrong.

mod claims;
mod config;
mod fetch;
mod jwks;
mod keyring;
mod token;

pub use config::{Algorithm, AttributeClaim, AttributeType, Issuer};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::principal::Principal;
use crate::secret::Secret;
use claims::Claims;
use keyring::KeyRing;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a token of an issuer proved.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) principal: Principal,
    /// The issuer's name in the config.
    pub(super) issuer: String,
    /// The `sub` claim.
    pub(super) subject: String,
    /// The `jti` claim.
    pub(super) id: Option<String>,
    /// The `iat` claim.
    pub(super) issued: Option<SystemTime>,
}

#[derive(Debug)]
struct Trusted {
    name: String,
    config: Issuer,
    keys: Arc<KeyRing>,
}

/// The issuers of the config.
#[derive(Debug)]
pub(super) struct Issuers {
    by_url: BTreeMap<String, Trusted>,
    clock: Arc<dyn Clock>,
}

impl Issuers {
    /// Takes the issuers over; nothing is fetched yet.
    pub(super) fn new(config: &BTreeMap<String, Issuer>, clock: &Arc<dyn Clock>) -> Result<Self> {
        let mut by_url = BTreeMap::new();
        for (name, issuer) in config {
            let keys = KeyRing::new(
                name,
                issuer,
                Arc::new(fetch::Http::new(issuer)?),
                Arc::clone(clock),
            );
            let trusted = Trusted {
                name: name.clone(),
                config: issuer.clone(),
                keys: Arc::new(keys),
            };
            by_url.insert(issuer.issuer.clone(), trusted);
        }
        Ok(Self {
            by_url,
            clock: Arc::clone(clock),
        })
    }

    /// Fetches the keys of every issuer that has none yet. What fails is logged and tried again when a token comes.
    pub(super) async fn warm(&self) {
        for trusted in self.by_url.values() {
            trusted.keys.warm().await;
        }
    }

    /// Each issuer's name in the config, and whether its keys are there and fresh enough to check a token with.
    pub(super) fn standing(&self) -> Vec<(String, bool)> {
        let of = |trusted: &Trusted| (trusted.name.clone(), trusted.keys.is_open());
        self.by_url.values().map(of).collect()
    }

    /// Checks a token.
    pub(super) async fn check(&self, text: &Secret) -> Result<Proven> {
        let token = token::Token::parse(text.expose())?;
        let claims = Claims::parse(token.payload())?;
        let trusted = self.by_url.get(claims.issuer()).ok_or(Error::Token)?;
        let algorithm = token.algorithm();
        if !trusted.config.algorithms.contains(&algorithm) || !trusted.config.takes_type(token.kind()) {
            return Err(Error::Token);
        }
        claims.check(&trusted.config, self.clock.wall())?;
        let key = trusted.keys.key(token.key_id(), algorithm).await?;
        if !token.is_signed_by(&key) {
            return Err(Error::Token);
        }
        let principal = claims
            .principal(&trusted.name, &trusted.config)
            .map_err(|problem| {
                // Only a token that the issuer has signed comes here, so the log cannot be flooded from outside.
                tracing::warn!(
                    issuer = trusted.name,
                    problem,
                    "a token's claims do not fit the config"
                );
                Error::Token
            })?;
        Ok(Proven {
            principal,
            issuer: trusted.name.clone(),
            subject: claims.subject().to_owned(),
            id: claims.id().map(str::to_owned),
            issued: claims.issued(),
        })
    }
}

/// Seconds since 1970 as a time; none beyond what the clock can hold.
fn at(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests;
