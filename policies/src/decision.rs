//! The answer of the policies about one table for one principal.

use crate::document::pattern::Part;
use crate::expression::Expression;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whether a principal may read a table, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No rule allows it. To the caller this must look as if the table did not exist.
    Deny,
    /// A rule allows it, as far as the allowance goes.
    Allow(Arc<Allowance>),
}

impl Decision {
    /// Whether anything of the table may be seen.
    pub fn is_allowed(&self) -> bool {
        self.allowance().is_some()
    }

    /// What is allowed; none when nothing is.
    pub fn allowance(&self) -> Option<&Arc<Allowance>> {
        match self {
            Self::Allow(allowance) => Some(allowance),
            Self::Deny => None,
        }
    }
}

/// Which rows may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// All of them.
    All,
    /// Those for which the condition is true. It speaks of columns and literals alone: what it says of the principal has
    /// been filled in.
    Only(Expression),
}

/// What becomes of a column's values. The type of the column stays; the result may always be NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// NULL for each row.
    Null,
    /// One value for each row, written as text and read as the column's type.
    Constant(String),
    /// Texts with all but the first and last few characters replaced. A text so short that nothing would be hidden is
    /// hidden whole.
    Partial {
        /// Characters shown at the front.
        first: u32,
        /// Characters shown at the end.
        last: u32,
        /// What stands for each hidden character.
        with: char,
    },
    /// HMAC-SHA-256 of a text under the tenant's key, as 64 hexadecimal digits. Equal values stay equal within a tenant.
    Hash {
        /// The tenant's key.
        key: MaskKey,
    },
    /// The largest multiple of a width that is not above the number.
    Bucket {
        /// The width, at least 1.
        width: u64,
    },
    /// The start of the year, month, day or hour of a time.
    Truncate {
        /// The unit.
        to: Unit,
    },
    /// Any total expression over the table's own columns.
    Custom(Expression),
}

/// A unit of time to which a value is cut.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The first of January.
    Year,
    /// The first of January, April, July or October.
    Quarter,
    /// The first of the month.
    Month,
    /// Midnight.
    Day,
    /// The full hour.
    Hour,
}

impl Unit {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Quarter => "quarter",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }
}

/// A key of keyed hashes: 32 bytes that never leave this process.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskKey(pub(crate) [u8; 32]);

impl MaskKey {
    /// The bytes, for the hash alone.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A mark of the key that tells nothing of it.
    fn stamp(&self) -> String {
        hexadecimal(&self.0, 8)
    }
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("***")
    }
}

/// What becomes of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column<'a> {
    /// It does not exist for the principal.
    Absent,
    /// It is shown as it is.
    Plain,
    /// It is shown through a mask.
    Masked(&'a Mask),
}

/// A mask in force, with the columns it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Masking {
    pub(crate) column: Part,
    /// None hides the column.
    pub(crate) mask: Option<Mask>,
    pub(crate) rule: String,
}

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub(crate) rules: Vec<String>,
    pub(crate) rows: Rows,
    /// Whether a column that no grant names is granted.
    pub(crate) others: bool,
    /// Whether each column is granted that a grant names.
    pub(crate) named: BTreeMap<String, bool>,
    /// Masks, the strongest first.
    pub(crate) masks: Vec<Masking>,
    /// Columns that rules for this very table name: without them the rules would not mean what they say.
    pub(crate) required: BTreeSet<String>,
    pub(crate) fingerprint: String,
}

impl Allowance {
    /// The names of the rules that made it, in the order in which they came in.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Which rows may be seen.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What becomes of a column of this name.
    pub fn column(&self, name: &str) -> Column<'_> {
        if !self.named.get(name).copied().unwrap_or(self.others) {
            return Column::Absent;
        }
        match self.masking(name) {
            None => Column::Plain,
            Some(Masking { mask: None, .. }) => Column::Absent,
            Some(Masking { mask: Some(mask), .. }) => Column::Masked(mask),
        }
    }

    /// The name of the rule that hides or masks a column; none when it is plain or not granted.
    pub fn masked_by(&self, name: &str) -> Option<&str> {
        self.masking(name).map(|masking| masking.rule.as_str())
    }

    fn masking(&self, name: &str) -> Option<&Masking> {
        self.masks.iter().find(|masking| masking.column.matches(name))
    }

    /// Columns that must be in the table, for else a rule about it would have lost its object.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.required.iter().map(String::as_str)
    }

    /// Whether a column of this name is spoken of by any rule.
    pub fn speaks_of(&self, name: &str) -> bool {
        self.named.contains_key(name) || self.masking(name).is_some()
    }

    /// Whether all rows and all columns are shown as they are.
    pub fn is_plain(&self) -> bool {
        self.rows == Rows::All
            && self.others
            && self.named.values().all(|granted| *granted)
            && self.masks.is_empty()
    }

    /// Identifies what is allowed: two principals with equal fingerprints see the same of the table. 32 hexadecimal
    /// digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The allowance with its fingerprint.
    pub(crate) fn sealed(mut self) -> Self {
        let mut text = match &self.rows {
            Rows::All => "all".to_owned(),
            Rows::Only(condition) => format!("only {condition}"),
        };
        text += &format!("\n{} {:?} {:?}", self.others, self.named, self.required);
        for masking in &self.masks {
            text += &format!("\n{:?} {:?}", masking.column, masking.mask);
            if let Some(Mask::Hash { key }) = &masking.mask {
                text += &key.stamp();
            }
        }
        self.fingerprint = hexadecimal(text.as_bytes(), 16);
        self
    }
}

/// The first bytes of the SHA-256 of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8], length: usize) -> String {
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .take(length)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
