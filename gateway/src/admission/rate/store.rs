//! Buckets in Redis, which a fleet shares. Taking is one script, so that no two gateways take the same request; the time
//! is that of Redis, so that the clocks of the gateways do not matter.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};

use super::Room;
use crate::config::{Environment, Fault, Rates};

/// How long Redis is left alone after a failure.
const ALONE: Duration = Duration::from_secs(1);

/// KEYS[1] the bucket, ARGV[1] requests a minute. Gives whether there was room, and what is left in thousandths.
const TAKE: &str = "
local limit = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'room', 'at', 'limit')
local room = limit
if kept[1] and tonumber(kept[3]) == limit then
  local passed = math.max(0, now - tonumber(kept[2]))
  room = math.min(limit, tonumber(kept[1]) + passed * limit / 60000)
end
local taken = 0
if room >= 1 then
  room = room - 1
  taken = 1
end
redis.call('HSET', KEYS[1], 'room', string.format('%.6f', room), 'at', now, 'limit', limit)
redis.call('PEXPIRE', KEYS[1], 60000)
return { taken, math.floor(room * 1000) }
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
    /// The server of the config, if there is one; it is connected to when the first request comes.
    pub(super) fn new(rates: &Rates, environment: &Environment) -> Result<Option<Self>, Fault> {
        let Some(reference) = &rates.redis else {
            return Ok(None);
        };
        let fault = |reason: String| Fault::at("rates.redis", reason);
        let url = reference.resolve(environment).map_err(fault)?;
        // The parser's own words could repeat a password.
        let bad = |_| fault("is not a URL such as redis://:PASSWORD@HOST:6379/0".to_owned());
        let client = Client::open(url.expose()).map_err(bad)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(rates.redis_wait_max))
            .set_response_timeout(Some(rates.redis_wait_max));
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(bad)?;
        Ok(Some(Self {
            connection,
            script: Script::new(TAKE),
            wait_max: rates.redis_wait_max,
            start: Instant::now(),
            alone_until: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
        }))
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
            Ok(Ok((taken, thousandths))) => {
                if !self.is_up.swap(true, Ordering::Relaxed) {
                    tracing::info!("Redis answers again; the rate limits are those of the fleet");
                }
                return Some(Room::of(limit, thousandths as f64 / 1_000.0, taken == 1));
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

    fn since(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
