//! Who asks. A principal is proof that an authenticator has said yes.
//!
//! Invariant: no public constructor. Only [`crate::identity`] makes one, so a function that takes a `Principal`
//! cannot be reached by a caller whom nobody has checked.

use std::collections::BTreeSet;

/// A checked caller: the subject's name and the roles that policies speak about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    subject: String,
    roles: BTreeSet<String>,
}

impl Principal {
    pub(crate) fn new(subject: impl Into<String>, roles: BTreeSet<String>) -> Self {
        Self {
            subject: subject.into(),
            roles,
        }
    }

    /// The name under which the caller is known, as in the users file. Case matters.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The roles that the caller has now. They come from the users file at each call, never from a token.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }
}
