//! Rows to the standard output, in the form that was asked for.
//!
//! Invariant: every form but the table is streamed batch by batch and never cut; the table is cut at its row cap and says so.

mod table;
mod text;

use super::Failure;
use crate::rest::cells;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::LineDelimited;
use arrow::json::{LineDelimitedWriter, WriterBuilder};
use arrow::record_batch::RecordBatch;
use std::io::Write;
use table::Table;

/// The form of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns under each other, as wide as the terminal allows
    #[default]
    Table,
    /// CSV with a line of names; nested values as text
    Csv,
    /// One JSON object a line, its values as REST writes them
    Json,
    /// An Arrow IPC stream for each statement
    Arrow,
}

/// Where the rows of one statement go.
pub(super) enum Sink<'a> {
    Table(Box<Table<'a>>),
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Json(LineDelimitedWriter<&'a mut dyn Write>),
    Arrow(Box<StreamWriter<&'a mut dyn Write>>),
}

impl<'a> Sink<'a> {
    /// Begins a result. `width` is that of the terminal, if there is one.
    pub(super) fn begin(
        format: Format,
        schema: &SchemaRef,
        width: Option<usize>,
        out: &'a mut dyn Write,
    ) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Self::Table(Box::new(Table::new(schema, width, out))),
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // An empty batch brings the line of names, so that a result without rows has it too.
                let names = RecordBatch::new_empty(text::flat_schema(schema));
                writer.write(&names).map_err(unwritten)?;
                Self::Csv(Box::new(writer))
            }
            Format::Json => Self::Json(
                WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .with_encoder_factory(cells())
                    .build::<_, LineDelimited>(out),
            ),
            Format::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(out, schema).map_err(unwritten)?)),
        })
    }

    /// Writes some rows.
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match self {
            Self::Table(table) => table.rows(batch),
            Self::Csv(writer) => text::flat(batch)
                .and_then(|flat| writer.write(&flat))
                .map_err(unwritten),
            Self::Json(writer) => writer.write(batch).map_err(unwritten),
            Self::Arrow(writer) => writer.write(batch).map_err(unwritten),
        }
    }

    /// Writes what comes after the rows.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self {
            Self::Table(table) => table.end(),
            Self::Csv(_) => Ok(()),
            Self::Json(mut writer) => writer.finish().map_err(unwritten),
            Self::Arrow(mut writer) => writer.finish().map_err(unwritten),
        }
    }
}

fn unwritten(source: ArrowError) -> Failure {
    Failure::Answer {
        what: "the rows cannot be written".to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
