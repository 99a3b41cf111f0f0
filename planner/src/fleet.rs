//! The Redis that the gateways of a fleet share, for whoever can go on without it: an answer is waited for no longer than a
//! caller says, and after a failure the server is left alone for a second, so that one that is down costs nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use policies::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult};

use crate::error::{Error, Result};

/// How long Redis is left alone after a failure.
const ALONE: Duration = Duration::from_secs(1);

/// What the log says of a server, after `Redis answers again` and `Redis does not answer`.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What the fleet has in common while it answers.
    pub shared: &'static str,
    /// What each gateway does by itself while it does not.
    pub alone: &'static str,
}

/// A Redis server.
pub struct FleetRedis {
    connection: ConnectionManager,
    timeout: Duration,
    words: Words,
    start: Instant,
    /// Until when Redis is left alone, in milliseconds since `start`.
    alone_until: AtomicU64,
    is_up: AtomicBool,
    failures: AtomicU64,
}

impl FleetRedis {
    /// The server at `redis://:PASSWORD@HOST:6379/0`; it is connected to when it is first asked. No answer is waited for
    /// longer than `timeout`.
    ///
    /// # Errors
    /// `Setting` with the key `fleet.redis` for a URL that is none.
    pub fn open(url: &Secret, timeout: Duration, words: Words) -> Result<Self> {
        // The parser's own words could repeat a password.
        let bad = |_| Error::Setting {
            key: "fleet.redis".to_owned(),
            problem: "is not a URL such as redis://:PASSWORD@HOST:6379/0".to_owned(),
        };
        let client = Client::open(url.expose()).map_err(bad)?;
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, settings).map_err(bad)?,
            timeout,
            words,
            start: Instant::now(),
            alone_until: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
            failures: AtomicU64::new(0),
        })
    }

    /// What `call` is answered; none while Redis does not answer.
    pub async fn ask<T, F>(&self, call: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if self.since() < self.alone_until.load(Ordering::Relaxed) {
            return None;
        }
        let asked = call(self.connection.clone());
        let problem = match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(answer)) => {
                if !self.is_up.swap(true, Ordering::Relaxed) {
                    tracing::info!("Redis answers again; {}", self.words.shared);
                }
                return Some(answer);
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "it takes too long".to_owned(),
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let alone = u64::try_from(ALONE.as_millis()).unwrap_or(u64::MAX);
        self.alone_until
            .store(self.since().saturating_add(alone), Ordering::Relaxed);
        if self.is_up.swap(false, Ordering::Relaxed) {
            tracing::warn!(problem, "Redis does not answer; {}", self.words.alone);
        }
        None
    }

    /// Whether it has answered the last call.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Calls that it did not answer.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn since(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for FleetRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetRedis")
            .field("is_up", &self.is_up)
            .finish_non_exhaustive()
    }
}
