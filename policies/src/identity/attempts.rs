//! How often a password may be guessed: by user name, by address, and in all.
//!
//! An attempt takes from three buckets before the hash is computed and gives back when the password was right, so that
//! many attempts at once find no gap. A pair that is remembered as right takes nothing: whoever is in stays in while
//! somebody else guesses at the same name.
//!
//! Invariants: known and unknown names are treated alike; nothing of a name is kept but a keyed hash; the maps are
//! bounded, because each entry stands for an attempt that also took from the bucket of all.

use super::config::Config;
use crate::clock::Clock;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Room for attempts, coming back evenly.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    room: f64,
    at: Instant,
}

#[derive(Debug)]
struct State {
    all: Bucket,
    users: HashMap<u64, Bucket>,
    addresses: HashMap<u64, Bucket>,
}

/// The attempts of late.
#[derive(Debug)]
pub(super) struct Attempts {
    per_user: f64,
    per_address: f64,
    in_all: f64,
    window: Duration,
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    state: Mutex<State>,
}

/// One attempt. It counts as failed unless it is forgiven, so one whose caller went away counts.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    attempts: &'a Attempts,
    user: u64,
    address: Option<u64>,
}

impl Attempts {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let in_all = f64::from(config.failures_max);
        let all = Bucket {
            room: in_all,
            at: clock.steady(),
        };
        Self {
            per_user: f64::from(config.failures_per_user),
            per_address: f64::from(config.failures_per_address),
            in_all,
            window: config.failures_window,
            clock,
            hasher: RandomState::new(),
            state: Mutex::new(State {
                all,
                users: HashMap::new(),
                addresses: HashMap::new(),
            }),
        }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// [`Error::Throttled`] with the time after which there is room again.
    pub(super) fn begin(&self, user: &str, from: Option<IpAddr>) -> Result<Attempt<'_>> {
        let (user, address) = (self.hash(user), from.map(|from| self.hash(network(from))));
        let now = self.clock.steady();
        let mut state = self.state();
        self.forget(&mut state, now);
        let full = |most| Bucket { room: most, at: now };
        let of_user = state.users.get(&user).copied().unwrap_or(full(self.per_user));
        let of_address = address
            .and_then(|address| state.addresses.get(&address).copied())
            .unwrap_or(full(self.per_address));
        let mut wait = Duration::ZERO;
        for (bucket, most) in [
            (state.all, self.in_all),
            (of_user, self.per_user),
            (of_address, self.per_address),
        ] {
            let missing = 1.0 - self.room(bucket, most, now);
            if missing > 0.0 {
                wait = wait.max(self.window.mul_f64(missing / most));
            }
        }
        if !wait.is_zero() {
            return Err(Error::Throttled { retry_after: wait });
        }
        let less = |bucket, most| Bucket {
            room: self.room(bucket, most, now) - 1.0,
            at: now,
        };
        state.all = less(state.all, self.in_all);
        state.users.insert(user, less(of_user, self.per_user));
        if let Some(address) = address {
            state
                .addresses
                .insert(address, less(of_address, self.per_address));
        }
        Ok(Attempt {
            attempts: self,
            user,
            address,
        })
    }

    fn room(&self, bucket: Bucket, most: f64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.room + passed / self.window.as_secs_f64() * most).min(most)
    }

    /// Drops the buckets that are full again, once there are more than can be of use.
    fn forget(&self, state: &mut State, now: Instant) {
        let most = 2 * (self.in_all as usize);
        let is_worn = |per: f64| move |_: &u64, bucket: &mut Bucket| self.room(*bucket, per, now) < per;
        if state.users.len() > most {
            state.users.retain(is_worn(self.per_user));
        }
        if state.addresses.len() > most {
            state.addresses.retain(is_worn(self.per_address));
        }
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Gives back what the attempt took, since its outcome was no wrong password.
    pub(super) fn forgive_with<T>(self, outcome: Result<T>) -> Result<T> {
        self.forgive();
        outcome
    }

    /// Gives back what the attempt took.
    fn forgive(self) {
        let mut state = self.attempts.state();
        let give = |bucket: &mut Bucket, most: f64| bucket.room = (bucket.room + 1.0).min(most);
        give(&mut state.all, self.attempts.in_all);
        if let Some(bucket) = state.users.get_mut(&self.user) {
            give(bucket, self.attempts.per_user);
        }
        if let Some(bucket) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
            give(bucket, self.attempts.per_address);
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one subscriber has of IPv6.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & (u128::MAX << 64),
    }
}

#[cfg(test)]
mod tests {
    use super::Attempts;
    use crate::clock::tests::StillClock;
    use crate::error::Error;
    use crate::identity::Config;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    fn attempts(clock: &Arc<StillClock>) -> Attempts {
        let config = Config {
            failures_per_user: 3,
            failures_per_address: 5,
            failures_max: 20,
            failures_window: Duration::from_secs(60),
            ..Config::default()
        };
        Attempts::new(&config, Arc::clone(clock) as _)
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn refused(attempts: &Attempts, user: &str, address: Option<IpAddr>) -> Option<Duration> {
        match attempts.begin(user, address) {
            Ok(_) => None,
            Err(Error::Throttled { retry_after }) => Some(retry_after),
            Err(other) => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_user_an_address_and_all_together_have_bounds_of_their_own() {
        let clock = Arc::new(StillClock::new());
        let attempts = attempts(&clock);
        for index in 0..3 {
            let address = from(&format!("10.0.0.{index}"));
            assert_eq!(refused(&attempts, "ada", address), None, "{index}");
        }
        assert_eq!(
            refused(&attempts, "ada", from("10.0.0.9")),
            Some(Duration::from_secs(20))
        );
        for index in 0..5 {
            // Of one /64, so of one subscriber.
            let address = from(&format!("2001:db8::{index}"));
            assert_eq!(refused(&attempts, &format!("u{index}"), address), None);
        }
        assert!(refused(&attempts, "eve", from("2001:db8::ffff:1")).is_some());
        assert!(refused(&attempts, "eve", from("2001:db8:0:1::1")).is_none());
        for index in 9..20 {
            assert_eq!(refused(&attempts, &format!("v{index}"), None), None);
        }
        assert_eq!(
            refused(&attempts, "somebody else", from("10.9.9.9")),
            Some(Duration::from_secs(3))
        );
        clock.pass(Duration::from_secs(20));
        assert_eq!(
            refused(&attempts, "ada", from("10.0.0.9")),
            None,
            "room comes back"
        );
        assert!(refused(&attempts, "ada", from("10.0.0.9")).is_some());
    }

    #[test]
    fn what_is_forgiven_takes_nothing_and_the_maps_stay_small() {
        let clock = Arc::new(StillClock::new());
        let attempts = attempts(&clock);
        for _ in 0..100 {
            attempts.begin("ada", from("10.0.0.1")).unwrap().forgive();
        }
        for index in 0..1_000 {
            if attempts
                .begin(&format!("u{index}"), from(&format!("10.0.{}.1", index % 256)))
                .is_err()
            {
                clock.pass(Duration::from_secs(3));
            }
        }
        let state = attempts.state();
        assert!(
            state.users.len() <= 41 && state.addresses.len() <= 41,
            "{state:?}"
        );
    }
}
