//! An issuer's keys over time: fetched once for all callers who wait, never more often than the config says, kept while
//! the issuer does not answer, and given up after a day of that.
//!
//! Invariants:
//! * One fetch at a time, and at least `keys_retry` between the starts of two, whatever tokens come: a storm of unknown
//!   key names costs the issuer one call.
//! * A fetch belongs to nobody: it goes on when the caller who caused it leaves.
//! * A fetch that fails changes nothing. Keys older than `keys_stale_max` check no token.

use super::config::{Algorithm, Issuer};
use super::jwks::{Key, KeySet};
use crate::clock::Clock;
use crate::error::{Error, Result};
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// Where keys come from.
#[async_trait]
pub(super) trait KeySource: Debug + Send + Sync {
    /// Fetches the keys, and how long the source says they are good.
    ///
    /// # Errors
    /// A sentence for the log.
    async fn fetch(&self) -> std::result::Result<(KeySet, Option<Duration>), String>;
}

/// The keys that were fetched last.
#[derive(Debug)]
struct Fetched {
    keys: KeySet,
    at: Instant,
    /// When to fetch again, by age.
    good_for: Duration,
}

#[derive(Debug, Default)]
struct State {
    fetched: Option<Arc<Fetched>>,
    /// When the last fetch began.
    tried: Option<Instant>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeyRing {
    name: String,
    source: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
    retry: Duration,
    stale_max: Duration,
    state: Mutex<State>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl KeyRing {
    pub(super) fn new(
        name: &str,
        issuer: &Issuer,
        source: Arc<dyn KeySource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            source,
            clock,
            refresh: issuer.keys_refresh,
            retry: issuer.keys_retry,
            stale_max: issuer.keys_stale_max,
            state: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// Fetches the keys if there are none.
    pub(super) async fn warm(self: &Arc<Self>) {
        if self.usable().is_none() {
            self.fetch_once().await;
        }
    }

    /// Whether there are keys that may be used.
    pub(super) fn is_open(&self) -> bool {
        self.usable().is_some()
    }

    /// The key for a token.
    ///
    /// # Errors
    /// [`Error::Token`] when the issuer has no such key, [`Error::Issuer`] when its keys cannot be had.
    pub(super) async fn key(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>> {
        if let Some(fetched) = self.usable() {
            let key = fetched.keys.find(id, algorithm);
            if self.age(&fetched) > fetched.good_for {
                self.fetch_behind();
            }
            if let Some(key) = key {
                return Ok(key);
            }
        }
        self.fetch_once().await;
        let closed = || Error::Issuer {
            name: self.name.clone(),
        };
        let fetched = self.usable().ok_or_else(closed)?;
        fetched.keys.find(id, algorithm).ok_or(Error::Token)
    }

    fn usable(&self) -> Option<Arc<Fetched>> {
        let fetched = self.state().fetched.as_ref().map(Arc::clone)?;
        (self.age(&fetched) <= self.stale_max).then_some(fetched)
    }

    fn age(&self, fetched: &Fetched) -> Duration {
        self.clock.steady().saturating_duration_since(fetched.at)
    }

    /// Whether a fetch may begin now.
    fn may_try(&self) -> bool {
        let now = self.clock.steady();
        let tried = self.state().tried;
        tried.is_none_or(|tried| now.saturating_duration_since(tried) >= self.retry)
    }

    /// Waits for the fetch that is under way, or makes one if the time has come.
    async fn fetch_once(self: &Arc<Self>) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(fetch) = self.begin(turn) {
            // It fails only if the runtime ends, and then nobody waits.
            drop(fetch.await);
        }
    }

    /// Makes a fetch that nobody waits for, unless one is under way.
    fn fetch_behind(self: &Arc<Self>) {
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            drop(self.begin(turn));
        }
    }

    /// Begins a fetch, if the time has come. It ends by the timeouts of its source.
    fn begin(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Option<tokio::task::JoinHandle<()>> {
        if !self.may_try() {
            return None;
        }
        self.state().tried = Some(self.clock.steady());
        let ring = Arc::clone(self);
        Some(tokio::spawn(async move {
            let _turn = turn;
            match ring.source.fetch().await {
                Ok((keys, good_for)) => ring.take(keys, good_for),
                Err(problem) => tracing::error!(
                    issuer = ring.name,
                    problem,
                    "the keys were not fetched; those of before stay in force for their time"
                ),
            }
        }))
    }

    fn take(&self, keys: KeySet, good_for: Option<Duration>) {
        let fetched = Fetched {
            keys,
            at: self.clock.steady(),
            good_for: good_for.unwrap_or_default().clamp(self.refresh, self.stale_max),
        };
        tracing::info!(issuer = self.name, "keys fetched");
        self.state().fetched = Some(Arc::new(fetched));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
