//! The section `[fleet]`.

use super::environment::Environment;
use super::fault::Fault;
use super::seal::SecretReference;
use policies::Secret;
use serde::Deserialize;
use std::sync::Arc;

/// What the gateways of a fleet share. All of them have the same `seal.keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// A reference to the URL of a Redis, `redis://:PASSWORD@HOST:6379/0`; without it each gateway keeps rows and counts
    /// calls for itself.
    pub redis: Option<SecretReference>,
}

impl Fleet {
    /// The URL of the Redis, where there is one.
    ///
    /// # Errors
    /// A [`Fault`] that names the key.
    pub(crate) fn url(&self, environment: &Environment) -> Result<Option<Secret>, Fault> {
        let resolved = self
            .redis
            .as_ref()
            .map(|reference| reference.resolve(environment));
        resolved
            .transpose()
            .map_err(|reason| Fault::at("fleet.redis", reason))
    }

    /// The Redis of the fleet for kept rows, which are closed with `seal`.
    ///
    /// # Errors
    /// A [`Fault`] that names the key.
    pub fn cache(
        &self,
        environment: &Environment,
        seal: &Arc<policies::Seal>,
    ) -> Result<Option<planner::FleetCache>, Fault> {
        let cache = |url| planner::FleetCache {
            url,
            seal: Arc::clone(seal),
        };
        Ok(self.url(environment)?.map(cache))
    }
}
