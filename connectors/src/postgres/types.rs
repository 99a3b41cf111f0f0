//! The server's types as Arrow types. `deploy/postgres-types.md` is this table for people.
//!
//! Invariants:
//! - Every type has a mapping: one that is not known is text in the server's own printing, made by a cast at the server.
//! - A mapping is a function of the catalog and the config alone, so that all gateways of a fleet agree.

use super::config::{Config, Unconstrained, Unrepresentable};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, Fields, IntervalUnit, TimeUnit,
};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// How deep composites, arrays and domains may lie in each other before they are text.
const DEPTH_MAX: usize = 8;
/// The time zone of every `timestamptz`.
const UTC: &str = "UTC";

/// A row of `pg_type`, with the attributes of a composite.
#[derive(Clone, Debug)]
pub(super) struct TypeRow {
    pub(super) name: String,
    /// `pg_type.typtype`: b, c, d, e, p, r, m.
    pub(super) kind: char,
    /// The element of a true array, else 0.
    pub(super) element: u32,
    /// What a domain is made of, else 0.
    pub(super) base: u32,
    /// The modifier that a domain gives to its base.
    pub(super) modifier: i32,
    /// Name, type and modifier of a composite's attributes.
    pub(super) attributes: Vec<(String, u32, i32)>,
}

/// The types that a table uses.
pub(super) type Types = HashMap<u32, TypeRow>;

/// What a predicate on a column means to the server; decides what may be handed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    Bool,
    Int2,
    Int4,
    Int8,
    Numeric,
    Date,
    Timestamp,
    Timestamptz,
    Uuid,
    Text,
    /// Any other value that is NULL for the engine exactly where `IS NULL` says so.
    Other,
    /// A value of which even `IS NULL` means something else.
    Opaque,
}

/// A column as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapped {
    pub(super) data_type: DataType,
    /// The type that the server casts to before it sends, if any.
    pub(super) cast: Option<&'static str>,
    pub(super) class: Class,
    /// Whether the type has values that the Arrow type cannot hold.
    pub(super) is_partial: bool,
}

impl Mapped {
    fn plain(data_type: DataType, class: Class) -> Self {
        Self {
            data_type,
            cast: None,
            class,
            is_partial: false,
        }
    }

    fn partial(data_type: DataType, class: Class) -> Self {
        Self {
            is_partial: true,
            ..Self::plain(data_type, class)
        }
    }

    fn text() -> Self {
        Self {
            cast: Some("pg_catalog.text"),
            ..Self::plain(DataType::Utf8View, Class::Other)
        }
    }
}

/// Maps the types of columns.
#[derive(Debug)]
pub(super) struct Mapping<'a> {
    pub(super) types: &'a Types,
    pub(super) unconstrained: Unconstrained,
    pub(super) unrepresentable: Unrepresentable,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(types: &'a Types, config: &Config) -> Self {
        Self {
            types,
            unconstrained: config.numeric,
            unrepresentable: config.unrepresentable,
        }
    }

    /// How a column of a type is read.
    pub(super) fn column(&self, oid: u32, modifier: i32) -> Mapped {
        let mut mapped = self.map(oid, modifier, 0);
        // With values turned to NULL on the way, the server's predicates see other values than the engine's.
        if mapped.is_partial && self.unrepresentable == Unrepresentable::Null {
            mapped.class = Class::Opaque;
        }
        mapped
    }

    fn map(&self, oid: u32, modifier: i32, depth: usize) -> Mapped {
        if let Some(mapped) = Type::from_oid(oid).and_then(|known| self.known(&known, modifier)) {
            return mapped;
        }
        let Some(row) = self.types.get(&oid).filter(|_| depth < DEPTH_MAX) else {
            return Mapped {
                class: Class::Opaque,
                ..Mapped::text()
            };
        };
        match row.kind {
            'd' => {
                let inner = if row.modifier == -1 {
                    modifier
                } else {
                    row.modifier
                };
                self.map(row.base, inner, depth + 1)
            }
            'e' => Mapped::plain(DataType::Utf8View, Class::Other),
            'c' => self.composite(row, depth),
            'b' if row.element != 0 => self.array(row.element, modifier, depth),
            'b' if matches!(row.name.as_str(), "vector" | "halfvec") => {
                Mapped::plain(list(DataType::Float32), Class::Other)
            }
            _ => Mapped::text(),
        }
    }

    fn known(&self, known: &Type, modifier: i32) -> Option<Mapped> {
        let mapped = match *known {
            Type::BOOL => Mapped::plain(DataType::Boolean, Class::Bool),
            Type::INT2 => Mapped::plain(DataType::Int16, Class::Int2),
            Type::INT4 => Mapped::plain(DataType::Int32, Class::Int4),
            Type::INT8 => Mapped::plain(DataType::Int64, Class::Int8),
            Type::OID => Mapped {
                cast: Some("pg_catalog.int8"),
                ..Mapped::plain(DataType::Int64, Class::Other)
            },
            Type::FLOAT4 => Mapped::plain(DataType::Float32, Class::Other),
            Type::FLOAT8 => Mapped::plain(DataType::Float64, Class::Other),
            Type::NUMERIC => self.numeric(modifier),
            Type::TEXT | Type::VARCHAR => Mapped::plain(DataType::Utf8View, Class::Text),
            // Blanks at the end count for the engine and not for the server; json has no equality.
            Type::BPCHAR | Type::NAME | Type::JSON | Type::JSONB => {
                Mapped::plain(DataType::Utf8View, Class::Other)
            }
            Type::INET | Type::CIDR | Type::MACADDR | Type::MACADDR8 => {
                Mapped::plain(DataType::Utf8View, Class::Other)
            }
            Type::UUID => Mapped::plain(DataType::Utf8View, Class::Uuid),
            Type::BYTEA => Mapped::plain(DataType::BinaryView, Class::Other),
            Type::DATE => Mapped::partial(DataType::Date32, Class::Date),
            Type::TIME => Mapped::partial(DataType::Time64(TimeUnit::Microsecond), Class::Other),
            Type::TIMESTAMP => {
                Mapped::partial(DataType::Timestamp(TimeUnit::Microsecond, None), Class::Timestamp)
            }
            Type::TIMESTAMPTZ => {
                let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
                Mapped::partial(zoned, Class::Timestamptz)
            }
            Type::INTERVAL => Mapped::partial(DataType::Interval(IntervalUnit::MonthDayNano), Class::Other),
            _ => return None,
        };
        Some(mapped)
    }

    /// `numeric(p, s)` packs p and s + 4 into its modifier; s is of eleven bits with a sign since version 15.
    fn numeric(&self, modifier: i32) -> Mapped {
        let decimal = |precision: i32, scale: i32| {
            let (Ok(precision), Ok(scale)) = (u8::try_from(precision), i8::try_from(scale)) else {
                return Mapped::text();
            };
            if precision <= DECIMAL128_MAX_PRECISION {
                Mapped::partial(DataType::Decimal128(precision, scale), Class::Numeric)
            } else if precision <= DECIMAL256_MAX_PRECISION {
                Mapped::partial(DataType::Decimal256(precision, scale), Class::Numeric)
            } else {
                Mapped::text()
            }
        };
        if modifier < 4 {
            return match self.unconstrained {
                Unconstrained::Text => Mapped::text(),
                Unconstrained::Decimal { scale } => decimal(38, i32::from(scale)),
            };
        }
        let packed = modifier - 4;
        let precision = (packed >> 16) & 0xFFFF;
        let scale = ((packed & 0x7FF) ^ 1024) - 1024;
        match scale {
            // Zeros before the point count as digits, those behind it need not be there.
            ..0 => decimal(precision - scale, 0),
            scale => decimal(precision.max(scale), scale),
        }
    }

    fn array(&self, element: u32, modifier: i32, depth: usize) -> Mapped {
        let inner = self.map(element, modifier, depth + 1);
        match inner.cast {
            None => Mapped {
                // One of several dimensions is a value that a list cannot hold.
                is_partial: true,
                ..Mapped::plain(list(nested(inner.data_type)), Class::Other)
            },
            Some("pg_catalog.text") => Mapped {
                cast: Some("pg_catalog.text[]"),
                is_partial: true,
                ..Mapped::plain(list(DataType::Utf8), Class::Other)
            },
            Some(_) => Mapped::text(),
        }
    }

    fn composite(&self, row: &TypeRow, depth: usize) -> Mapped {
        let text = Mapped {
            class: Class::Opaque,
            ..Mapped::text()
        };
        let mut fields = Vec::new();
        for (name, oid, modifier) in &row.attributes {
            let inner = self.map(*oid, *modifier, depth + 1);
            if inner.cast.is_some() {
                return text;
            }
            fields.push(Field::new(name, nested(inner.data_type), true));
        }
        match fields.is_empty() {
            true => text,
            // A composite of NULLs is NULL for the server's `IS NULL` and a value for the engine.
            false => Mapped::plain(DataType::Struct(Fields::from(fields)), Class::Opaque),
        }
    }
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// Views are for columns; inside of others the plain forms are used, as with Iceberg's.
fn nested(data_type: DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(precision: i32, scale: i32, unconstrained: Unconstrained) -> DataType {
        let types = Types::new();
        let mapping = Mapping {
            types: &types,
            unconstrained,
            unrepresentable: Unrepresentable::Error,
        };
        let modifier = if precision == 0 {
            -1
        } else {
            ((precision << 16) | (scale & 0x7FF)) + 4
        };
        mapping.column(Type::NUMERIC.oid(), modifier).data_type
    }

    #[test]
    fn every_precision_has_a_type_that_holds_it() {
        let text = Unconstrained::Text;
        assert_eq!(numeric(10, 2, text), DataType::Decimal128(10, 2));
        assert_eq!(numeric(38, 38, text), DataType::Decimal128(38, 38));
        assert_eq!(numeric(39, 0, text), DataType::Decimal256(39, 0));
        assert_eq!(numeric(76, 10, text), DataType::Decimal256(76, 10));
        assert_eq!(numeric(77, 0, text), DataType::Utf8View);
        assert_eq!(numeric(1000, 500, text), DataType::Utf8View);
        assert_eq!(numeric(3, 5, text), DataType::Decimal128(5, 5));
        assert_eq!(numeric(5, -2, text), DataType::Decimal128(7, 0));
        assert_eq!(numeric(1, -1000, text), DataType::Utf8View);
        assert_eq!(numeric(0, 0, text), DataType::Utf8View);
        let decimal = Unconstrained::Decimal { scale: 9 };
        assert_eq!(numeric(0, 0, decimal), DataType::Decimal128(38, 9));
    }
}
