//! Marks in Redis, which a fleet shares. Taking is one script, so that no two gateways take the same request; the time is
//! that of Redis, so that the clocks of the gateways do not matter.

use std::time::Duration;

use planner::{FleetRedis, Words};
use policies::Secret;
use redis::Script;

use super::Room;

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
#[derive(Debug)]
pub(super) struct Store {
    redis: FleetRedis,
    script: Script,
}

impl Store {
    /// The server at a URL; it is connected to when the first request comes.
    ///
    /// # Errors
    /// `Setting` for a URL that is none.
    pub(super) fn new(url: &Secret, wait_max: Duration) -> planner::Result<Self> {
        let words = Words {
            shared: "the rate limits are those of the fleet",
            alone: "each gateway limits by its own share",
        };
        Ok(Self {
            redis: FleetRedis::open(url, wait_max, words)?,
            script: Script::new(TAKE),
        })
    }

    /// Takes one request; none while Redis does not answer.
    pub(super) async fn take(&self, key: &str, limit: u64) -> Option<Room> {
        let mut call = self.script.key(key);
        let call = call.arg(limit);
        let asked = |mut connection| async move { call.invoke_async::<(u8, i64)>(&mut connection).await };
        let (taken, ahead) = self.redis.ask(asked).await?;
        Some(Room::of(limit, ahead as f64, taken == 1))
    }

    /// Whether it has answered the last request.
    pub(super) fn is_up(&self) -> bool {
        self.redis.is_up()
    }
}
