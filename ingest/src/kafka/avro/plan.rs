//! A writer's schema, compiled: every name is followed once, and an enclosing namespace never asked again.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::Name;

use super::{DEPTH_MAX, Fault};

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) root: Type,
    pub(super) records: Vec<Vec<(String, Type)>>,
}

/// What a value is, with every name followed.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// By its place in [`Plan::records`], since a record may hold itself.
    Record(usize),
    Enum(Vec<String>),
    Fixed(usize),
    /// Digits behind the point, and the length where it is fixed.
    Decimal(usize, Option<usize>),
    BigDecimal,
    Date,
    /// Units of a second.
    Time(i64),
    /// Units of a second, and whether it is an instant.
    Timestamp(i64, bool),
    Duration,
}

impl Plan {
    /// Compiles the last of `schemas`; the others are those that it refers to, each behind those that it refers to itself.
    ///
    /// # Errors
    /// A name that is nowhere, or a type that is not known.
    pub(crate) fn compile(schemas: &[Schema]) -> Result<Self, Fault> {
        let mut compiler = Compiler::default();
        let mut root = None;
        for schema in schemas {
            root = Some(compiler.compile(schema, &None, 0)?);
        }
        Ok(Self {
            root: root.ok_or("the schema is empty")?,
            records: compiler.records,
        })
    }
}

#[derive(Default)]
struct Compiler {
    named: BTreeMap<String, Type>,
    records: Vec<Vec<(String, Type)>>,
}

impl Compiler {
    fn compile(&mut self, schema: &Schema, space: &Option<String>, depth: usize) -> Result<Type, Fault> {
        if depth > DEPTH_MAX {
            return Err("the schema is nested too deeply".to_owned());
        }
        Ok(match schema {
            Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int => Type::Int,
            Schema::Long => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            Schema::Bytes => Type::Bytes,
            Schema::String | Schema::Uuid => Type::Text,
            Schema::Array(array) => Type::Array(Box::new(self.compile(&array.items, space, depth + 1)?)),
            Schema::Map(map) => Type::Map(Box::new(self.compile(&map.types, space, depth + 1)?)),
            Schema::Union(union) => {
                let variants = union.variants().iter();
                let types: Result<Vec<Type>, Fault> = variants
                    .map(|variant| self.compile(variant, space, depth + 1))
                    .collect();
                Type::Union(types?)
            }
            Schema::Record(record) => {
                let name = qualified(&record.name, space);
                let place = self.records.len();
                self.records.push(Vec::new());
                self.define(&name, Type::Record(place));
                let inner = name.rsplit_once('.').map(|(space, _)| space.to_owned());
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push((
                        field.name.clone(),
                        self.compile(&field.schema, &inner, depth + 1)?,
                    ));
                }
                if let Some(slot) = self.records.get_mut(place) {
                    *slot = fields;
                }
                Type::Record(place)
            }
            Schema::Enum(symbols) => self.define(
                &qualified(&symbols.name, space),
                Type::Enum(symbols.symbols.clone()),
            ),
            Schema::Fixed(fixed) => self.define(&qualified(&fixed.name, space), Type::Fixed(fixed.size)),
            Schema::Decimal(decimal) => match decimal.inner.as_ref() {
                Schema::Fixed(fixed) => self.define(
                    &qualified(&fixed.name, space),
                    Type::Decimal(decimal.scale, Some(fixed.size)),
                ),
                _ => Type::Decimal(decimal.scale, None),
            },
            Schema::BigDecimal => Type::BigDecimal,
            Schema::Date => Type::Date,
            Schema::TimeMillis => Type::Time(1_000),
            Schema::TimeMicros => Type::Time(1_000_000),
            Schema::TimestampMillis => Type::Timestamp(1_000, true),
            Schema::TimestampMicros => Type::Timestamp(1_000_000, true),
            Schema::TimestampNanos => Type::Timestamp(1_000_000_000, true),
            Schema::LocalTimestampMillis => Type::Timestamp(1_000, false),
            Schema::LocalTimestampMicros => Type::Timestamp(1_000_000, false),
            Schema::LocalTimestampNanos => Type::Timestamp(1_000_000_000, false),
            Schema::Duration => Type::Duration,
            Schema::Ref { name } => {
                let name = qualified(name, space);
                let known = self.named.get(&name).cloned();
                known.ok_or_else(|| format!("the schema refers to {name}, which is nowhere"))?
            }
        })
    }

    fn define(&mut self, name: &str, made: Type) -> Type {
        self.named.insert(name.to_owned(), made.clone());
        made
    }
}

fn qualified(name: &Name, space: &Option<String>) -> String {
    name.fullname(space.clone())
}
