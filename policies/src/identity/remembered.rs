//! A short memory of pairs that were right, so that a client which sends Basic with each call does not cost a hash each.
//!
//! Invariants: nothing is kept from which a password could be computed (a MAC under a key of this process); the stored
//! hash is part of the MAC, so a changed password is forgotten at once; failures are never remembered; bounded.

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::secret::Secret;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::rand::SystemRandom;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pairs kept at a time; 48 bytes each. The oldest goes when a new one comes.
const PAIRS_MAX: usize = 4096;

/// The mark of user, password and stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair([u8; 32]);

#[derive(Debug)]
pub(super) struct Remembered {
    key: Key,
    time: Duration,
    clock: Arc<dyn Clock>,
    since: Mutex<HashMap<Pair, Instant>>,
}

impl Remembered {
    /// A memory that keeps a pair for `time`; zero keeps nothing.
    pub(super) fn new(time: Duration, clock: Arc<dyn Clock>) -> Result<Self> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error::Internal {
            operation: "drawing a key for passwords",
        })?;
        Ok(Self {
            key,
            time,
            clock,
            since: Mutex::new(HashMap::new()),
        })
    }

    pub(super) fn pair(&self, name: &str, password: &Secret, hash: &str) -> Pair {
        let mut mac = Context::with_key(&self.key);
        for part in [name, password.expose(), hash] {
            // The length first, so that no two triples run together.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        let mut bytes = [0; 32];
        bytes
            .iter_mut()
            .zip(mac.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        Pair(bytes)
    }

    pub(super) fn knows(&self, pair: &Pair) -> bool {
        let now = self.clock.steady();
        self.entries()
            .get(pair)
            .is_some_and(|since| now.duration_since(*since) < self.time)
    }

    pub(super) fn remember(&self, pair: Pair) {
        if self.time.is_zero() {
            return;
        }
        let now = self.clock.steady();
        let mut entries = self.entries();
        if entries.len() >= PAIRS_MAX {
            entries.retain(|_, since| now.duration_since(*since) < self.time);
        }
        if entries.len() >= PAIRS_MAX {
            let oldest = entries.iter().min_by_key(|(_, since)| **since);
            if let Some(oldest) = oldest.map(|(pair, _)| *pair) {
                entries.remove(&oldest);
            }
        }
        entries.insert(pair, now);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Pair, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{PAIRS_MAX, Remembered};
    use crate::clock::tests::StillClock;
    use crate::secret::Secret;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_pair_is_forgotten_in_time_and_by_any_change() {
        let clock = Arc::new(StillClock::new());
        let memory = Remembered::new(Duration::from_secs(60), Arc::clone(&clock) as _).unwrap();
        let pair = |name: &str, password: &str, hash: &str| memory.pair(name, &Secret::new(password), hash);
        memory.remember(pair("ada", "secret", "h1"));
        assert!(memory.knows(&pair("ada", "secret", "h1")));
        for other in [
            pair("ad", "asecret", "h1"),
            pair("ada", "Secret", "h1"),
            pair("ada", "secret", "h2"),
        ] {
            assert!(!memory.knows(&other));
        }
        clock.pass(Duration::from_secs(60));
        assert!(!memory.knows(&pair("ada", "secret", "h1")));
    }

    #[test]
    fn the_memory_is_bounded() {
        let clock = Arc::new(StillClock::new());
        let memory = Remembered::new(Duration::from_secs(60), Arc::clone(&clock) as _).unwrap();
        let pair = |index: usize| memory.pair(&index.to_string(), &Secret::new("x"), "h");
        for index in 0..=PAIRS_MAX {
            memory.remember(pair(index));
            clock.pass(Duration::from_millis(1));
        }
        assert_eq!(memory.entries().len(), PAIRS_MAX);
        assert!(!memory.knows(&pair(0)));
        assert!(memory.knows(&pair(PAIRS_MAX)));
    }
}
