//! What either protocol gives back for a statement, in one form, so that a test does not care which one it asked.

use std::fmt;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The rows of a statement.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The schema announced before the rows.
    pub schema: SchemaRef,
    /// The rows, in the order of their endpoints.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every cell as text: SQL null is `NULL`, an empty string `(empty)`, a line break inside a value `\n`.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::with_capacity(self.len());
        for batch in &self.batches {
            let columns: Vec<ArrayFormatter<'_>> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a printable type"))
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(
                    columns
                        .iter()
                        .map(|column| printed(&column.value(row).to_string()))
                        .collect(),
                );
            }
        }
        rows
    }

    /// The one cell of an answer of one row and one column.
    pub fn cell(&self) -> String {
        let rows = self.rows();
        assert!(
            rows.len() == 1 && rows[0].len() == 1,
            "one cell expected: {rows:?}"
        );
        rows[0][0].clone()
    }

    /// The text of the first row's first column, unchanged; `None` when it is null.
    pub fn text(&self) -> Option<String> {
        let column = self.batches.first()?.column(0).as_string_opt::<i32>()?;
        column.is_valid(0).then(|| column.value(0).to_owned())
    }
}

fn printed(value: &str) -> String {
    if value.is_empty() {
        "(empty)".to_owned()
    } else {
        value.replace('\n', "\\n")
    }
}

/// A statement refused, or a connection: the protocol's own code, and the text for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC code's name, or the HTTP status as a number.
    pub code: String,
    /// What the caller is told.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
