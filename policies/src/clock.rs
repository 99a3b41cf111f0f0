//! Where the time comes from, so that a test can move it.
//!
//! Wall time is for what other processes read too (the expiry inside a token). Steady time is for what this process
//! remembers: it never runs backwards, so a step of the wall clock cannot prolong a memory.

use std::fmt::Debug;
use std::time::{Instant, SystemTime};

/// A source of time.
pub trait Clock: Debug + Send + Sync {
    /// The time of day, as written into tokens.
    fn wall(&self) -> SystemTime;

    /// A clock that only runs forward, for ages within this process.
    fn steady(&self) -> Instant;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn steady(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Clock, Instant, SystemTime};
    use std::sync::Mutex;
    use std::time::Duration;

    /// A clock that stands still until a test moves it.
    #[derive(Debug)]
    pub(crate) struct StillClock {
        start: (SystemTime, Instant),
        passed: Mutex<Duration>,
    }

    impl StillClock {
        pub(crate) fn new() -> Self {
            Self {
                start: (SystemTime::now(), Instant::now()),
                passed: Mutex::new(Duration::ZERO),
            }
        }

        pub(crate) fn pass(&self, time: Duration) {
            *self.passed.lock().unwrap() += time;
        }
    }

    impl Clock for StillClock {
        fn wall(&self) -> SystemTime {
            self.start.0 + *self.passed.lock().unwrap()
        }

        fn steady(&self) -> Instant {
            self.start.1 + *self.passed.lock().unwrap()
        }
    }
}
