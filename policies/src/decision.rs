//! The answer of a policy about one table for one principal.

/// Whether a principal may read a table, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// No rule allows it. To the caller this must look as if the table did not exist.
    Deny,
    /// A rule allows it, as far as the allowance goes.
    Allow(Allowance),
}

impl Decision {
    /// Whether anything of the table may be seen.
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::Allow(_) => true,
            Self::Deny => false,
        }
    }
}

/// What is allowed. Today all rows and columns; row filters and masks find their place here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Allowance {
    /// The name of the first rule of the document that allows it, for the audit.
    pub rule: String,
}
