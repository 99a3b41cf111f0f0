//! The policy document as written, before it becomes a [`crate::PolicySet`].
//!
//! ```toml
//! [[role]]
//! name = "analyst"
//! inherits = ["gold_reader"]
//!
//! [[grant]]
//! name = "gold"
//! roles = ["gold_reader"]
//! privileges = ["select"]
//! on = ["lake.gold"]
//!
//! [[filter]]
//! name = "own segment"
//! roles = ["analyst"]
//! on = ["lake.gold.customer"]
//! where = "c_mktsegment = principal.segment"
//!
//! [[mask]]
//! name = "telephone"
//! roles = ["analyst"]
//! on = ["lake.gold.customer.c_phone"]
//! kind = "partial"
//! last = 4
//! ```
//!
//! `deploy/policies/schema.json` is its JSON Schema, `deploy/policies/example.toml` the example that the quickstart uses.
//! `[[allow]]` with name, roles and tables is the short form of a grant to read.
//!
//! Invariants: what no grant allows is denied. Unknown keys, rules that can match nobody or nothing, two rules of one
//! name, cycles of roles, two masks of one priority on one column, and expressions that have no type are refused: each is
//! a mistake, and a mistake in a policy must be loud.

mod check;
pub mod pattern;

use crate::decision::Unit;
use crate::error::{Error, Result};
use pattern::{ColumnPattern, ObjectPattern, TablePattern};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;

/// The whole document. An empty one is legal and allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Lakegate policies")]
pub struct Document {
    /// Short grants to read.
    #[serde(default, rename = "allow")]
    pub allows: Vec<Allow>,
    /// Roles that inherit others. A role that inherits nothing need not be declared.
    #[serde(default, rename = "role")]
    pub roles: Vec<Role>,
    /// Who may do what with which objects.
    #[serde(default, rename = "grant")]
    pub grants: Vec<Grant>,
    /// Which rows are shown.
    #[serde(default, rename = "filter")]
    pub filters: Vec<Filter>,
    /// What becomes of columns.
    #[serde(default, rename = "mask")]
    pub masks: Vec<Mask>,
    /// Sets that filters ask by an attribute of the principal.
    #[serde(default, rename = "mapping")]
    pub mappings: Vec<Mapping>,
    /// Tables that show no row unless a permissive filter does, also when their last filter is gone.
    #[serde(default)]
    pub row_secured: Vec<TablePattern>,
    /// Decisions that must come out as written, or the document is refused.
    #[serde(default, rename = "canary")]
    pub canaries: Vec<Canary>,
}

/// Who has any of these roles may read all of these tables, their metadata and their plans.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// What the rule is for; unique in the document.
    pub name: String,
    /// The roles it speaks of, at least one, compared letter by letter.
    pub roles: BTreeSet<String>,
    /// The tables it opens, at least one.
    pub tables: Vec<TablePattern>,
}

/// A role with all that others have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role.
    pub name: String,
    /// The roles whose rights, filters and masks it has too.
    #[serde(default)]
    pub inherits: BTreeSet<String>,
}

/// What a grant is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, Deserialize, JsonSchema,
)]
pub enum Privilege {
    /// To read rows and to know that the object exists.
    #[serde(rename = "select")]
    Select,
    /// To read the metadata tables of a table, such as `t$files`.
    #[serde(rename = "metadata")]
    Metadata,
    /// To see whole plans of queries, and the policies that made them.
    #[serde(rename = "explain.full")]
    ExplainFull,
    /// To write by the ingest path.
    #[serde(rename = "ingest")]
    Ingest,
    /// To change and explain policies.
    #[serde(rename = "admin")]
    Admin,
}

impl Privilege {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Select,
        Self::Metadata,
        Self::ExplainFull,
        Self::Ingest,
        Self::Admin,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Metadata => "metadata",
            Self::ExplainFull => "explain.full",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }
}

/// Whether a grant gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It gives.
    #[default]
    Allow,
    /// It takes, whatever others give.
    Deny,
}

/// Who has any of these roles may do all of this with all of these objects, or may not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What the rule is for; unique in the document.
    pub name: String,
    /// The roles it speaks of, at least one, compared letter by letter.
    pub roles: BTreeSet<String>,
    /// What may be done, at least one.
    pub privileges: BTreeSet<Privilege>,
    /// With what, at least one.
    pub on: Vec<ObjectPattern>,
    /// `deny` takes away what other grants give.
    #[serde(default)]
    pub effect: Effect,
}

/// How a filter stands to the others of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FilterKind {
    /// A row is shown if any permissive filter shows it.
    #[default]
    Permissive,
    /// A row is hidden unless every restrictive filter shows it.
    Restrictive,
}

/// Which rows of these tables are shown to whom. A table of which any filter speaks shows nothing to those of whom no
/// permissive one speaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What the rule is for; unique in the document.
    pub name: String,
    /// The roles it speaks of; everybody when not written.
    pub roles: Option<BTreeSet<String>>,
    /// Roles whose owners it does not speak of.
    #[serde(default)]
    pub except_roles: BTreeSet<String>,
    /// The tables, at least one.
    pub on: Vec<TablePattern>,
    /// `permissive` or `restrictive`.
    #[serde(default)]
    pub kind: FilterKind,
    /// The condition, in the language of [`crate::expression`].
    #[serde(rename = "where")]
    pub condition: String,
}

/// What a mask does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskKind {
    /// The column does not exist.
    Deny,
    /// NULL.
    Null,
    /// `value`, read as the column's type.
    Constant,
    /// The `first` and `last` characters stay, `with` stands for each other one.
    Partial,
    /// A keyed hash; needs `policies.mask_key` in the config.
    Hash,
    /// The multiple of `width` below.
    Bucket,
    /// The start of the unit `to`.
    Truncate,
    /// `expression`.
    Custom,
}

/// What becomes of these columns for whom. Of several masks on one column the one of the highest priority counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// What the rule is for; unique in the document.
    pub name: String,
    /// The roles it speaks of; everybody when not written.
    pub roles: Option<BTreeSet<String>>,
    /// Roles whose owners it does not speak of.
    #[serde(default)]
    pub except_roles: BTreeSet<String>,
    /// The columns, at least one.
    pub on: Vec<ColumnPattern>,
    /// What it does.
    pub kind: MaskKind,
    /// Which mask counts where several meet.
    #[serde(default)]
    pub priority: i32,
    /// Of `constant`: the value.
    pub value: Option<String>,
    /// Of `partial`: characters shown at the front.
    pub first: Option<u32>,
    /// Of `partial`: characters shown at the end.
    pub last: Option<u32>,
    /// Of `partial`: what stands for a hidden character; `*` when not written.
    pub with: Option<char>,
    /// Of `bucket`: the width.
    pub width: Option<u64>,
    /// Of `truncate`: the unit.
    pub to: Option<Unit>,
    /// Of `custom`: the expression.
    pub expression: Option<String>,
}

/// A value of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MappedValue {
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Pairs of a key and a value; a key may have many values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The name by which filters ask.
    pub name: String,
    /// The pairs, at most 100000. Keys are of one type, and so are values.
    pub rows: Vec<(MappedValue, MappedValue)>,
}

/// A decision that must come out as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The roles of the one who asks.
    pub roles: BTreeSet<String>,
    /// What is asked for.
    pub privilege: Privilege,
    /// A table or a column, each part a name.
    pub on: ObjectPattern,
    /// What the answer must be.
    pub expect: Effect,
}

impl Document {
    /// Reads a document. `path` only names the text in errors.
    ///
    /// # Errors
    /// [`Error::Document`] naming the line and the key, or the rule, at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        if text.len() > check::DOCUMENT_BYTES_MAX {
            return Err(fault(
                path,
                format!("it is longer than {} bytes", check::DOCUMENT_BYTES_MAX),
            ));
        }
        let document: Self = read(text, path)?;
        document
            .check()
            .map_err(|reason| fault(path, reason))
            .map(|()| document)
    }

    /// The grants, short ones in their long form.
    pub(crate) fn all_grants(&self) -> impl Iterator<Item = Grant> {
        let short = self.allows.iter().map(|allow| Grant {
            name: allow.name.clone(),
            roles: allow.roles.clone(),
            privileges: [Privilege::Select, Privilege::Metadata, Privilege::ExplainFull].into(),
            on: allow.tables.iter().cloned().map(ObjectPattern::from).collect(),
            effect: Effect::Allow,
        });
        short.chain(self.grants.iter().cloned())
    }
}

/// The JSON Schema of a document.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

pub(crate) fn fault(path: &Path, reason: String) -> Error {
    Error::Document {
        path: path.to_owned(),
        line: None,
        reason,
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
