//! What keeps a source that is down from being asked by everybody, and a source in trouble from being asked twice.
//!
//! The breaker opens with the first connection that cannot be made, for half a second, and for twice as long with each
//! one after it, up to `breaker_open_ms_max`; then one caller tries, and its luck decides for all. Whoever comes meanwhile
//! is told at once.
//!
//! The budget pays for second tries: each statement that succeeds earns a tenth of one, and ten can be saved.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the breaker is open after the first failure.
const OPEN_FIRST: Duration = Duration::from_millis(500);
/// What a success earns, in tenths of a second try.
const EARNED: u32 = 1;
/// What a second try costs, in tenths.
const COST: u32 = 10;
/// The most that is saved, in tenths.
const SAVED_MAX: u32 = 100;

/// The breaker of one source.
#[derive(Debug)]
pub(super) struct Breaker {
    open_max: Duration,
    /// How long a trial may take before another one may try: its caller may have gone away.
    trial_max: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Connections in a row that could not be made.
    failures: u32,
    /// Until when nobody tries.
    open_until: Option<Instant>,
    /// Since when somebody tries after the breaker was open.
    trial: Option<Instant>,
}

impl Breaker {
    pub(super) fn new(open_max: Duration, trial_max: Duration) -> Self {
        Self {
            open_max,
            trial_max,
            state: Mutex::default(),
        }
    }

    /// Whether a connection may be tried now. Whoever gets a yes says how it went.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let mut state = self.state();
        let Some(until) = state.open_until else {
            return true;
        };
        let is_tried = state
            .trial
            .is_some_and(|since| now.saturating_duration_since(since) < self.trial_max);
        if now < until || is_tried {
            return false;
        }
        state.trial = Some(now);
        true
    }

    /// The source has answered.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// A connection could not be made.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.state();
        let doublings = state.failures.min(16);
        let open = OPEN_FIRST.saturating_mul(1 << doublings).min(self.open_max);
        *state = State {
            failures: state.failures.saturating_add(1),
            open_until: Some(now + open),
            trial: None,
        };
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The budget of second tries of one source.
#[derive(Debug)]
pub(super) struct Retries(Mutex<u32>);

impl Default for Retries {
    fn default() -> Self {
        Self(Mutex::new(SAVED_MAX))
    }
}

impl Retries {
    /// A statement has succeeded.
    pub(super) fn earn(&self) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + EARNED).min(SAVED_MAX);
    }

    /// Pays for a second try, if there is enough.
    pub(super) fn pay(&self) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = saved.checked_sub(COST);
        *saved = left.unwrap_or(*saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_for_all_and_waits_longer_each_time() {
        let breaker = Breaker::new(Duration::from_secs(4), Duration::from_secs(30));
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert!(breaker.may_try(at(0)) && breaker.may_try(at(0)), "closed");
        breaker.failed(at(0));
        assert!(!breaker.may_try(at(499)));
        assert!(breaker.may_try(at(500)));
        assert!(!breaker.may_try(at(501)), "one at a time");
        breaker.failed(at(600));
        assert!(!breaker.may_try(at(1_599)));
        assert!(breaker.may_try(at(1_600)));
        for _ in 0..40 {
            breaker.failed(at(2_000));
        }
        assert!(breaker.may_try(at(6_000)), "never longer than the most");
        // A trial whose caller went away does not close the source for ever.
        assert!(!breaker.may_try(at(6_001)));
        assert!(breaker.may_try(at(36_001)));
        breaker.succeeded();
        assert!(
            breaker.may_try(at(36_002)) && breaker.may_try(at(36_002)),
            "closed again"
        );
    }

    #[test]
    fn second_tries_are_paid_for_by_successes() {
        let retries = Retries::default();
        assert_eq!((0..20).filter(|_| retries.pay()).count(), 10);
        for _ in 0..9 {
            retries.earn();
        }
        assert!(!retries.pay());
        retries.earn();
        assert!(retries.pay() && !retries.pay());
    }
}
