//! Rows as CSV (RFC 4180): a header line, CRLF, double quotes doubled.
//!
//! A missing value is an empty field and an empty text is `""`, so that the two stay apart; only where a line would be
//! blank, which readers skip, is a missing value `""` too. Values are as in JSON, nested ones are JSON texts. On request a text that a spreadsheet would run as a formula gets a single quote in front
//! (OWASP, "CSV Injection"); numbers never need it, because their sign is followed by a digit.

use arrow::array::{Array, AsArray, LargeStringArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::{NullableEncoder, make_encoder};

use crate::error::Result;
use crate::rest::encode::{Encode, End, PIECE_ROWS, cell, unwritten};
use crate::rest::problem::Problem;

/// Rows in CSV, in the making.
pub(super) struct Csv {
    fields: Fields,
    safe: bool,
    options: EncoderOptions,
}

impl Csv {
    /// With `safe`, formulas are made harmless.
    pub(super) fn new(safe: bool, schema: &SchemaRef) -> Self {
        Self {
            fields: schema.fields().clone(),
            safe,
            options: cell::options(false),
        }
    }
}

/// How the values of a column are written.
enum Column<'a> {
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    /// A value without characters that need quotes.
    Plain(NullableEncoder<'a>),
    /// JSON with any characters.
    Nested(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(
        field: &'a FieldRef,
        column: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::LargeUtf8 => Self::LargeText(column.as_string()),
            kind if kind.is_nested() => Self::Nested(make_encoder(field, column, options)?),
            _ => Self::Plain(make_encoder(field, column, options)?),
        })
    }

    fn write(&mut self, row: usize, safe: bool, spare: &mut Vec<u8>, out: &mut Vec<u8>) {
        match self {
            Self::Text(array) if array.is_valid(row) => text(array.value(row), safe, out),
            Self::LargeText(array) if array.is_valid(row) => text(array.value(row), safe, out),
            Self::Plain(encoder) if !encoder.is_null(row) => {
                spare.clear();
                encoder.encode(row, spare);
                let inner = spare
                    .strip_prefix(b"\"")
                    .and_then(|rest| rest.strip_suffix(b"\""));
                out.extend_from_slice(inner.unwrap_or(spare));
            }
            Self::Nested(encoder) if !encoder.is_null(row) => {
                spare.clear();
                encoder.encode(row, spare);
                quoted(spare, out);
            }
            Self::Text(_) | Self::LargeText(_) | Self::Plain(_) | Self::Nested(_) => {}
        }
    }
}

/// A text, in quotes where it needs them.
fn text(value: &str, safe: bool, out: &mut Vec<u8>) {
    let guarded;
    let value = if safe && is_formula(value) {
        guarded = format!("'{value}");
        guarded.as_str()
    } else {
        value
    };
    let needs_quotes = value.is_empty()
        || value.starts_with(' ')
        || value.ends_with(' ')
        || value
            .bytes()
            .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    match needs_quotes {
        true => quoted(value.as_bytes(), out),
        false => out.extend_from_slice(value.as_bytes()),
    }
}

fn quoted(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Whether a spreadsheet would take the text for a formula, some of which pass over blanks and marks without width in
/// front; the wide forms are those of East Asian keyboards.
fn is_formula(value: &str) -> bool {
    let begins = value.trim_start_matches([
        ' ', '\u{a0}', '\u{200b}', '\u{2060}', '\u{3000}', '\u{feff}', '\0',
    ]);
    begins.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ])
}

impl Encode for Csv {
    fn head(&mut self, out: &mut Vec<u8>) -> Result<()> {
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            text(field.name(), self.safe, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let mut columns = self
            .fields
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| Column::new(field, column, &self.options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unwritten)?;
        let mut spare = Vec::new();
        for row in 0..batch.num_rows() {
            let start = out.len();
            for (index, column) in columns.iter_mut().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                column.write(row, self.safe, &mut spare, out);
            }
            if out.len() == start {
                out.extend_from_slice(b"\"\"");
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn tail(&mut self, _end: &End<'_>, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn failure(&mut self, _problem: &Problem, _out: &mut Vec<u8>) {}

    fn carries_cursor(&self) -> bool {
        false
    }

    fn piece_rows(&self) -> usize {
        PIECE_ROWS
    }
}
