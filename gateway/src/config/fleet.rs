//! The section `[fleet]`.

use super::environment::Environment;
use super::fault::Fault;
use super::seal::SecretReference;
use planner::database::{Config as Database, Password, TlsMode, Versions};
use policies::Secret;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What the gateways of a fleet share. All of them have the same `seal.keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// A reference to the URL of a Redis, `redis://:PASSWORD@HOST:6379/0`; without it each gateway keeps rows and counts
    /// calls for itself.
    pub redis: Option<SecretReference>,
    /// The database that the policies are read from, in place of `policies.file`.
    pub policies: Option<PolicyDatabase>,
}

/// A Postgres database with the table `lakegate_policies`, which `lakegate policies publish` makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDatabase {
    /// `postgres://USER@HOST:PORT/DATABASE`, without a password. A gateway's role needs to read the table and no more.
    pub url: String,
    /// A reference to the role's password; a file is read again for each connection.
    #[serde(default)]
    pub password: Option<SecretReference>,
    /// How the connection is encrypted; by default `verify-full`, and `prefer` on this machine.
    #[serde(default)]
    pub tls: Option<TlsMode>,
    /// The authorities that may sign the server's certificate (PEM); the system's when not set.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
}

impl PolicyDatabase {
    /// The table of the policies; it is not asked yet. Sockets are waited for on the calling runtime.
    ///
    /// # Errors
    /// A [`Fault`] that names the key.
    pub(crate) fn open(&self, environment: &Environment) -> Result<Versions, Fault> {
        let fault = |error: planner::Error| Fault::at("fleet.policies", error.to_string());
        let mut database = Database::from_url(&self.url).map_err(|error| fault(error.into()))?;
        database.password = match &self.password {
            None => None,
            Some(SecretReference::File(path)) => Some(Password::File(path.clone())),
            Some(reference @ SecretReference::Environment(_)) => {
                let known = reference
                    .resolve(environment)
                    .map_err(|reason| Fault::at("fleet.policies.password", reason))?;
                Some(Password::Known(known.expose().to_owned()))
            }
        };
        database.tls = self.tls;
        database.tls_ca.clone_from(&self.tls_ca);
        Versions::new("policies", &database, Handle::current()).map_err(|error| fault(error.into()))
    }
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
