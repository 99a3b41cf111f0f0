//! Tokens of issuers that are taken back before their time. A password ends its tokens when it changes and an API key is
//! taken back in its own file; for a token that somebody else has made there is this one.
//!
//! ```toml
//! [[token]]                            # one token, by its `jti`
//! issuer = "corp"
//! id = "5b1d..."
//!
//! [[subject]]                          # every token of a subject that was issued before a time
//! issuer = "corp"
//! subject = "7f3a"
//! before = "2026-01-05T08:00:00Z"
//! ```

use crate::document;
use crate::error::Result;
use crate::identity::file;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

/// The revoked tokens of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    tokens: BTreeSet<(String, String)>,
    subjects: BTreeMap<(String, String), SystemTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    token: Vec<WrittenToken>,
    #[serde(default)]
    subject: Vec<WrittenSubject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenToken {
    issuer: String,
    id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSubject {
    issuer: String,
    subject: String,
    #[serde(with = "humantime_serde")]
    before: SystemTime,
}

impl Revocations {
    /// Reads a file; one that is not there takes nothing back.
    ///
    /// # Errors
    /// [`crate::Error::File`] if it cannot be read, [`crate::Error::Document`] naming the line and key at fault.
    pub fn open(path: &Path) -> Result<Self> {
        match file::read_if_there(path)? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    /// Reads the text of a file. `path` only names it in errors.
    ///
    /// # Errors
    /// [`crate::Error::Document`] naming the line and key at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let written: Written = document::read(text, path)?;
        let mut subjects = BTreeMap::new();
        for entry in written.subject {
            let latest = subjects
                .entry((entry.issuer, entry.subject))
                .or_insert(entry.before);
            *latest = entry.before.max(*latest);
        }
        Ok(Self {
            tokens: written
                .token
                .into_iter()
                .map(|token| (token.issuer, token.id))
                .collect(),
            subjects,
        })
    }

    /// Whether a token has been taken back. One that does not say when it was issued counts as old.
    pub(super) fn contain(
        &self,
        issuer: &str,
        subject: &str,
        id: Option<&str>,
        issued: Option<SystemTime>,
    ) -> bool {
        let named = id.is_some_and(|id| self.tokens.contains(&(issuer.to_owned(), id.to_owned())));
        let before = self.subjects.get(&(issuer.to_owned(), subject.to_owned()));
        named || before.is_some_and(|before| issued.is_none_or(|issued| issued < *before))
    }
}
