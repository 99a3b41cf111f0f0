//! The section `[planner.cache]`.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use policies::{Seal, Secret};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How rows of answers are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Memory of all kept rows; 0 keeps none, neither here nor in Redis.
    pub bytes: ByteSize,
    /// The largest answer that is kept.
    pub result_bytes_max: ByteSize,
    /// The share of `bytes` that the queries of one tenant may fill, above 0 and up to 1.
    pub tenant_share: f64,
    /// How long rows of tables without versions, such as those of Postgres, are given again; 0 means never.
    #[serde(with = "humantime_serde")]
    pub unversioned_ttl: Duration,
    /// How long a query waits for another one that makes the same rows, here or on another gateway.
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    /// How long Redis keeps an answer.
    #[serde(with = "humantime_serde")]
    pub redis_ttl: Duration,
    /// How long an answer of Redis is waited for.
    #[serde(with = "humantime_serde")]
    pub redis_timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            bytes: ByteSize::mib(256),
            result_bytes_max: ByteSize::mib(8),
            tenant_share: 0.5,
            unversioned_ttl: Duration::ZERO,
            wait_max: Duration::from_secs(5),
            redis_ttl: Duration::from_secs(3600),
            redis_timeout: Duration::from_millis(100),
        }
    }
}

impl CacheConfig {
    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.bytes.as_u64() > 0
    }

    /// Checks that each value means what it says.
    ///
    /// # Errors
    /// `Setting` naming the key below this section.
    pub(crate) fn validate(&self) -> Result<()> {
        let fault = |key: &str, problem: &str| {
            Err(Error::Setting {
                key: format!("cache.{key}"),
                problem: problem.to_owned(),
            })
        };
        let hour = Duration::from_secs(3600);
        if !(self.tenant_share > 0.0 && self.tenant_share <= 1.0) {
            return fault("tenant_share", "must be above 0 and at most 1");
        }
        if self.is_on() && self.result_bytes_max.as_u64() == 0 {
            return fault("result_bytes_max", "must be at least 1 B");
        }
        if self.result_bytes_max > ByteSize::gib(1) {
            return fault("result_bytes_max", "must be at most 1 GiB");
        }
        if self.unversioned_ttl > hour * 24 {
            return fault("unversioned_ttl", "must be at most 24h");
        }
        if self.wait_max > hour {
            return fault("wait_max", "must be at most 1h");
        }
        if !(Duration::from_secs(1)..=hour * 24 * 30).contains(&self.redis_ttl) {
            return fault("redis_ttl", "must be between 1s and 30 days");
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&self.redis_timeout) {
            return fault("redis_timeout", "must be between 1ms and 60s");
        }
        Ok(())
    }
}

/// The Redis of a fleet, and what its gateways seal with.
#[derive(Clone)]
pub struct FleetCache {
    /// `redis://:PASSWORD@HOST:6379/0`.
    pub url: Secret,
    /// Closes what goes there; all gateways of a fleet have the same keys.
    pub seal: Arc<Seal>,
}

impl std::fmt::Debug for FleetCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetCache").finish_non_exhaustive()
    }
}
