//! Values as text for people and for CSV.

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

/// How values look in a table: nulls can be told from empty texts, and one that cannot be shown says so.
pub(super) fn options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_null("NULL")
        .with_display_error(true)
}

/// The columns with nested ones as text, since CSV has no form for them.
pub(super) fn flat_schema(schema: &Schema) -> SchemaRef {
    let flat = |field: &Arc<Field>| match is_nested(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(flat).collect::<Vec<_>>()))
}

/// The rows under [`flat_schema`].
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .map(flat_column)
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(flat_schema(batch.schema_ref()), columns)
}

fn flat_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !is_nested(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    let options = FormatOptions::default().with_null("null");
    let shown = ArrayFormatter::try_new(column, &options)?;
    let text = |row| {
        (!column.is_null(row))
            .then(|| shown.value(row).try_to_string())
            .transpose()
    };
    let texts = (0..column.len()).map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StringArray::from(texts)))
}

fn is_nested(data_type: &DataType) -> bool {
    data_type.is_nested() || matches!(data_type, DataType::Dictionary(_, value) if value.is_nested())
}

/// A text that stays in its cell: control characters are written out, so that data cannot drive the terminal.
pub(super) fn tame(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|letter| {
            let escaped: Vec<char> = match letter.is_control() {
                true => letter.escape_default().collect(),
                false => vec![letter],
            };
            escaped
        })
        .collect()
}
