//! A statement as the trail keeps it: without the values in it, or with a keyed hash in the place of each.

use aws_lc_rs::hmac;

use super::chain::hex;
use super::head::SigningKey;
use super::record::{Event, bounded};
use crate::config::{Statements, Trail};

/// Hexadecimal digits of the hash that stands for a literal: equal ones are seen to be equal.
const MARK_DIGITS: usize = 16;

/// Makes records of statements.
#[derive(Debug)]
pub(super) struct Statement {
    kept: Statements,
    bytes_max: usize,
    key: hmac::Key,
}

impl Statement {
    /// As the config says.
    pub(super) fn new(config: &Trail, key: &SigningKey) -> Self {
        Self {
            kept: config.statements,
            bytes_max: usize::try_from(config.statement_bytes_max.as_u64()).unwrap_or(usize::MAX),
            key: key.hashes(),
        }
    }

    /// The digest of a statement.
    pub(super) fn digest(&self, sql: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.key, sql.as_bytes()).as_ref());
        digest
    }

    /// The record of a statement that has this digest.
    pub(super) fn event(&self, sql: &str, digest: &[u8; 32]) -> Event {
        let text = match self.kept {
            Statements::None => None,
            Statements::Text => Some(sql.to_owned()),
            Statements::Redacted => planner::shape(sql, &|_| "?".to_owned()),
            Statements::Hashed => planner::shape(sql, &|literal| {
                let digits = hex(&self.digest(literal));
                format!("#{}", digits.get(..MARK_DIGITS).unwrap_or_default())
            }),
        };
        Event::Statement {
            // What is cut off is told by the digest.
            statement: text.map(|text| bounded(&text, self.bytes_max)),
            digest: hex(digest),
        }
    }
}
