//! Compares a contract with the table that the catalog has, before anything is written to it.

use iceberg::spec::{PartitionSpec, Schema, TableMetadata};

use super::Contract;
use crate::error::{Error, Result};

impl Contract {
    /// Whether `metadata` is a table of this contract: same columns in the same order, same key, same partitioning. Docs, properties and
    /// field ids may differ.
    pub(crate) fn check(&self, metadata: &TableMetadata) -> Result<()> {
        let schema = metadata.current_schema();
        let expected = self.schema()?;
        self.same("columns", columns(schema), columns(&expected))?;
        self.same("key", key(schema), key(&expected))?;
        let spec = self
            .spec(&expected)?
            .bind(expected.clone())
            .map_err(|error| self.unusable(error.to_string()))?;
        let found = metadata.default_partition_spec();
        self.same(
            "partitioning",
            partitions(found, schema),
            partitions(&spec, &expected),
        )
    }

    fn same(&self, aspect: &'static str, found: Vec<String>, expected: Vec<String>) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::Differs {
            table: self.to_string(),
            aspect,
            found: found.join(", "),
            expected: expected.join(", "),
        })
    }
}

fn columns(schema: &Schema) -> Vec<String> {
    let fields = schema.as_struct().fields().iter();
    fields
        .map(|field| {
            format!(
                "{} {}{}",
                field.name,
                field.field_type,
                if field.required { " not null" } else { "" }
            )
        })
        .collect()
}

fn key(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = schema
        .identifier_field_ids()
        .filter_map(|id| schema.name_by_field_id(id))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names
}

fn partitions(spec: &PartitionSpec, schema: &Schema) -> Vec<String> {
    let source = |id: i32| schema.name_by_field_id(id).unwrap_or("?").to_owned();
    spec.fields()
        .iter()
        .map(|field| format!("{}({})", field.transform, source(field.source_id)))
        .collect()
}
