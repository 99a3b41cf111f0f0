//! The config section `[identity.issuers.NAME]`.

use crate::error::{Error, Result};
use crate::principal::is_attribute_name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use url::{Host, Url};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEEWAY_MAX: Duration = Duration::from_secs(5 * 60);

/// Issuers, audiences and names of roles in a config; each is looked at once for every token.
const LIST_MAX: usize = 1_000;

/// How a token may be signed. There is no symmetric algorithm: whoever can check such a token can make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    RS384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    RS512,
    /// RSA, PSS, SHA-256.
    PS256,
    /// RSA, PSS, SHA-384.
    PS384,
    /// RSA, PSS, SHA-512.
    PS512,
    /// ECDSA on P-256, SHA-256.
    ES256,
    /// ECDSA on P-384, SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// The kind of key that an algorithm works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// The name in a token's header and in a key, letter by letter.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => Family::Rsa,
            Self::ES256 => Family::P256,
            Self::ES384 => Family::P384,
            Self::EdDSA => Family::Ed25519,
        }
    }

    pub(super) fn verifier(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::PS384 => jsonwebtoken::Algorithm::PS384,
            Self::PS512 => jsonwebtoken::Algorithm::PS512,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The type that a claim must have to become an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeType {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list of texts; one text counts as a list of one.
    Texts,
    /// A list of whole numbers.
    Integers,
}

/// Where an attribute comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeClaim {
    /// The claim: its name, or a JSON pointer such as `/org/region`.
    pub claim: String,
    /// Its type; a token with another one is refused.
    #[serde(rename = "type")]
    pub kind: AttributeType,
}

/// An issuer whose tokens are taken, and what their claims mean here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// The issuer as its tokens name it in `iss`, letter by letter: an https URL.
    pub issuer: String,
    /// Who a token must be for: one of these must be in its `aud`.
    pub audiences: BTreeSet<String>,
    /// How a token may be signed.
    pub algorithms: BTreeSet<Algorithm>,
    /// The header `typ` that a token may have, without `application/`, in any case; a token without one is a `JWT`.
    pub types: BTreeSet<String>,
    /// Where the keys are, where the discovery document is not to be asked: an https URL.
    pub jwks: Option<String>,
    /// The authorities that may sign the issuer's certificate (PEM); the system's when not set.
    pub ca: Option<PathBuf>,
    /// The longest time between the issue and the end of a token, 1 minute to 30 days.
    #[serde(with = "humantime_serde")]
    pub lifetime_max: Duration,
    /// How far the issuer's clock may be off, at most 5 minutes.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// The tenant of callers whose token names none.
    pub tenant: Option<String>,
    /// The claim that names the tenant: its name, or a JSON pointer. A token without it is refused unless `tenant` is set.
    pub tenant_claim: Option<String>,
    /// The tenants that the claim may name; a token with another one is refused.
    pub tenants: BTreeSet<String>,
    /// The claim with the caller's groups: its name, or a JSON pointer. A text or a list of texts.
    pub roles_claim: Option<String>,
    /// The roles that each group stands for. A group that is not here stands for none.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// The claims that become attributes, by the name of the attribute.
    pub attributes: BTreeMap<String, AttributeClaim>,
    /// How old the keys may be before they are fetched again in the background, 1 minute to 1 day.
    #[serde(with = "humantime_serde")]
    pub keys_refresh: Duration,
    /// The least time between two fetches, whatever tokens come, 1 second to 1 hour.
    #[serde(with = "humantime_serde")]
    pub keys_retry: Duration,
    /// How long keys are good while the issuer does not answer, up to 7 days; then its tokens are refused.
    #[serde(with = "humantime_serde")]
    pub keys_stale_max: Duration,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audiences: BTreeSet::new(),
            algorithms: [Algorithm::RS256].into(),
            types: ["at+jwt".to_owned(), "jwt".to_owned()].into(),
            jwks: None,
            ca: None,
            lifetime_max: DAY,
            leeway: Duration::from_secs(30),
            tenant: None,
            tenant_claim: None,
            tenants: BTreeSet::new(),
            roles_claim: None,
            roles: BTreeMap::new(),
            attributes: BTreeMap::new(),
            keys_refresh: Duration::from_secs(5 * 60),
            keys_retry: Duration::from_secs(30),
            keys_stale_max: DAY,
        }
    }
}

impl Issuer {
    /// Checks the values of the issuer `name` and the rules between them.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key at fault.
    pub(in crate::identity) fn validate(&self, name: &str) -> Result<()> {
        let fault = |key: &str, reason: &str| {
            Err(Error::Setting {
                key: format!("issuers.{name}.{key}").into(),
                reason: reason.to_owned(),
            })
        };
        if !is_attribute_name(name) {
            return fault(
                "issuer",
                "its section has a name that is not 1 to 64 of a-z, 0-9 and _",
            );
        }
        for (key, url) in [("issuer", Some(&self.issuer)), ("jwks", self.jwks.as_ref())] {
            if let Some(reason) = url.and_then(|url| url_fault(url)) {
                return fault(key, reason);
            }
        }
        if self.audiences.is_empty() || self.audiences.contains("") {
            return fault("audiences", "must name who a token is for");
        }
        if self.algorithms.is_empty() {
            return fault("algorithms", "must have at least one");
        }
        if self.types.is_empty() {
            return fault("types", "must have at least one");
        }
        if self.tenant_claim.is_some() == self.tenants.is_empty() {
            return fault(
                "tenants",
                "lists what tenant_claim may name; the two belong together",
            );
        }
        if self.tenant.as_deref() == Some("") || self.tenants.contains("") {
            return fault("tenant", "is empty");
        }
        if self.roles_claim.is_some() == self.roles.is_empty() {
            return fault("roles", "and roles_claim belong together");
        }
        if self.roles.len().max(self.audiences.len()).max(self.tenants.len()) > LIST_MAX {
            return fault("roles", "a list has more than 1000 entries");
        }
        if let Some(name) = self.attributes.keys().find(|name| !is_attribute_name(name)) {
            return fault(
                &format!("attributes.{name}"),
                "is not 1 to 64 of a-z, 0-9 and _, a letter first",
            );
        }
        self.validate_times(&fault)
    }

    fn validate_times(&self, fault: &dyn Fn(&str, &str) -> Result<()>) -> Result<()> {
        let minute = Duration::from_secs(60);
        if !(minute..=30 * DAY).contains(&self.lifetime_max) {
            return fault("lifetime_max", "must be between 1 minute and 30 days");
        }
        if self.leeway > LEEWAY_MAX {
            return fault("leeway", "must be at most 5 minutes");
        }
        if !(minute..=DAY).contains(&self.keys_refresh) {
            return fault("keys_refresh", "must be between 1 minute and 1 day");
        }
        if !(Duration::from_secs(1)..=60 * minute).contains(&self.keys_retry) {
            return fault("keys_retry", "must be between 1 second and 1 hour");
        }
        if !(self.keys_refresh..=7 * DAY).contains(&self.keys_stale_max) {
            return fault("keys_stale_max", "must be between keys_refresh and 7 days");
        }
        Ok(())
    }

    /// Whether a token of this `typ` is one that is taken.
    pub(super) fn takes_type(&self, kind: Option<&str>) -> bool {
        let kind = kind.unwrap_or("JWT").to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        self.types.iter().any(|taken| taken.eq_ignore_ascii_case(kind))
    }
}

/// Keys come over TLS, or from this very machine.
pub(super) fn url_fault(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("is not a URL");
    };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Some("has no host"),
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Some("holds a user or a fragment");
    }
    match url.scheme() {
        "https" => None,
        "http" if is_local => None,
        _ => Some("must begin with https://"),
    }
}
