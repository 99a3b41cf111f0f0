//! What a credential is for. A scope takes away and never gives: a key for metadata reads no row, whatever the policies
//! allow its service.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// One thing that a credential may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To run statements and read rows.
    Select,
    /// To list catalogs, schemas, tables and columns.
    Metadata,
    /// To write through the ingest path.
    Ingest,
    /// To change and explain policies.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Select, Self::Metadata, Self::Ingest, Self::Admin];

    /// As it is written in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Metadata => "metadata",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope: a password, a token of an issuer and a certificate are not narrowed.
    pub fn all() -> Self {
        Self::of(&Scope::ALL.into())
    }

    /// The scopes of a set.
    pub fn of(scopes: &BTreeSet<Scope>) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether the credential is for this.
    pub fn contain(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn a_set_contains_what_it_was_made_of_and_nothing_else() {
        let some = Scopes::of(&[Scope::Metadata, Scope::Ingest].into());
        let found: Vec<bool> = Scope::ALL.iter().map(|scope| some.contain(*scope)).collect();
        assert_eq!(found, [false, true, true, false]);
        assert!(Scope::ALL.iter().all(|scope| Scopes::all().contain(*scope)));
        assert!(!Scopes::of(&[].into()).contain(Scope::Select));
    }
}
