//! Callers with a client certificate. TLS has checked that the certificate is good and that the caller has its key; here
//! its names (RFC 5280, subjectAltName) are looked up in the config.
//!
//! Invariants: only a URI or a DNS name of the subjectAltName counts, never the common name; a certificate with names
//! of two callers is nobody's.

use crate::error::{Error, Result};
use crate::principal::{Attributes, Principal, TENANT};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use x509_parser::extensions::GeneralName;

/// The longest certificate. What TLS took is far shorter.
const BYTES_MAX: usize = 64 * 1024;

/// Names in one certificate.
const NAMES_MAX: usize = 256;

/// A caller known by a certificate: the config section `[identity.certificates.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The name in the certificate: `uri:spiffe://...` or `dns:host.example.com`. No patterns.
    pub san: String,
    /// The roles that policies speak of.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// Whose data the caller works with.
    pub tenant: Option<String>,
    /// What row filters may compare with.
    #[serde(default)]
    pub attributes: Attributes,
}

impl Certificate {
    /// Checks the values of the entry `name`.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key at fault.
    pub(super) fn validate(&self, name: &str) -> Result<()> {
        let fault = |key: &str, reason: &str| {
            Err(Error::Setting {
                key: format!("certificates.{name}.{key}").into(),
                reason: reason.to_owned(),
            })
        };
        let named = self
            .san
            .strip_prefix("uri:")
            .or_else(|| self.san.strip_prefix("dns:"));
        match named {
            Some(rest) if !rest.is_empty() && !rest.contains('*') => {}
            _ => return fault("san", "must be `uri:` or `dns:` and a name without `*`"),
        }
        if self.san.starts_with("dns:") && self.san.chars().any(|letter| letter.is_ascii_uppercase()) {
            return fault("san", "a DNS name is written in lower case");
        }
        if name.is_empty() || name.contains(char::is_control) {
            return fault("san", "its section has no name");
        }
        Ok(())
    }
}

/// The callers of the config by the names in their certificates.
#[derive(Debug)]
pub(super) struct Certificates {
    by_san: BTreeMap<String, (Principal, String)>,
}

impl Certificates {
    pub(super) fn new(config: &BTreeMap<String, Certificate>) -> Self {
        let entry = |(name, certificate): (&String, &Certificate)| {
            let tenant = certificate.tenant.clone().unwrap_or_else(|| TENANT.to_owned());
            let principal = Principal::new(format!("certificate:{name}"), certificate.roles.clone())
                .of_tenant(tenant)
                .with_attributes(certificate.attributes.clone());
            (certificate.san.clone(), (principal, name.clone()))
        };
        Self {
            by_san: config.iter().map(entry).collect(),
        }
    }

    /// The caller whose certificate this is, and the caller's name in the config.
    ///
    /// # Errors
    /// [`Error::Certificate`] when its names are nobody's, or those of several.
    pub(super) fn check(&self, der: &[u8]) -> Result<(Principal, String)> {
        let names = names(der).ok_or(Error::Certificate)?;
        let mut found = names.iter().filter_map(|name| self.by_san.get(name));
        let first = found.next().ok_or(Error::Certificate)?;
        match found.all(|other| other.1 == first.1) {
            true => Ok(first.clone()),
            false => Err(Error::Certificate),
        }
    }
}

/// The URIs and DNS names of a certificate; none when it cannot be read.
fn names(der: &[u8]) -> Option<BTreeSet<String>> {
    if der.len() > BYTES_MAX {
        return None;
    }
    let (rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let alternative = certificate.subject_alternative_name().ok()??;
    let general = &alternative.value.general_names;
    if general.len() > NAMES_MAX {
        return None;
    }
    let written = general.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::DNSName(host) => Some(format!("dns:{}", host.to_ascii_lowercase())),
        _ => None,
    });
    Some(written.collect())
}
