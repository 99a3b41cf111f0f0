//! How many requests a minute a caller may make. The rule is GCRA, the generic cell rate algorithm (ITU-T I.371): each
//! request moves a caller's mark ahead of the clock by a minute's share, and one that would move it more than a minute
//! ahead is refused. So a minute's requests may come at once, and after them they come evenly.
//!
//! On a fleet the marks are in Redis, and while Redis does not answer each gateway goes on with its share in its own
//! memory.
//!
//! Invariants: an answer of Redis is waited for as long as the config says and no longer, and after a failure Redis is
//! left alone for a second; the names of callers do not go to Redis, only digests of them; both memories are bounded, the
//! one here by entries, the one there by a life time of a minute.

mod local;
mod store;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use policies::{Principal, Secret};

use crate::config::Rates;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use local::Local;
use store::Store;

/// Bytes of the digest in a key: 128 bits.
const DIGEST_BYTES: usize = 16;

/// How far ahead of the clock a mark may be, in microseconds.
const MINUTE: f64 = 60e6;

/// What the rule says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Requests a minute.
    pub(crate) limit: u64,
    /// Whole requests that are left now.
    pub(crate) remaining: u64,
    /// When all of them are there again.
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

    /// What a mark says that is so many microseconds `ahead` of the clock after this request, which had room or not.
    fn of(limit: u64, ahead: f64, is_taken: bool) -> Self {
        let step = step(limit);
        let time = |micros: f64| Duration::try_from_secs_f64(micros.max(0.0) / 1e6).unwrap_or_default();
        Self {
            limit,
            // A rounding error must not take a request away.
            remaining: ((MINUTE - ahead) / step + 1e-6).max(0.0) as u64,
            reset: time(ahead),
            wait: (!is_taken).then(|| time(ahead + step - MINUTE)),
        }
    }
}

/// How far one request moves the mark, in microseconds.
fn step(limit: u64) -> f64 {
    MINUTE / limit.max(1) as f64
}

/// The marks of all callers.
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
    /// `Setting` when the URL of the fleet's Redis is none.
    pub(crate) fn new(rates: &Rates, redis: Option<Secret>, metrics: Metrics) -> planner::Result<Self> {
        Ok(Self {
            rates: rates.clone(),
            local: Local::default(),
            store: match redis {
                Some(url) => Some(Store::new(&url, rates.redis_wait_max)?),
                None => None,
            },
            metrics,
        })
    }

    /// Takes one request of the caller's; none for a caller without a tier.
    ///
    /// # Errors
    /// `RateLimited` with what the rule said, when there was no room.
    pub(crate) async fn take(&self, principal: &Principal) -> Result<Option<Room>> {
        let Some((tier, limit)) = self.rates.tier(principal) else {
            return Ok(None);
        };
        let key = name(principal.tenant(), principal.subject(), limit);
        let room = match &self.store {
            Some(store) => match store.take(&key, limit).await {
                Some(room) => room,
                None => self.local.take(&key, self.rates.share(limit)),
            },
            // Nobody else counts.
            None => self.local.take(&key, limit),
        };
        if room.wait.is_some() {
            self.metrics.rate_limited(tier);
            return Err(Error::RateLimited { room });
        }
        Ok(Some(room))
    }

    /// Whether Redis has answered the last request; none without one.
    pub(crate) fn is_shared(&self) -> Option<bool> {
        self.store.as_ref().map(Store::is_up)
    }
}

/// The name of a mark. The limit is part of it: one who comes now with one tier and now with another has two marks, and
/// neither makes the other new.
fn name(tenant: &str, subject: &str, limit: u64) -> String {
    let mut text = limit.to_le_bytes().to_vec();
    for part in [tenant, subject] {
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
    use super::{Room, name};
    use std::time::Duration;

    #[test]
    fn a_mark_is_one_callers_and_does_not_tell_whose() {
        let one = name("acme", "ada", 100);
        assert!(!one.contains("ada") && !one.contains("acme"), "{one}");
        assert_eq!(one, name("acme", "ada", 100));
        for other in [
            name("acm", "eada", 100),
            name("globex", "ada", 100),
            name("acme", "ada", 1_000),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_is_left_is_told_in_whole_requests_and_seconds() {
        // Seven a minute do not divide it evenly.
        for limit in [1, 7, 100, 10_000] {
            let step = super::step(limit);
            for taken in 1..=limit.min(200) {
                let room = Room::of(limit, step * taken as f64, true);
                assert_eq!(room.remaining, limit - taken, "{taken} of {limit}");
            }
        }
        let full = Room::of(100, 60e6, false);
        assert_eq!((full.remaining, full.wait), (0, Some(Duration::from_millis(600))));
        assert_eq!(full.headers().map(|(_, value)| value), [100, 0, 60]);
    }
}
