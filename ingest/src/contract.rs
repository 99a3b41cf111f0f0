//! What a dataset is: name, columns, key, partitioning, order, and the words that describe it.
//!
//! A contract is checked when it is built, so that everything after can rely on it: columns are unique also when case is ignored, key
//! columns are required and not floats, every named column exists, every transform fits its column.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::{
    NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder, Transform, Type,
    UnboundPartitionSpec,
};
use iceberg::{TableCreation, TableIdent};

use crate::error::{Error, Result};
use crate::zone::Zone;

mod existing;

/// One column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Iceberg type.
    pub kind: PrimitiveType,
    /// Whether null is refused.
    pub required: bool,
    /// One sentence for readers.
    pub doc: String,
}

impl Column {
    /// A column that is never null.
    pub fn required(name: &str, kind: PrimitiveType, doc: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: true,
            doc: doc.to_owned(),
        }
    }

    /// A column that may be null.
    pub fn optional(name: &str, kind: PrimitiveType, doc: &str) -> Self {
        Self {
            required: false,
            ..Self::required(name, kind, doc)
        }
    }
}

/// A dataset as promised to its readers.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    zone: Zone,
    name: String,
    comment: String,
    columns: Vec<Column>,
    key: Vec<String>,
    partitions: Vec<(String, Transform)>,
    order: Vec<String>,
    lookups: Vec<String>,
}

impl Contract {
    /// A dataset `zone.name` without key, partitioning or order. Fails on an empty name, no columns, or two columns that differ in case only.
    pub fn new(zone: Zone, name: &str, comment: &str, columns: Vec<Column>) -> Result<Self> {
        let contract = Self {
            zone,
            name: name.to_owned(),
            comment: comment.to_owned(),
            columns,
            key: Vec::new(),
            partitions: Vec::new(),
            order: Vec::new(),
            lookups: Vec::new(),
        };
        if contract.name.is_empty() || contract.columns.is_empty() {
            return Err(contract.unusable("a name and at least one column are needed".to_owned()));
        }
        let mut seen = HashSet::new();
        for column in &contract.columns {
            if !seen.insert(column.name.to_lowercase()) {
                return Err(contract.unusable(format!("two columns are called {}", column.name)));
            }
        }
        Ok(contract)
    }

    /// The columns that identify a row, written as Iceberg identifier fields. They must be required and not floats.
    pub fn with_key(mut self, names: &[&str]) -> Result<Self> {
        for name in names {
            let column = self.column(name)?;
            let float = matches!(column.kind, PrimitiveType::Float | PrimitiveType::Double);
            if float || !column.required {
                return Err(self.unusable(format!("the key column {name} must be required and not a float")));
            }
        }
        self.key = names.iter().map(|&name| name.to_owned()).collect();
        Ok(self)
    }

    /// Adds a partition field; its name is `column_transform`, or the column's own for identity.
    pub fn with_partition(mut self, name: &str, transform: Transform) -> Result<Self> {
        let kind = Type::Primitive(self.column(name)?.kind.clone());
        if transform.result_type(&kind).is_err() {
            return Err(self.unusable(format!("{transform} does not apply to the column {name}")));
        }
        self.partitions.push((name.to_owned(), transform));
        Ok(self)
    }

    /// Sorts every file by these columns, ascending, nulls first.
    pub fn with_order(mut self, names: &[&str]) -> Result<Self> {
        for name in names {
            self.column(name)?;
        }
        self.order = names.iter().map(|&name| name.to_owned()).collect();
        Ok(self)
    }

    /// Columns with a Bloom filter in every file, for questions by equality on a column that all files share.
    pub fn with_lookups(mut self, names: &[&str]) -> Result<Self> {
        for name in names {
            self.column(name)?;
        }
        self.lookups = names.iter().map(|&name| name.to_owned()).collect();
        Ok(self)
    }

    /// The table's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone it lives in.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// What it is about.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Its columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that every file is sorted by; empty for arrival order.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The columns with Bloom filters.
    pub fn lookups(&self) -> &[String] {
        &self.lookups
    }

    /// Its name in the catalog.
    pub fn ident(&self) -> TableIdent {
        TableIdent::new(self.zone.namespace(), self.name.clone())
    }

    /// The Iceberg schema, field ids from 1 in column order.
    pub fn schema(&self) -> Result<Schema> {
        let ids: BTreeMap<&str, i32> = (1..)
            .zip(&self.columns)
            .map(|(id, column)| (column.name.as_str(), id))
            .collect();
        let fields = (1..).zip(&self.columns).map(|(id, column)| {
            let field = NestedField::new(
                id,
                &column.name,
                Type::Primitive(column.kind.clone()),
                column.required,
            );
            if column.doc.is_empty() {
                field.into()
            } else {
                field.with_doc(&column.doc).into()
            }
        });
        Schema::builder()
            .with_fields(fields)
            .with_identifier_field_ids(self.key.iter().filter_map(|name| ids.get(name.as_str()).copied()))
            .build()
            .map_err(|error| self.unusable(error.to_string()))
    }

    /// What the catalog needs to create the table: format version 2 and the properties that other writers respect.
    pub fn creation(&self) -> Result<TableCreation> {
        let schema = self.schema()?;
        let spec = self.spec(&schema)?;
        let order = self.sort_order(&schema)?;
        let properties = [
            ("comment", self.comment.as_str()),
            ("write.format.default", "parquet"),
            ("write.parquet.compression-codec", "zstd"),
            // The library's own retry would apply an append twice when a success answer is lost; `commit` retries by token instead.
            ("commit.retry.num-retries", "0"),
        ];
        Ok(TableCreation::builder()
            .name(self.name.clone())
            .schema(schema)
            .partition_spec(spec)
            .sort_order_opt(order)
            .properties(properties.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .build())
    }

    fn spec(&self, schema: &Schema) -> Result<UnboundPartitionSpec> {
        let mut spec = UnboundPartitionSpec::builder().with_spec_id(0);
        for (name, transform) in &self.partitions {
            let field = partition_name(name, *transform);
            let source = schema
                .field_id_by_name(name)
                .ok_or_else(|| self.unusable(format!("no column {name}")))?;
            spec = spec
                .add_partition_field(source, field, *transform)
                .map_err(|error| self.unusable(error.to_string()))?;
        }
        Ok(spec.build())
    }

    fn sort_order(&self, schema: &Schema) -> Result<Option<SortOrder>> {
        if self.order.is_empty() {
            return Ok(None);
        }
        let mut builder = SortOrder::builder();
        builder.with_order_id(1);
        for name in &self.order {
            let source_id = schema
                .field_id_by_name(name)
                .ok_or_else(|| self.unusable(format!("no column {name}")))?;
            builder.with_sort_field(SortField {
                source_id,
                transform: Transform::Identity,
                direction: SortDirection::Ascending,
                null_order: NullOrder::First,
            });
        }
        builder
            .build(schema)
            .map(Some)
            .map_err(|error| self.unusable(error.to_string()))
    }

    fn column(&self, name: &str) -> Result<&Column> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .ok_or_else(|| self.unusable(format!("there is no column {name}")))
    }

    fn unusable(&self, problem: String) -> Error {
        Error::Contract {
            table: self.to_string(),
            problem,
        }
    }
}

impl std::fmt::Display for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.zone, self.name)
    }
}

/// The name of a partition field, as Spark and PyIceberg would choose it.
fn partition_name(column: &str, transform: Transform) -> String {
    match transform {
        Transform::Identity => column.to_owned(),
        Transform::Bucket(_) => format!("{column}_bucket"),
        Transform::Truncate(_) => format!("{column}_trunc"),
        Transform::Year
        | Transform::Month
        | Transform::Day
        | Transform::Hour
        | Transform::Void
        | Transform::Unknown => format!("{column}_{transform}"),
    }
}

#[cfg(test)]
mod tests;
