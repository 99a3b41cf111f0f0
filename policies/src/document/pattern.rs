//! The written form of "which tables": three parts with dots between them, each a name or `*`.
//!
//! A part that holds a dot, a star or a quote is written in double quotes, a quote within it doubled:
//! `lake."eu.sales".*`. `*` stands for one whole part; a star among letters is refused, because `gold*` would open
//! tables that nobody has thought of.

use crate::table_name::TableName;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// Which tables a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    catalog: Part,
    schema: Part,
    table: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Any,
    Exactly(String),
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == name,
        }
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table pattern `{pattern}` {reason}")]
pub struct PatternError {
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
}

impl FromStr for TablePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let fault = |reason| PatternError {
            pattern: text.to_owned(),
            reason,
        };
        let mut letters = text.chars().peekable();
        let mut parts = Vec::with_capacity(3);
        loop {
            parts.push(part(&mut letters).map_err(fault)?);
            match letters.next() {
                None => break,
                Some('.') if parts.len() < 3 => {}
                Some('.') => return Err(fault("has more than three parts")),
                Some(_) => return Err(fault("has letters after a closing quote")),
            }
        }
        let [catalog, schema, table] =
            <[Part; 3]>::try_from(parts).map_err(|_| fault("has fewer than three parts"))?;
        Ok(Self {
            catalog,
            schema,
            table,
        })
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

impl<'de> Deserialize<'de> for TablePattern {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(de::Error::custom)
    }
}
