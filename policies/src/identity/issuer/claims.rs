//! What a token says, and what that means here.
//!
//! Invariant: `iss`, `aud`, `exp` and `sub` must be there and have the type that RFC 7519 gives them. The libraries pass
//! over a claim of a wrong type, so every check is our own.

use super::at;
use super::config::{AttributeClaim, AttributeType, Issuer};
use crate::error::{Error, Result};
use crate::principal::{Attribute, Attributes, Principal, TENANT};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// The longest `sub` and `jti`.
const NAME_BYTES_MAX: usize = 255;

/// Groups of one caller. A caller in more is a mistake of the issuer, and would make each token a long walk.
const GROUPS_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Wire {
    iss: String,
    aud: Audience,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims of a token.
#[derive(Debug)]
pub(super) struct Claims {
    issuer: String,
    audience: Audience,
    subject: String,
    id: Option<String>,
    expires: SystemTime,
    not_before: Option<SystemTime>,
    issued: Option<SystemTime>,
    all: Value,
}

impl Claims {
    /// Reads the payload of a token.
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        // Twice: the struct refuses a claim that stands there twice, the map keeps what the config may ask for.
        let wire: Wire = serde_json::from_slice(payload).map_err(|_| Error::Token)?;
        let all: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Error::Token)?;
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
        };
        if !is_name(&wire.sub) || wire.jti.as_deref().is_some_and(|id| !is_name(id)) {
            return Err(Error::Token);
        }
        let time = |seconds: Option<f64>| seconds.map(|seconds| at(seconds).ok_or(Error::Token)).transpose();
        Ok(Self {
            issuer: wire.iss,
            audience: wire.aud,
            subject: wire.sub,
            id: wire.jti,
            expires: at(wire.exp).ok_or(Error::Token)?,
            not_before: time(wire.nbf)?,
            issued: time(wire.iat)?,
            all: Value::Object(all),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn issued(&self) -> Option<SystemTime> {
        self.issued
    }

    /// Whether the token is for us and for this time.
    pub(super) fn check(&self, issuer: &Issuer, now: SystemTime) -> Result<()> {
        let is_ours = |audience: &String| issuer.audiences.contains(audience);
        let is_for_us = match &self.audience {
            Audience::One(audience) => is_ours(audience),
            Audience::Many(audiences) => audiences.iter().any(is_ours),
        };
        if !is_for_us {
            return Err(Error::Token);
        }
        let soon = now + issuer.leeway;
        let begins_later = |time: Option<SystemTime>| time.is_some_and(|time| time > soon);
        if begins_later(self.not_before) || begins_later(self.issued) {
            return Err(Error::Token);
        }
        // A token that does not say when it was issued counts as issued now.
        let issued = self.issued.unwrap_or(now);
        let lifetime = self.expires.duration_since(issued).unwrap_or(Duration::ZERO);
        if lifetime > issuer.lifetime_max {
            return Err(Error::Token);
        }
        let ends = self.expires.checked_add(issuer.leeway).ok_or(Error::Token)?;
        if ends <= now {
            return Err(Error::TokenExpired);
        }
        Ok(())
    }

    /// Who the token speaks of.
    ///
    /// # Errors
    /// A sentence that names the claim at fault and repeats no value.
    pub(super) fn principal(&self, name: &str, issuer: &Issuer) -> std::result::Result<Principal, String> {
        let roles = match &issuer.roles_claim {
            Some(claim) => self.roles(claim, &issuer.roles)?,
            None => BTreeSet::new(),
        };
        let mut attributes = BTreeMap::new();
        for (attribute, source) in &issuer.attributes {
            if let Some(value) = self.attribute(source)? {
                attributes.insert(attribute.clone(), value);
            }
        }
        Ok(Principal::new(format!("{name}:{}", self.subject), roles)
            .of_tenant(self.tenant(issuer)?)
            .with_attributes(Attributes::of(attributes)?))
    }

    fn tenant(&self, issuer: &Issuer) -> std::result::Result<String, String> {
        let Some(claim) = &issuer.tenant_claim else {
            return Ok(issuer.tenant.clone().unwrap_or_else(|| TENANT.to_owned()));
        };
        match self.claim(claim) {
            None if issuer.tenant.is_some() => Ok(issuer.tenant.clone().unwrap_or_default()),
            Some(Value::String(tenant)) if issuer.tenants.contains(tenant) => Ok(tenant.clone()),
            _ => Err(format!("claim `{claim}` names no tenant of the list")),
        }
    }

    fn roles(
        &self,
        claim: &str,
        roles: &BTreeMap<String, BTreeSet<String>>,
    ) -> std::result::Result<BTreeSet<String>, String> {
        let groups = match self.claim(claim) {
            None => return Ok(BTreeSet::new()),
            Some(value) => texts(value).ok_or_else(|| format!("claim `{claim}` is not a list of texts"))?,
        };
        if groups.len() > GROUPS_MAX {
            return Err(format!("claim `{claim}` has more than {GROUPS_MAX} members"));
        }
        let granted = groups.iter().filter_map(|group| roles.get(*group)).flatten();
        Ok(granted.cloned().collect())
    }

    fn attribute(&self, source: &AttributeClaim) -> std::result::Result<Option<Attribute>, String> {
        let Some(value) = self.claim(&source.claim) else {
            return Ok(None);
        };
        let read = match source.kind {
            AttributeType::Text => value.as_str().map(|text| Attribute::Text(text.to_owned())),
            AttributeType::Integer => value.as_i64().map(Attribute::Integer),
            AttributeType::Boolean => value.as_bool().map(Attribute::Boolean),
            AttributeType::Texts => {
                texts(value).map(|texts| Attribute::Texts(texts.into_iter().map(str::to_owned).collect()))
            }
            AttributeType::Integers => {
                let numbers = value.as_array().map(|members| members.iter().map(Value::as_i64));
                numbers
                    .and_then(Iterator::collect::<Option<_>>)
                    .map(Attribute::Integers)
            }
        };
        let wrong = || format!("claim `{}` has another type", source.claim);
        read.map(Some).ok_or_else(wrong)
    }

    /// A claim by name or JSON pointer; one that is null is not there.
    fn claim(&self, name: &str) -> Option<&Value> {
        let found = match name.starts_with('/') {
            true => self.all.pointer(name),
            false => self.all.get(name),
        };
        found.filter(|value| !value.is_null())
    }
}

/// The members of a list of texts, or the one text; none for anything else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(members) => members.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
