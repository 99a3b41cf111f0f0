//! The full name of a table, as policies and plans speak of it.

use std::fmt;

/// Catalog, schema and table, each exactly as the source spells it. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The name of the source in the config.
    pub catalog: String,
    /// The namespace within the source; a nested namespace is one part, joined by dots.
    pub schema: String,
    /// The table within the namespace.
    pub table: String,
}

impl TableName {
    /// A name out of its three parts.
    pub fn new(catalog: impl Into<String>, schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            catalog: catalog.into(),
            schema: schema.into(),
            table: table.into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}
