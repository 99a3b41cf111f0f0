//! The section `[rates]`.

use super::fault::Fault;
use policies::Principal;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many requests a minute who may make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// The tier of callers for whom nothing below says one; without one they are not limited.
    pub default: Option<String>,
    /// How long an answer of the fleet's Redis is waited for, 1 ms to 10 s.
    #[serde(with = "humantime_serde")]
    pub redis_wait_max: Duration,
    /// How many gateways the fleet has: each takes its part of a limit while Redis does not answer.
    pub gateways: u64,
    /// Requests a minute of each tier. What a file says of one leaves the others as they are.
    #[serde(deserialize_with = "beside_the_defaults")]
    pub tiers: BTreeMap<String, u64>,
    /// The tier of each principal, by subject.
    pub principals: BTreeMap<String, String>,
    /// The tier of each role; of several, the one with the most requests.
    pub roles: BTreeMap<String, String>,
    /// The tier of each tenant.
    pub tenants: BTreeMap<String, String>,
}

/// The tiers that are always there.
fn default_tiers() -> BTreeMap<String, u64> {
    let tiers = [("free", 100), ("standard", 1_000), ("enterprise", 10_000)];
    tiers.map(|(name, limit)| (name.to_owned(), limit)).into()
}

fn beside_the_defaults<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<String, u64>, D::Error> {
    let mut tiers = default_tiers();
    tiers.extend(BTreeMap::<String, u64>::deserialize(source)?);
    Ok(tiers)
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            default: None,
            redis_wait_max: Duration::from_millis(100),
            gateways: 1,
            tiers: default_tiers(),
            principals: BTreeMap::new(),
            roles: BTreeMap::new(),
            tenants: BTreeMap::new(),
        }
    }
}

impl Rates {
    /// The tier of a caller with its requests a minute; none for a caller without a limit. What names the subject counts
    /// first, then the roles, then the tenant.
    pub(crate) fn tier(&self, principal: &Principal) -> Option<(&str, u64)> {
        let limited = |name: &'_ String| {
            let (name, limit) = self.tiers.get_key_value(name)?;
            Some((name.as_str(), *limit))
        };
        let roles = principal.roles().iter();
        let by_role = || {
            let tiers = roles.filter_map(|role| limited(self.roles.get(role)?));
            tiers.max_by_key(|(_, limit)| *limit)
        };
        let named = self.principals.get(principal.subject()).and_then(limited);
        named
            .or_else(by_role)
            .or_else(|| limited(self.tenants.get(principal.tenant())?))
            .or_else(|| limited(self.default.as_ref()?))
    }

    /// What one gateway of a fleet may give of a limit by itself.
    pub(crate) fn share(&self, limit: u64) -> u64 {
        (limit / self.gateways.max(1)).max(1)
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
            if !(1..=10_000_000).contains(limit) {
                return Err(Fault::at(
                    format!("rates.tiers.{name}"),
                    "must be between 1 and 10000000",
                ));
            }
        }
        let named = |section: &'static str, map: &BTreeMap<String, String>| {
            let of = |(name, tier): (&String, &String)| (format!("{section}.{name}"), tier.clone());
            map.iter().map(of).collect::<Vec<_>>()
        };
        let all = [
            named("principals", &self.principals),
            named("roles", &self.roles),
            named("tenants", &self.tenants),
            self.default
                .iter()
                .map(|tier| ("default".to_owned(), tier.clone()))
                .collect(),
        ];
        for (key, tier) in all.concat() {
            if !self.tiers.contains_key(&tier) {
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
