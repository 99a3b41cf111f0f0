//! How many requests a minute a caller may make. Each tier has a bucket that fills evenly over the minute; on a fleet the
//! buckets are in Redis, and while Redis does not answer each gateway goes on with its share in its own memory.
//!
//! Invariants: an answer of Redis is waited for as long as the config says and no longer, and after a failure Redis is
//! left alone for a second; the names of callers do not go to Redis, only digests of them; both memories are bounded, the
//! one here by entries, the one there by a life time of a minute.

mod local;
mod store;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use policies::Principal;

use crate::config::{Environment, Fault, Rated, Rates};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use local::Local;
use store::Store;

/// Digits of the digest in a key: 128 bits.
const DIGEST_BYTES: usize = 16;

/// What a bucket says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Requests a minute.
    pub(crate) limit: u64,
    /// Whole requests that are left now.
    pub(crate) remaining: u64,
    /// When the bucket is full again.
    pub(crate) reset: Duration,
    /// When there is room for one more; none when there was room for this one.
    pub(crate) wait: Option<Duration>,
}

impl Room {
    /// The headers that tell it (draft-ietf-httpapi-ratelimit-headers-03: the fields with one number each).
    pub(crate) fn headers(&self) -> [(&'static str, u64); 3] {
        [
            ("ratelimit-limit", self.limit),
            ("ratelimit-remaining", self.remaining),
            // Whole seconds, and not one too early.
            ("ratelimit-reset", self.reset.as_secs_f64().ceil() as u64),
        ]
    }

    /// The room of a bucket that holds `room` requests after this one, which had room or not.
    fn of(limit: u64, room: f64, is_taken: bool) -> Self {
        let rate = limit as f64 / 60.0;
        let time = |requests: f64| Duration::try_from_secs_f64(requests.max(0.0) / rate).unwrap_or_default();
        Self {
            limit,
            remaining: room.max(0.0) as u64,
            reset: time(limit as f64 - room),
            wait: (!is_taken).then(|| time(1.0 - room)),
        }
    }
}

/// The buckets of all callers.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rates: Rates,
    local: Local,
    store: Option<Store>,
    metrics: Metrics,
}

impl RateLimit {
    /// As the config says; nothing is connected to yet.
    ///
    /// # Errors
    /// A `Fault` of the address of Redis or of its secret.
    pub(crate) fn new(rates: &Rates, environment: &Environment, metrics: Metrics) -> Result<Self, Fault> {
        Ok(Self {
            rates: rates.clone(),
            local: Local::default(),
            store: Store::new(rates, environment)?,
            metrics,
        })
    }

    /// Takes one request from the bucket of the caller; none for a caller without a tier.
    ///
    /// # Errors
    /// `RateLimited` with what the bucket said, when it was empty.
    pub(crate) async fn take(&self, principal: &Principal) -> Result<Option<Room>> {
        let Some((tier, limit)) = self.rates.tier(principal.tenant()) else {
            return Ok(None);
        };
        let whose = match self.rates.per {
            Rated::Subject => principal.subject(),
            Rated::Tenant => principal.tenant(),
        };
        let key = name(self.rates.per, principal.tenant(), whose);
        let room = match self.shared(&key, limit).await {
            Some(room) => room,
            None => self.local.take(&key, self.rates.share(limit)),
        };
        match room.wait {
            None => Ok(Some(room)),
            Some(_) => {
                self.metrics.rate_limited(tier);
                Err(Error::RateLimited { room })
            }
        }
    }

    /// What Redis says; none without one and while it does not answer.
    async fn shared(&self, key: &str, limit: u64) -> Option<Room> {
        self.store.as_ref()?.take(key, limit).await
    }
}

/// The name of a bucket.
fn name(per: Rated, tenant: &str, whose: &str) -> String {
    let mut text = Vec::new();
    for part in [per.name(), tenant, whose] {
        // The length first, so that no two callers run together.
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let digest = digest(&SHA256, &text);
    let digits = digest.as_ref().iter().take(DIGEST_BYTES);
    digits.fold("lakegate:rate:".to_owned(), |name, byte| {
        format!("{name}{byte:02x}")
    })
}

#[cfg(test)]
mod tests {
    use super::{Rated, name};

    #[test]
    fn a_bucket_is_one_callers_and_does_not_tell_whose() {
        let one = name(Rated::Subject, "acme", "ada");
        assert!(!one.contains("ada") && !one.contains("acme"), "{one}");
        assert_eq!(one, name(Rated::Subject, "acme", "ada"));
        for other in [
            name(Rated::Subject, "acm", "eada"),
            name(Rated::Subject, "globex", "ada"),
            name(Rated::Tenant, "acme", "ada"),
        ] {
            assert_ne!(one, other);
        }
    }
}
