//! The section `[rates]`.

use super::fault::Fault;
use super::seal::SecretReference;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who shares a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rated {
    /// Each caller has one.
    #[default]
    Subject,
    /// All callers of a tenant have one.
    Tenant,
}

impl Rated {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Tenant => "tenant",
        }
    }
}

/// How many requests a minute who may make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// The tier of tenants that are not listed; without one they are not limited.
    pub default: Option<String>,
    /// Who shares a bucket.
    pub per: Rated,
    /// A reference to the URL of the Redis server that a fleet shares; without one each gateway counts for itself.
    pub redis: Option<SecretReference>,
    /// How long an answer of Redis is waited for, 1 ms to 10 s.
    #[serde(with = "humantime_serde")]
    pub redis_wait_max: Duration,
    /// How many gateways the fleet has: each takes its part of a limit while Redis does not answer.
    pub gateways: u64,
    /// Requests a minute of each tier.
    pub tiers: BTreeMap<String, u64>,
    /// The tier of each tenant.
    pub tenants: BTreeMap<String, String>,
}

impl Default for Rates {
    fn default() -> Self {
        let tier = |(name, limit): (&str, u64)| (name.to_owned(), limit);
        Self {
            default: None,
            per: Rated::default(),
            redis: None,
            redis_wait_max: Duration::from_millis(100),
            gateways: 1,
            tiers: [("free", 100), ("standard", 1_000), ("enterprise", 10_000)]
                .map(tier)
                .into(),
            tenants: BTreeMap::new(),
        }
    }
}

impl Rates {
    /// The tier of a tenant with its requests a minute; none for a tenant without a limit.
    pub(crate) fn tier(&self, tenant: &str) -> Option<(&str, u64)> {
        let name = self.tenants.get(tenant).or(self.default.as_ref())?;
        let limit = self.tiers.get(name)?;
        Some((name, *limit))
    }

    /// What one gateway may give of a limit by itself: all of it without Redis, since then nobody else counts.
    pub(crate) fn share(&self, limit: u64) -> u64 {
        match self.redis {
            Some(_) => (limit / self.gateways.max(1)).max(1),
            None => limit,
        }
    }

    /// Checks the values and that every tier that is named is there.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub(super) fn validate(&self) -> Result<(), Fault> {
        if !(Duration::from_millis(1)..=Duration::from_secs(10)).contains(&self.redis_wait_max) {
            return Err(Fault::at("rates.redis_wait_max", "must be between 1ms and 10s"));
        }
        if !(1..=10_000).contains(&self.gateways) {
            return Err(Fault::at("rates.gateways", "must be between 1 and 10000"));
        }
        for (name, limit) in &self.tiers {
            if !(1..=100_000_000).contains(limit) {
                return Err(Fault::at(
                    format!("rates.tiers.{name}"),
                    "must be between 1 and 100000000",
                ));
            }
        }
        let of_tenants = self
            .tenants
            .iter()
            .map(|(tenant, tier)| (format!("tenants.{tenant}"), tier));
        let of_default = self.default.iter().map(|tier| ("default".to_owned(), tier));
        for (key, tier) in of_tenants.chain(of_default) {
            if !self.tiers.contains_key(tier) {
                let known: Vec<&str> = self.tiers.keys().map(String::as_str).collect();
                return Err(
                    Fault::at(format!("rates.{key}"), "names no tier of `rates.tiers`")
                        .with_hint(format!("known there: {}", known.join(", "))),
                );
            }
        }
        Ok(())
    }
}
