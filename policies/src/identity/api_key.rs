//! API keys of services.
//!
//! A key reads `lg_ID_SECRET_CHECK`: 12 letters that name it, 43 that are random (256 bits), 6 that are a CRC-32 of the
//! rest, so that scanners for leaked secrets know a key when they see one and a mistyped key costs no look-up. The file
//! holds an HMAC of the secret under a pepper that is elsewhere, so the file alone opens nothing; a random secret of
//! 256 bits needs no slow hash.
//!
//! ```toml
//! [[key]]
//! id = "Qh3v8Yz0Lr5T"
//! service = "etl"
//! mac = "kC0...="
//! roles = ["data_engineer"]
//! scopes = ["select", "metadata"]      # optional: all of them
//! created = "2026-01-05T08:00:00Z"
//! expires = "2026-04-05T08:00:00Z"     # optional: never
//! ```
//!
//! Invariants: a key is shown once, when it is made; a service has at most two live keys, the old and the new of a
//! rotation; whatever is wrong with a key gives [`Error::Token`], except that one whose time is over says so.

mod text;

pub use text::Pepper;

use crate::document;
use crate::error::{Error, Result};
use crate::identity::file;
use crate::principal::{Attributes, Principal, Scope, Scopes, TENANT};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;
use text::Parts;

/// Live keys of one service.
const LIVE_MAX: usize = 2;

/// What a key is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The service: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub service: String,
    /// Whose data the service works with; `default` when none.
    pub tenant: Option<String>,
    /// The roles that policies speak of.
    pub roles: BTreeSet<String>,
    /// What the key is for; none means everything that the roles may.
    pub scopes: Option<BTreeSet<Scope>>,
    /// When it ends; none means never.
    pub expires: Option<SystemTime>,
}

/// One key as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What names the key in files, logs and audit records.
    pub id: String,
    /// Whose key it is.
    pub service: String,
    mac: String,
    /// Whose data the service works with.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// The roles that policies speak of.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// What the key is for; none means everything that the roles may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Scope>>,
    /// What row filters may compare with.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// When it was made.
    #[serde(with = "humantime_serde")]
    pub created: SystemTime,
    /// When it ends; none means never.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub expires: Option<SystemTime>,
    /// When it was taken back.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub revoked: Option<SystemTime>,
}

fn default_tenant() -> String {
    TENANT.to_owned()
}

impl ApiKey {
    /// Whether the key opens anything at this time.
    pub fn is_live(&self, now: SystemTime) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// The caller behind the key.
    pub(super) fn principal(&self) -> Principal {
        let scopes = self.scopes.as_ref().map_or_else(Scopes::all, Scopes::of);
        Principal::new(format!("service:{}", self.service), self.roles.clone())
            .of_tenant(&self.tenant)
            .with_attributes(self.attributes.clone())
            .with_scopes(scopes)
    }
}

/// The keys of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiKeys {
    by_id: BTreeMap<String, ApiKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Vec<ApiKey>,
}

impl ApiKeys {
    /// Reads a keys file; one that is not there holds no keys.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, otherwise as [`ApiKeys::parse`].
    pub fn open(path: &Path) -> Result<Self> {
        match file::read_if_there(path)? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    /// Reads the text of a keys file. `path` only names it in errors.
    ///
    /// # Errors
    /// [`Error::Document`] naming the line and the key at fault. A MAC is never shown.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let written: Written = document::read(text, path)?;
        let mut by_id = BTreeMap::new();
        for key in written.key {
            let id = key.id.clone();
            let reason = if !text::is_id(&id) {
                Some("a key has an id that is not 12 letters and digits".to_owned())
            } else if !is_service(&key.service) {
                Some(format!(
                    "key `{id}` has a service that is not 1 to 64 plain letters"
                ))
            } else if !text::is_mac(&key.mac) {
                Some(format!("the mac of key `{id}` is not 32 bytes in base64"))
            } else if by_id.insert(id.clone(), key).is_some() {
                Some(format!("two keys have the id `{id}`"))
            } else {
                None
            };
            if let Some(reason) = reason {
                return Err(Error::Document {
                    path: path.to_owned(),
                    line: None,
                    reason,
                });
            }
        }
        Ok(Self { by_id })
    }

    /// The key of this id.
    pub fn get(&self, id: &str) -> Option<&ApiKey> {
        self.by_id.get(id)
    }

    /// All keys in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.by_id.values()
    }

    /// Makes a key: its id, and the key itself, which is not kept.
    ///
    /// # Errors
    /// [`Error::Setting`] for a service that cannot be, or that has two live keys; [`Error::Internal`].
    pub fn create(&mut self, purpose: Purpose, pepper: &Pepper, now: SystemTime) -> Result<(String, Secret)> {
        let refused = |reason: String| Error::Setting {
            key: "service".into(),
            reason,
        };
        if !is_service(&purpose.service) {
            return Err(refused(
                "must be 1 to 64 letters, digits, `-`, `_` or `.`".to_owned(),
            ));
        }
        let is_its = |key: &&ApiKey| key.service == purpose.service && key.is_live(now);
        if self.iter().filter(is_its).count() >= LIVE_MAX {
            return Err(refused(format!(
                "`{}` has {LIVE_MAX} live keys; revoke one first",
                purpose.service
            )));
        }
        let parts = Parts::draw()?;
        let key = ApiKey {
            id: parts.id.clone(),
            service: purpose.service,
            mac: pepper.mac(&parts),
            tenant: purpose.tenant.unwrap_or_else(default_tenant),
            roles: purpose.roles,
            scopes: purpose.scopes,
            attributes: Attributes::default(),
            created: now,
            expires: purpose.expires,
            revoked: None,
        };
        self.by_id.insert(parts.id.clone(), key);
        Ok((parts.id.clone(), parts.written()))
    }

    /// Takes a key back; false when there is no live key of this id.
    pub fn revoke(&mut self, id: &str, now: SystemTime) -> bool {
        match self.by_id.get_mut(id) {
            Some(key) if key.revoked.is_none() => {
                key.revoked = Some(now);
                true
            }
            _ => false,
        }
    }

    /// The key that a caller shows.
    pub(super) fn check(&self, shown: &Secret, pepper: Option<&Pepper>, now: SystemTime) -> Result<&ApiKey> {
        let parts = Parts::parse(shown.expose()).ok_or(Error::Token)?;
        let pepper = pepper.ok_or(Error::Token)?;
        let key = self.get(&parts.id);
        // An unknown id costs the same work.
        let is_right = pepper.fits(&parts, key.map(|key| key.mac.as_str()));
        match key {
            Some(key) if is_right && key.revoked.is_none() => match key.is_live(now) {
                true => Ok(key),
                false => Err(Error::TokenExpired),
            },
            _ => Err(Error::Token),
        }
    }

    /// The keys file that holds these keys. It is for the owner's eyes only (mode 0600).
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let written = Written {
            key: self.iter().cloned().collect(),
        };
        toml::to_string(&written).map_err(|_| Error::Internal {
            operation: "writing keys as TOML",
        })
    }
}

fn is_service(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests;
