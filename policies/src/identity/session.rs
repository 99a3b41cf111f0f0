//! Sessions of password users: how long a token of ours is good.
//!
//! A token is good for `session_idle` after it was made or used, and never longer than `session_max` after the password
//! was shown. That it was made is in the token; that it was used is remembered here. On a fleet each gateway remembers
//! its own callers: a client that moves to another one within the idle time of its token goes on, a later one logs in
//! again.

use crate::clock::Clock;
use crate::error::{Error, Result};
use aws_lc_rs::rand;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Sessions remembered at a time, 32 bytes each. Beyond it the quietest tenth is forgotten.
const SESSIONS_MAX: usize = 100_000;

/// A session: one login, whatever tokens came out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub(super) id: [u8; 16],
    pub(super) began: SystemTime,
}

impl Session {
    pub(super) fn begin(now: SystemTime) -> Result<Self> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| Error::Internal {
            operation: "naming a session",
        })?;
        Ok(Self { id, began: now })
    }
}

/// When each session was used last.
#[derive(Debug)]
pub(super) struct Sessions {
    idle: Duration,
    clock: Arc<dyn Clock>,
    used: Mutex<HashMap<[u8; 16], Instant>>,
}

impl Sessions {
    pub(super) fn new(idle: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            idle,
            clock,
            used: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the session was used within the idle time.
    pub(super) fn is_awake(&self, session: &Session) -> bool {
        let now = self.clock.steady();
        let used = self.used().get(&session.id).copied();
        used.is_some_and(|used| now.saturating_duration_since(used) < self.idle)
    }

    /// The session is used now.
    pub(super) fn touch(&self, session: &Session) {
        let now = self.clock.steady();
        let mut used = self.used();
        if used.len() >= SESSIONS_MAX && !used.contains_key(&session.id) {
            used.retain(|_, used| now.saturating_duration_since(*used) < self.idle);
            if used.len() >= SESSIONS_MAX {
                let mut times: Vec<Instant> = used.values().copied().collect();
                let (_, limit, _) = times.select_nth_unstable(SESSIONS_MAX / 10);
                let limit = *limit;
                used.retain(|_, used| *used > limit);
            }
        }
        used.insert(session.id, now);
    }

    fn used(&self) -> MutexGuard<'_, HashMap<[u8; 16], Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{SESSIONS_MAX, Session, Sessions};
    use crate::clock::tests::StillClock;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_memory_is_bounded_and_keeps_the_busiest() {
        let clock = Arc::new(StillClock::new());
        let sessions = Sessions::new(Duration::from_secs(900), Arc::clone(&clock) as _);
        let session = |index: usize| Session {
            id: (index as u128).to_le_bytes(),
            began: SystemTime::UNIX_EPOCH,
        };
        for index in 0..=SESSIONS_MAX {
            sessions.touch(&session(index));
            clock.pass(Duration::from_micros(1));
        }
        assert!(sessions.used().len() <= SESSIONS_MAX);
        assert!(!sessions.is_awake(&session(0)));
        assert!(sessions.is_awake(&session(SESSIONS_MAX)));
    }
}
