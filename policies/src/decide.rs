//! The decision: a pure function of document, principal and table name.
//!
//! Invariants: total (every question has an answer), without time, network or state; denied unless a rule allows;
//! taking a rule away never allows more.

use crate::decision::{Allowance, Decision};
use crate::document::{Allow, Document};
use crate::error::Result;
use crate::principal::Principal;
use crate::table_name::TableName;
use aws_lc_rs::digest::{SHA256, digest};
use std::path::Path;

/// A checked snapshot of the policies. It never changes.
#[derive(Debug, Clone)]
pub struct PolicySet {
    document: Document,
    epoch: String,
}

impl PolicySet {
    /// Reads a document. `path` only names the text in errors.
    ///
    /// # Errors
    /// [`crate::Error::Document`] naming the line and the key, or the rule, at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        Ok(Self {
            document: Document::parse(text, path)?,
            epoch: epoch_of(text),
        })
    }

    /// What the principal may see of the table. The first matching rule of the document gives the allowance.
    pub fn decide(&self, principal: &Principal, table: &TableName) -> Decision {
        self.rules_of(principal)
            .find(|rule| rule.tables.iter().any(|pattern| pattern.matches(table)))
            .map_or(Decision::Deny, |rule| {
                Decision::Allow(Allowance {
                    rule: rule.name.clone(),
                })
            })
    }

    /// Whether any table of this schema, present or to come, may be seen. If not, the schema does not exist for the
    /// principal.
    pub fn reaches_schema(&self, principal: &Principal, catalog: &str, schema: &str) -> bool {
        self.rules_of(principal)
            .flat_map(|rule| &rule.tables)
            .any(|pattern| pattern.touches_schema(catalog, schema))
    }

    /// Whether any table of this catalog, present or to come, may be seen. If not, the catalog does not exist for the
    /// principal.
    pub fn reaches_catalog(&self, principal: &Principal, catalog: &str) -> bool {
        self.rules_of(principal)
            .flat_map(|rule| &rule.tables)
            .any(|pattern| pattern.touches_catalog(catalog))
    }

    /// Identifies the document: equal text, equal epoch, on every node. 32 hexadecimal digits of its SHA-256.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    fn rules_of<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = &'a Allow> {
        self.document
            .allows
            .iter()
            .filter(|rule| !rule.roles.is_disjoint(principal.roles()))
    }
}

fn epoch_of(text: &str) -> String {
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
