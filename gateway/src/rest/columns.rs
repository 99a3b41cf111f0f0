//! The columns of a dataset: the only names that ever get into a statement of ours, and those in quotes.

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};

use crate::edge::plain_type;
use crate::error::Error;
use crate::rest::identifier::quoted;

/// The columns that the caller may name.
#[derive(Clone, Debug)]
pub(super) struct Columns(pub(super) SchemaRef);

impl Columns {
    /// The column `name`, letter case counted; `place` says where the caller wrote it.
    ///
    /// # Errors
    /// `Invalid` with the nearest name.
    pub(super) fn find(&self, name: &str, place: &str) -> Result<&FieldRef, Error> {
        let unknown = || {
            let nearest = nearest(name, self.0.fields().iter().map(|field| field.name().as_str()));
            planner::Error::Invalid {
                message: format!(
                    "{place}: column '{}' not found",
                    name.chars().take(128).collect::<String>()
                ),
                hint: nearest.map(|name| format!("did you mean '{name}'?")),
            }
        };
        let found = self.0.fields().iter().find(|field| field.name() == name);
        Ok(found.ok_or_else(unknown)?)
    }

    /// Every column.
    pub(super) fn iter(&self) -> impl Iterator<Item = &FieldRef> {
        self.0.fields().iter()
    }
}

/// A column in SQL.
pub(super) fn column(field: &Field) -> String {
    quoted(field.name())
}

/// Whether values of a type have an order that sorting and comparing agree on.
pub(super) fn is_ordered(data_type: &DataType) -> bool {
    match plain_type(data_type) {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Timestamp(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => true,
        // A month has no fixed length, a null no value, and the engine compares nested values only in part.
        _ => false,
    }
}

/// Whether values of a type are texts.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(plain_type(data_type), DataType::Utf8 | DataType::LargeUtf8)
}

/// The candidate most like `name`, when one is near enough to be what was meant; case is ignored.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn an_unknown_column_names_the_nearest() {
        let fields = vec![
            Field::new("l_shipdate", DataType::Date32, true),
            Field::new("l_tax", DataType::Int8, true),
        ];
        let columns = Columns(Arc::new(Schema::new(fields)));
        assert_eq!(columns.find("l_tax", "columns").unwrap().name(), "l_tax");
        match columns.find("L_ShipDate", "columns").unwrap_err() {
            Error::Planner(error) => {
                assert_eq!(error.code(), "LG1004");
                assert_eq!(error.hint().as_deref(), Some("did you mean 'l_shipdate'?"));
            }
            other => panic!("{other}"),
        }
    }
}
