//! The written form of "which objects": parts with dots between them, each a name or `*`.
//!
//! A table is three parts, a column four; a grant may also name a schema with two and a catalog with one. A part that
//! holds a dot, a star or a quote is written in double quotes, a quote within it doubled: `lake."eu.sales".*`. `*` stands
//! for one whole part; a star among letters is refused, because `gold*` would open tables that nobody has thought of.
//! `{subject}` within a part stands for the caller's name, so that one grant gives each caller a schema of their own.

use crate::table_name::TableName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// Stands for the caller's name within a part.
const SUBJECT: &str = "{subject}";

/// Which tables a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    catalog: Part,
    schema: Part,
    table: Part,
}

/// Which objects a grant speaks of: a catalog, a schema, a table or a column, and all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPattern {
    table: TablePattern,
    column: Part,
    /// How many parts were written.
    parts: usize,
}

/// Which columns a mask speaks of: four parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPattern(ObjectPattern);

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Any,
    Exactly(String),
}

impl Part {
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == name,
        }
    }

    /// Whether one name can match both.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(one), Self::Exactly(two)) => {
                one == two || holds_subject(one) || holds_subject(two)
            }
            _ => true,
        }
    }

    fn of_subject(&self, subject: &str) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Exactly(name) => Self::Exactly(name.replace(SUBJECT, subject)),
        }
    }
}

fn holds_subject(name: &str) -> bool {
    name.contains(SUBJECT)
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} pattern `{pattern}` {reason}")]
pub struct PatternError {
    /// `table`, `object` or `column`.
    pub what: &'static str,
    /// The text as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl TablePattern {
    /// Whether the pattern speaks of this table.
    pub fn matches(&self, name: &TableName) -> bool {
        self.touches_schema(&name.catalog, &name.schema) && self.table.matches(&name.table)
    }

    /// Whether the pattern can speak of any table of this schema.
    pub fn touches_schema(&self, catalog: &str, schema: &str) -> bool {
        self.touches_catalog(catalog) && self.schema.matches(schema)
    }

    /// Whether the pattern can speak of any table of this catalog.
    pub fn touches_catalog(&self, catalog: &str) -> bool {
        self.catalog.matches(catalog)
    }

    /// Whether it names one table and no others.
    pub fn is_exact(&self) -> bool {
        [&self.catalog, &self.schema, &self.table]
            .iter()
            .all(|part| matches!(part, Part::Exactly(_)))
    }

    pub(crate) fn parts(&self) -> [&Part; 3] {
        [&self.catalog, &self.schema, &self.table]
    }

    /// The pattern for one caller.
    pub(crate) fn of_subject(&self, subject: &str) -> Self {
        Self {
            catalog: self.catalog.of_subject(subject),
            schema: self.schema.of_subject(subject),
            table: self.table.of_subject(subject),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        self.parts()
            .iter()
            .zip(other.parts())
            .all(|(one, two)| one.meets(two))
    }
}

impl ObjectPattern {
    /// The tables that it speaks of, wholly or in part.
    pub fn table(&self) -> &TablePattern {
        &self.table
    }

    pub(crate) fn column(&self) -> &Part {
        &self.column
    }

    /// Whether a part depends on who asks.
    pub(crate) fn is_personal(&self) -> bool {
        self.table
            .parts()
            .iter()
            .chain([&&self.column])
            .any(|part| matches!(part, Part::Exactly(name) if holds_subject(name)))
    }

    /// The pattern for one caller.
    pub(crate) fn of_subject(&self, subject: &str) -> Self {
        Self {
            table: self.table.of_subject(subject),
            column: self.column.of_subject(subject),
            parts: self.parts,
        }
    }

    /// Whether all of this catalog lies within the pattern.
    pub(crate) fn covers_catalog(&self, catalog: &str) -> bool {
        self.table.touches_catalog(catalog) && self.table.schema == Part::Any && self.is_whole()
    }

    /// Whether all of this schema lies within the pattern.
    pub(crate) fn covers_schema(&self, catalog: &str, schema: &str) -> bool {
        self.table.touches_schema(catalog, schema) && self.is_whole()
    }

    fn is_whole(&self) -> bool {
        self.table.table == Part::Any && self.column == Part::Any
    }
}

impl From<TablePattern> for ObjectPattern {
    fn from(table: TablePattern) -> Self {
        Self {
            table,
            column: Part::Any,
            parts: 3,
        }
    }
}

impl ColumnPattern {
    /// The tables that it speaks of.
    pub fn table(&self) -> &TablePattern {
        &self.0.table
    }

    pub(crate) fn column(&self) -> &Part {
        &self.0.column
    }

    /// The column, where the pattern names one column of one table and no others.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &self.0.column {
            Part::Exactly(column) if self.0.table.is_exact() => Some(column),
            _ => None,
        }
    }

    /// Whether one column can match both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.table.meets(&other.0.table) && self.0.column.meets(&other.0.column)
    }
}

impl FromStr for TablePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let parts = parts("table", text, 3, 3)?;
        Ok(table_of(&parts))
    }
}

impl FromStr for ObjectPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let parts = parts("object", text, 1, 4)?;
        Ok(Self {
            table: table_of(&parts),
            column: parts.get(3).cloned().unwrap_or(Part::Any),
            parts: parts.len(),
        })
    }
}

impl FromStr for ColumnPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let parts = parts("column", text, 4, 4)?;
        Ok(Self(ObjectPattern {
            table: table_of(&parts),
            column: parts.get(3).cloned().unwrap_or(Part::Any),
            parts: 4,
        }))
    }
}

/// The table of parts of which the missing ones are any.
fn table_of(parts: &[Part]) -> TablePattern {
    let part = |index: usize| parts.get(index).cloned().unwrap_or(Part::Any);
    TablePattern {
        catalog: part(0),
        schema: part(1),
        table: part(2),
    }
}

fn parts(what: &'static str, text: &str, fewest: usize, most: usize) -> Result<Vec<Part>, PatternError> {
    let fault = |reason| PatternError {
        what,
        pattern: text.to_owned(),
        reason,
    };
    let (few, many) = match most {
        3 => ("has fewer than three parts", "has more than three parts"),
        _ => ("has fewer than four parts", "has more than four parts"),
    };
    let mut letters = text.chars().peekable();
    let mut parts = Vec::with_capacity(most);
    loop {
        parts.push(part(&mut letters).map_err(fault)?);
        match letters.next() {
            None if parts.len() < fewest => return Err(fault(few)),
            None => return Ok(parts),
            Some('.') if parts.len() < most => {}
            Some('.') => return Err(fault(many)),
            Some(_) => return Err(fault("has letters after a closing quote")),
        }
    }
}

fn part(letters: &mut Peekable<Chars<'_>>) -> Result<Part, &'static str> {
    if letters.next_if_eq(&'"').is_some() {
        return quoted(letters);
    }
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|letter| *letter != '.') {
        name.push(letter);
    }
    match name.as_str() {
        "" => Err("has an empty part"),
        "*" => Ok(Part::Any),
        name if name.contains('*') => Err("has a star among letters; `*` matches one whole part"),
        name if name.contains('"') => Err("has a quote inside a part"),
        _ => Ok(Part::Exactly(name)),
    }
}

fn quoted(letters: &mut Peekable<Chars<'_>>) -> Result<Part, &'static str> {
    let mut name = String::new();
    loop {
        match letters.next() {
            None => return Err("has a quote that is not closed"),
            Some('"') if letters.next_if_eq(&'"').is_some() => name.push('"'),
            Some('"') if name.is_empty() => return Err("has an empty part"),
            Some('"') => return Ok(Part::Exactly(name)),
            Some(letter) => name.push(letter),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("*"),
            Self::Exactly(name) if name.contains(['.', '*', '"']) => {
                write!(out, "\"{}\"", name.replace('"', "\"\""))
            }
            Self::Exactly(name) => out.write_str(name),
        }
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

impl fmt::Display for ObjectPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.table.parts().into_iter().chain([&self.column]);
        for (index, part) in all.take(self.parts).enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(out, "{dot}{part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ColumnPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

macro_rules! written {
    ($type:ty, $name:literal, $says:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                String::deserialize(source)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $says })
            }
        }
    };
}

written!(
    TablePattern,
    "TablePattern",
    "catalog.schema.table, each a name or *"
);
written!(
    ObjectPattern,
    "ObjectPattern",
    "catalog, catalog.schema, catalog.schema.table or catalog.schema.table.column, each a name or *"
);
written!(
    ColumnPattern,
    "ColumnPattern",
    "catalog.schema.table.column, each a name or *"
);
