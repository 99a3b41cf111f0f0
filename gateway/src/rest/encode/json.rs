//! Rows as one JSON object, or as lines of JSON.
//!
//! The object is `{"schema": [..], "rows": [..], "row_count": n, .., "request_id": ".."}`, with the rows between so that
//! nothing has to be known before it is. An answer that fails half-way ends with `"error"` in place of `"row_count"`, a
//! line answer with a line `{"error": ..}`, and both are broken off after it.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, SchemaRef};
use arrow::json::EncoderOptions;
use arrow::json::writer::make_encoder;
use serde::Serialize;
use serde_json::to_writer;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::rest::accept::Shape;
use crate::rest::encode::{Encode, End, PIECE_ROWS, cell, unwritten};
use crate::rest::problem::Problem;

/// A column of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct AnswerColumn {
    /// The name; in rows that are objects, their key.
    #[schema(example = "l_shipdate")]
    name: String,
    /// The SQL type.
    #[serde(rename = "type")]
    #[schema(example = "DATE")]
    kind: String,
    /// Whether values may be missing.
    nullable: bool,
}

/// Rows in JSON; built for the description of the API, written by hand below.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "schema": [
        {"name": "l_orderkey", "type": "BIGINT", "nullable": false},
        {"name": "l_extendedprice", "type": "DECIMAL(15,2)", "nullable": true},
        {"name": "l_shipdate", "type": "DATE", "nullable": true}
    ],
    "rows": [{"l_orderkey": 1, "l_extendedprice": 24386.67, "l_shipdate": "1996-03-13"}],
    "row_count": 1,
    "request_id": "0198d2a4c0de7cc3a1b2c3d4e5f60718"
}))]
pub(in crate::rest) struct Rows {
    /// The columns in order.
    pub(in crate::rest) schema: Vec<AnswerColumn>,
    /// The rows: objects, or arrays with `rows=arrays`.
    pub(in crate::rest) rows: Vec<serde_json::Value>,
    /// How many rows the answer has. An answer without it broke off and is not whole.
    pub(in crate::rest) row_count: u64,
    /// Pages only: whether there are more rows.
    pub(in crate::rest) truncated: Option<bool>,
    /// Pages only: where the next one begins; null at the end, and where the rows have no order to go on in.
    pub(in crate::rest) next_cursor: Option<String>,
    /// Names the request.
    pub(in crate::rest) request_id: String,
    /// What each source was asked, what stayed here and why, how old the data is, and what came over.
    #[schema(value_type = Object)]
    pub(in crate::rest) report: Option<serde_json::Value>,
}

/// Rows in JSON, in the making.
pub(super) struct Json {
    fields: Fields,
    arrays: bool,
    is_document: bool,
    has_rows: bool,
    /// The column names as rows have them.
    names: Vec<String>,
    /// What stands before each value of a row.
    before: Vec<Vec<u8>>,
    options: EncoderOptions,
}

impl Json {
    /// One object.
    pub(super) fn document(shape: Shape, schema: &SchemaRef) -> Self {
        Self::new(shape, schema, true)
    }

    /// A line for each row.
    pub(super) fn lines(shape: Shape, schema: &SchemaRef) -> Self {
        Self::new(shape, schema, false)
    }

    fn new(shape: Shape, schema: &SchemaRef, is_document: bool) -> Self {
        let names = names(schema.fields(), shape.arrays);
        let before = names
            .iter()
            .enumerate()
            .map(|(index, name)| before(index, name, shape.arrays))
            .collect();
        Self {
            fields: schema.fields().clone(),
            arrays: shape.arrays,
            is_document,
            has_rows: false,
            names,
            before,
            options: cell::options(shape.decimals_as_text),
        }
    }

    fn columns(&self) -> Vec<AnswerColumn> {
        let columns = self.fields.iter().zip(&self.names);
        columns
            .map(|(field, name)| AnswerColumn {
                name: name.clone(),
                kind: planner::type_name(field.data_type()),
                nullable: field.is_nullable(),
            })
            .collect()
    }
}

/// The names of the columns, no two alike where they are keys of an object: `SELECT a.id, b.id` must not lose one.
fn names(fields: &Fields, arrays: bool) -> Vec<String> {
    let given: HashSet<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut unique = |name: &String| {
        if arrays || taken.insert(name.clone()) {
            return name.clone();
        }
        let mut numbered = (2..).map(|number: u64| format!("{name}_{number}"));
        let free = numbered.find(|other| !given.contains(other.as_str()) && taken.insert(other.clone()));
        free.unwrap_or_else(|| name.clone())
    };
    fields.iter().map(|field| unique(field.name())).collect()
}

fn before(index: usize, name: &str, arrays: bool) -> Vec<u8> {
    let mut text = if index == 0 { Vec::new() } else { vec![b','] };
    if !arrays {
        // A text always has a JSON form.
        text.extend(serde_json::to_vec(name).unwrap_or_default());
        text.push(b':');
    }
    text
}

fn internal(error: serde_json::Error) -> Error {
    Error::Internal {
        message: error.to_string(),
    }
}

impl Encode for Json {
    fn head(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.is_document {
            out.extend_from_slice(b"{\"schema\":");
            to_writer(&mut *out, &self.columns()).map_err(internal)?;
            out.extend_from_slice(b",\n\"rows\":[");
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let (open, close) = if self.arrays { (b'[', b']') } else { (b'{', b'}') };
        let mut columns = self
            .fields
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| make_encoder(field, column, &self.options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unwritten)?;
        for row in 0..batch.num_rows() {
            if self.is_document {
                out.extend_from_slice(if self.has_rows { b",\n" } else { b"\n" });
            }
            self.has_rows = true;
            out.push(open);
            for (before, column) in self.before.iter().zip(&mut columns) {
                out.extend_from_slice(before);
                match column.is_null(row) {
                    true => out.extend_from_slice(b"null"),
                    false => column.encode(row, out),
                }
            }
            out.push(close);
            if !self.is_document {
                out.push(b'\n');
            }
        }
        Ok(())
    }

    fn tail(&mut self, end: &End<'_>, out: &mut Vec<u8>) -> Result<()> {
        if !self.is_document {
            return Ok(());
        }
        out.extend_from_slice(b"\n],\n\"row_count\":");
        to_writer(&mut *out, &end.rows).map_err(internal)?;
        if let Some(truncated) = end.truncated {
            out.extend_from_slice(b",\"truncated\":");
            to_writer(&mut *out, &truncated).map_err(internal)?;
            out.extend_from_slice(b",\"next_cursor\":");
            to_writer(&mut *out, &end.next_cursor).map_err(internal)?;
        }
        out.extend_from_slice(b",\"request_id\":");
        to_writer(&mut *out, end.request_id).map_err(internal)?;
        if let Some(report) = end.report {
            out.extend_from_slice(b",\"report\":");
            out.extend_from_slice(report.as_bytes());
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn failure(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.is_document {
            b"\n],\n\"error\":"
        } else {
            b"{\"error\":"
        });
        out.extend_from_slice(&problem.json());
        out.extend_from_slice(b"}\n");
    }

    fn carries_cursor(&self) -> bool {
        self.is_document
    }

    fn piece_rows(&self) -> usize {
        PIECE_ROWS
    }
}
