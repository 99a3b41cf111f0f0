//! The policy document as written, before it becomes a [`crate::PolicySet`].
//!
//! ```toml
//! [[allow]]
//! name = "analysts read gold"
//! roles = ["analyst"]
//! tables = ["lake.gold.*"]
//! ```
//!
//! Invariants: there are only rules that allow, so a missing rule can never widen what is seen. Unknown keys, rules
//! that can match nobody or nothing, and two rules of one name are refused: each is a mistake, and a mistake in a
//! policy must be loud.

pub mod pattern;

use crate::error::{Error, Result};
use pattern::TablePattern;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;

/// The whole document. An empty one is legal and allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The rules, tried in this order; the first that matches gives its name to the decision.
    #[serde(default, rename = "allow")]
    pub allows: Vec<Allow>,
}

/// One rule: who has any of these roles may read all of these tables.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// What the rule is for; unique in the document.
    pub name: String,
    /// The roles it speaks of, at least one, compared letter by letter.
    pub roles: BTreeSet<String>,
    /// The tables it opens, at least one.
    pub tables: Vec<TablePattern>,
}

impl Document {
    /// Reads a document. `path` only names the text in errors.
    ///
    /// # Errors
    /// [`Error::Document`] naming the line and the key, or the rule, at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let document: Self = read(text, path)?;
        document
            .check()
            .map_err(|reason| Error::Document {
                path: path.to_owned(),
                line: None,
                reason,
            })
            .map(|()| document)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let mut names = BTreeSet::new();
        for (index, rule) in self.allows.iter().enumerate() {
            if rule.name.trim().is_empty() {
                return Err(format!("rule {} of `allow` has an empty name", index + 1));
            }
            if !names.insert(rule.name.as_str()) {
                return Err(format!("two rules have the name `{}`", rule.name));
            }
            if rule.roles.is_empty() {
                return Err(format!("rule `{}` has no roles", rule.name));
            }
            if rule.tables.is_empty() {
                return Err(format!("rule `{}` has no tables", rule.name));
            }
        }
        Ok(())
    }
}

/// Reads TOML into `T`; an error names the line and the key and shows nothing else of the text.
pub(crate) fn read<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    toml::from_str(text).map_err(|error| Error::Document {
        path: path.to_owned(),
        line: error.span().map(|span| line_of(text, span.start)),
        reason: error.message().to_owned(),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
