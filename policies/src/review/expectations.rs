//! Policy tests: a file of expectations about who sees what, which a document meets or does not.
//!
//! ```toml
//! [[test]]
//! name = "viewers see the end of a telephone number"
//! roles = ["data_viewer"]
//! table = "lake.gold.customer"
//! rows = "c_mktsegment = 'BUILDING'"
//! columns = { c_phone = "masked", c_acctbal = "absent", c_name = "plain" }
//! ```

use super::Somebody;
use crate::decide::PolicySet;
use crate::decision::{Column, Decision, Rows};
use crate::document::{self, pattern::ObjectPattern, pattern::Part};
use crate::error::{Error, Result};
use crate::expression;
use crate::table_name::TableName;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How a column is expected to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// It is not there.
    Absent,
    /// Through any mask.
    Masked,
    /// As it is.
    Plain,
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What is expected, in words.
    pub name: String,
    /// Who asks.
    #[serde(default)]
    pub subject: String,
    /// With which roles.
    pub roles: BTreeSet<String>,
    /// For which table, as `catalog.schema.table`.
    pub table: ObjectPattern,
    /// `all`, `none`, `not found`, or the condition of the rows that are shown; nothing is expected when not written.
    pub rows: Option<String>,
    /// How columns are shown.
    #[serde(default)]
    pub columns: BTreeMap<String, Shown>,
}

/// A file of expectations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// The expectations, in this order.
    #[serde(rename = "test")]
    pub tests: Vec<Expectation>,
}

impl Expectations {
    /// Reads a file's text. `path` only names it.
    ///
    /// # Errors
    /// [`Error::Document`] with the line and the key, or the test, at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let read: Self = document::read(text, path)?;
        match read.tests.iter().find(|test| !test.table.table().is_exact()) {
            Some(test) => Err(Error::Document {
                path: path.to_owned(),
                line: None,
                reason: format!("test `{}` does not name one table", test.name),
            }),
            None => Ok(read),
        }
    }

    /// What is not as expected, test by test.
    pub fn failures(&self, set: &PolicySet) -> Vec<(String, String)> {
        let mut failures = Vec::new();
        for test in &self.tests {
            for problem in test.problems(set) {
                failures.push((test.name.clone(), problem));
            }
        }
        failures
    }
}

impl Expectation {
    fn problems(&self, set: &PolicySet) -> Vec<String> {
        let name = |part: &Part| match part {
            Part::Any => String::new(),
            Part::Exactly(name) => name.clone(),
        };
        let [catalog, schema, table] = self.table.table().parts().map(name);
        let who = Somebody {
            subject: self.subject.clone(),
            roles: self.roles.clone(),
        };
        let decision = set.decide(&who.principal(), &TableName::new(catalog, schema, table));
        let Decision::Allow(allowance) = decision else {
            return match self.rows.as_deref() == Some("not found") && self.columns.is_empty() {
                true => Vec::new(),
                false => vec!["the table is not found".to_owned()],
            };
        };
        let mut problems = Vec::new();
        let found = match allowance.rows() {
            Rows::All => "all".to_owned(),
            Rows::Only(condition) if condition.to_string() == "FALSE" => "none".to_owned(),
            Rows::Only(condition) => condition.to_string(),
        };
        if let Some(expected) = &self.rows {
            // A condition may be written otherwise and mean the same.
            let printed =
                expression::parse(expected).map_or_else(|_| expected.clone(), |read| read.to_string());
            if found != *expected && found != printed {
                problems.push(format!("rows: expected {expected}, found {found}"));
            }
        }
        for (column, expected) in &self.columns {
            let found = match allowance.column(column) {
                Column::Absent => Shown::Absent,
                Column::Masked(_) => Shown::Masked,
                Column::Plain => Shown::Plain,
            };
            if found != *expected {
                problems.push(format!("column {column}: expected {expected:?}, found {found:?}"));
            }
        }
        problems
    }
}
