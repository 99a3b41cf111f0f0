//! What a principal sees of one table at one version: the allowance of the policy laid over the table's columns.
//!
//! Policies call columns by their names of now. A column that carries an Iceberg field id is followed by it, so that a
//! rename or an earlier version hides nothing from a policy and shows nothing to a user.
//!
//! Invariants (each fails closed: the table is not there):
//! * Every column that a rule for this very table names exists now.
//! * Every column that a row policy looks at exists in the version that is read.
//! * In an earlier version, a column that the table no longer has is not shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use connectors::SourceTable;
use connectors::iceberg::FIELD_ID_KEY;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::Expr;
use policies::{Allowance, Column, Mask, Rows, TableName};

use super::barrier::Barrier;
use super::conditions::{Places, Unfit};
use super::masks::Change;

/// One column that is shown.
#[derive(Debug)]
pub(super) struct ShownColumn {
    /// Its place in the source's table.
    pub(super) place: usize,
    pub(super) shown: Shown,
}

/// How a column is shown.
#[derive(Debug)]
pub(super) enum Shown {
    Plain,
    Changed(Change),
    Computed {
        value: Expr,
        /// The source's columns that it looks at.
        reads: Vec<usize>,
    },
}

/// A table as it is shown.
#[derive(Debug)]
pub(super) struct View {
    /// The columns that there are for the principal.
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ShownColumn>,
    /// The row policy over the source's columns.
    pub(super) policy: Option<Expr>,
    /// The source's columns that the policy looks at.
    pub(super) policy_columns: Vec<usize>,
}

/// The table behind its policy. `now` are the columns of its newest version where `table` is another.
///
/// # Errors
/// [`Unfit`] when a rule cannot be applied.
pub(crate) fn secured(
    table: SourceTable,
    name: &TableName,
    allowance: &Allowance,
    now: Option<&SchemaRef>,
) -> Result<SourceTable, Unfit> {
    if allowance.is_plain() {
        return Ok(table);
    }
    let now = now.unwrap_or(&table.schema);
    let behind = |inner: &Arc<dyn TableProvider>| -> Result<Arc<dyn TableProvider>, Unfit> {
        let view = View::of(allowance, &inner.schema(), now)?;
        let barrier = Barrier::new(name.to_string(), Arc::clone(inner), view, allowance.fingerprint());
        Ok(Arc::new(barrier))
    };
    let provider = behind(&table.provider)?;
    let without_views = table.without_views.as_ref().map(behind).transpose()?;
    let schema = provider.schema();
    // A key is one only with all its columns, as they are.
    let is_plain = |column: &String| allowance.column(column) == Column::Plain;
    let primary_key = match table.primary_key.iter().all(is_plain) {
        true => table.primary_key,
        false => Vec::new(),
    };
    Ok(SourceTable {
        provider,
        without_views,
        schema,
        primary_key,
        ..table
    })
}

impl View {
    fn of(allowance: &Allowance, schema: &SchemaRef, now: &SchemaRef) -> Result<Self, Unfit> {
        if let Some(missing) = allowance.required().find(|name| now.index_of(name).is_err()) {
            return Err(Unfit(format!(
                "a rule names column '{missing}', which is not there"
            )));
        }
        let places = Places {
            schema,
            by_name: by_name(schema, now),
        };
        let (policy, policy_columns) = match allowance.rows() {
            Rows::All => (None, Vec::new()),
            Rows::Only(condition) => {
                let condition = places.condition(condition)?;
                let reads = reads(&condition, schema)?;
                (Some(condition), reads)
            }
        };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (place, field) in schema.fields().iter().enumerate() {
            let Some(shown) = shown(allowance, field, now, &places)? else {
                continue;
            };
            fields.push(match shown {
                Shown::Plain => Arc::clone(field),
                Shown::Changed(_) | Shown::Computed { .. } => {
                    Arc::new(field.as_ref().clone().with_nullable(true))
                }
            });
            columns.push(ShownColumn { place, shown });
        }
        if columns.is_empty() {
            return Err(Unfit("no column is left".to_owned()));
        }
        Ok(Self {
            schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())),
            columns,
            policy,
            policy_columns,
        })
    }
}

/// How a column is shown; none when it does not exist for the principal.
fn shown(
    allowance: &Allowance,
    field: &Field,
    now: &SchemaRef,
    places: &Places<'_>,
) -> Result<Option<Shown>, Unfit> {
    // What the column is called now, and what it was called then: the stricter of both counts.
    let called = match id(field) {
        None => now.field_with_name(field.name()).ok(),
        Some(wanted) => now
            .fields()
            .iter()
            .map(AsRef::as_ref)
            .find(|field| id(field) == Some(wanted)),
    };
    let Some(called) = called else {
        return Ok(None);
    };
    let mask = match (allowance.column(called.name()), allowance.column(field.name())) {
        (Column::Absent, _) | (_, Column::Absent) => return Ok(None),
        (Column::Plain, Column::Plain) => return Ok(Some(Shown::Plain)),
        (Column::Masked(one), Column::Masked(other)) if one != other => &Mask::Null,
        (Column::Masked(mask), _) | (_, Column::Masked(mask)) => mask,
    };
    if let Mask::Custom(expression) = mask {
        let value = places.value(expression, field.data_type())?;
        let reads = reads(&value, places.schema)?;
        return Ok(Some(Shown::Computed { value, reads }));
    }
    Ok(Change::of(mask, field.data_type())?.map(Shown::Changed))
}

/// Where the columns lie that policies call so.
fn by_name(schema: &Schema, now: &Schema) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for field in now.fields() {
        let place = match id(field) {
            None => schema.index_of(field.name()).ok(),
            Some(wanted) => schema.fields().iter().position(|held| id(held) == Some(wanted)),
        };
        if let Some(place) = place {
            found.insert(field.name().clone(), place);
        }
    }
    found
}

fn id(field: &Field) -> Option<&str> {
    field.metadata().get(FIELD_ID_KEY).map(String::as_str)
}

fn reads(expr: &Expr, schema: &Schema) -> Result<Vec<usize>, Unfit> {
    let mut places = Vec::new();
    for column in expr.column_refs() {
        let place = schema.index_of(&column.name);
        places.push(place.map_err(|_| Unfit(format!("there is no column '{}'", column.name)))?);
    }
    Ok(places)
}

#[cfg(test)]
pub(crate) mod tests;
