//! Marks in Redis, which a fleet shares. Taking is one script, so that no two gateways take the same request; the time is
//! that of Redis, so that the clocks of the gateways do not matter.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use policies::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};

use super::Room;
use crate::config::Fault;

/// How long Redis is left alone after a failure.
const ALONE: Duration = Duration::from_secs(1);

/// KEYS[1] the mark, ARGV[1] requests a minute. Gives whether there was room, and how far the mark is ahead of the clock of
/// Redis now, in microseconds.
const TAKE: &str = "
local minute = 60000000
local step = minute / tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead = math.max(0, tonumber(redis.call('GET', KEYS[1]) or 0) - now)
local taken = 0
if ahead + step <= minute + 0.5 then
  ahead = ahead + step
  taken = 1
  redis.call('SET', KEYS[1], string.format('%.3f', now + ahead), 'PX', math.ceil(ahead / 1000))
end
return { taken, math.floor(ahead) }
";

/// A Redis server.
pub(super) struct Store {
    connection: ConnectionManager,
    script: Script,
    wait_max: Duration,
    start: Instant,
    /// Until when Redis is left alone, in milliseconds since `start`.
    alone_until: AtomicU64,
    is_up: AtomicBool,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store")
            .field("is_up", &self.is_up)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The server at a URL; it is connected to when the first request comes.
    pub(super) fn new(url: &Secret, wait_max: Duration) -> Result<Self, Fault> {
        // The parser's own words could repeat a password.
        let bad = |_| {
            Fault::at(
                "fleet.redis",
                "is not a URL such as redis://:PASSWORD@HOST:6379/0",
            )
        };
        let client = Client::open(url.expose()).map_err(bad)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(wait_max))
            .set_response_timeout(Some(wait_max));
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(bad)?;
        Ok(Self {
            connection,
            script: Script::new(TAKE),
            wait_max,
            start: Instant::now(),
            alone_until: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
        })
    }

    /// Takes one request; none while Redis does not answer.
    pub(super) async fn take(&self, key: &str, limit: u64) -> Option<Room> {
        if self.since() < self.alone_until.load(Ordering::Relaxed) {
            return None;
        }
        let mut connection = self.connection.clone();
        let mut call = self.script.key(key);
        let call = call.arg(limit);
        let asked = call.invoke_async::<(u8, i64)>(&mut connection);
        let problem = match tokio::time::timeout(self.wait_max, asked).await {
            Ok(Ok((taken, ahead))) => {
                if !self.is_up.swap(true, Ordering::Relaxed) {
                    tracing::info!("Redis answers again; the rate limits are those of the fleet");
                }
                return Some(Room::of(limit, ahead as f64, taken == 1));
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "it takes too long".to_owned(),
        };
        let alone = u64::try_from(ALONE.as_millis()).unwrap_or(u64::MAX);
        self.alone_until
            .store(self.since().saturating_add(alone), Ordering::Relaxed);
        if self.is_up.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                problem,
                "Redis does not answer; each gateway limits by its own share"
            );
        }
        None
    }

    /// Whether it has answered the last request.
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    fn since(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
