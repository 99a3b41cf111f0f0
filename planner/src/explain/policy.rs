//! `EXPLAIN POLICY`: what the policies make of each table of a query for whoever asks, without a row of data.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policies::review::{Told, told};
use policies::{PolicySet, Principal, Privilege};

use crate::enforce::guard::Guards;
use crate::error::Result;
use crate::information_schema;

/// The columns: the table, a column of it, what becomes of it, the rule that does it, and why that is for the caller.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("table", false),
        text("column", true),
        text("effect", false),
        text("rule", true),
        text("because", false),
    ]))
}

/// A row for each thing that a rule does to a table of the plan. Who has `explain.full` on a table is told all of it.
///
/// # Errors
/// `Internal` when the rows do not fit their columns, which they do.
pub(crate) fn rows(policies: &PolicySet, principal: &Principal, tables: &Guards) -> Result<RecordBatch> {
    let mut all: Vec<(String, Told)> = Vec::new();
    for table in tables
        .keys()
        .filter(|table| table.schema != information_schema::NAME)
    {
        let is_full = policies.permits(principal, Privilege::ExplainFull, table);
        let rules = told(policies, principal, table, is_full);
        all.extend(rules.into_iter().map(|told| (table.to_string(), told)));
    }
    let column = |value: fn(&(String, Told)) -> Option<&str>| -> ArrayRef {
        Arc::new(all.iter().map(value).collect::<StringArray>())
    };
    let columns = vec![
        column(|(table, _)| Some(table)),
        column(|(_, told)| told.column.as_deref()),
        column(|(_, told)| Some(&told.effect)),
        column(|(_, told)| told.rule.as_deref()),
        column(|(_, told)| Some(&told.because)),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
