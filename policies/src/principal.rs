//! Who asks. A principal is proof that an authenticator has said yes.
//!
//! Invariant: no public constructor. Only [`crate::identity`] makes one, so a function that takes a `Principal`
//! cannot be reached by a caller whom nobody has checked.

mod attributes;
mod scope;

pub(crate) use attributes::is_name as is_attribute_name;
pub use attributes::{Attribute, Attributes};
pub use scope::{Scope, Scopes};

use std::collections::BTreeSet;

/// The tenant of accounts for which nobody has named one.
pub(crate) const TENANT: &str = "default";

/// A checked caller: the subject's name, the tenant, and the roles and attributes that policies speak about.
///
/// Two principals that are equal may see the same things under the same policies; the credential that was shown is
/// therefore no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    subject: String,
    tenant: String,
    roles: BTreeSet<String>,
    attributes: Attributes,
    scopes: Scopes,
}

impl Principal {
    pub(crate) fn new(subject: impl Into<String>, roles: BTreeSet<String>) -> Self {
        Self {
            subject: subject.into(),
            tenant: TENANT.to_owned(),
            roles,
            attributes: Attributes::default(),
            scopes: Scopes::all(),
        }
    }

    pub(crate) fn of_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    pub(crate) fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    pub(crate) fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Whether this caller may do, see and compare at least what `other` could, as far as policies tell them apart by
    /// what a principal is.
    pub(crate) fn may_all_of(&self, other: &Self) -> bool {
        self.subject == other.subject
            && self.tenant == other.tenant
            && self.attributes == other.attributes
            && self.roles.is_superset(&other.roles)
            && Scope::ALL
                .iter()
                .all(|scope| self.scopes.contain(*scope) || !other.scopes.contain(*scope))
    }

    /// The name under which the caller is known, unique in the whole house. Case matters. A user of the users file has
    /// the name written there, which holds no colon; every other caller has a prefix that tells where the name comes
    /// from, such as `service:etl` for an API key and `corp:7f3a` for the subject `7f3a` of the issuer `corp`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whose data the caller works with; `default` where nobody has named one.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The roles that the caller has now. They come from the users file, the keys file or a token of an issuer whose
    /// config says which claims are roles; never from a token of our own.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// What row filters may compare with. A name that is not there is NULL to a filter, and NULL hides the row.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// What the credential lets the caller do at most. A scope grants nothing by itself: the policies do.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }
}
