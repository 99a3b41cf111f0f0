//! Aggregate functions at the server, in the form that gives what the engine's give.

use super::{Aggregate, Composed, applied};
use crate::postgres::matrix::Operation;
use crate::postgres::sql::Sql;
use crate::postgres::types::{Class, Mapped};
use arrow::datatypes::DataType;

impl Composed {
    /// One call over the columns so far, and the column that it makes.
    pub(super) fn call(&self, call: Aggregate, data_type: &DataType) -> Option<(Sql, Mapped)> {
        let made = |class| Mapped {
            data_type: data_type.clone(),
            cast: None,
            class,
            is_partial: false,
        };
        let counted = |sql: Sql| (*data_type == DataType::Int64).then(|| (sql, made(Class::Int8)));
        match call {
            Aggregate::Rows => counted(Sql::word("count(*)")),
            Aggregate::Count(place) => {
                self.comparable(place, Operation::IsNull)?;
                counted(applied("count(", Sql::default(), place, ")"))
            }
            Aggregate::Min(place) | Aggregate::Max(place) => {
                let mapped = self.comparable(place, Operation::Orders)?;
                // The server has no least of these.
                if matches!(mapped.class, Class::Bool | Class::Uuid) || mapped.data_type != *data_type {
                    return None;
                }
                let mut sql = Sql::word(if matches!(call, Aggregate::Min(_)) {
                    "min("
                } else {
                    "max("
                });
                sql.append(self.key(place)?).push(")");
                Some((sql, mapped.clone()))
            }
            Aggregate::Sum(place) => {
                let mapped = self.columns.get(place)?;
                match (mapped.class, &mapped.data_type, data_type) {
                    (Class::Int2 | Class::Int4, _, DataType::Int64) => {
                        Some((applied("sum(", Sql::default(), place, ")"), made(Class::Int8)))
                    }
                    (
                        Class::Numeric,
                        DataType::Decimal128(_, scale),
                        DataType::Decimal128(precision, wanted),
                    ) if scale == wanted && *scale >= 0 => {
                        let mut sql = applied("sum(", Sql::default(), place, ")::pg_catalog.numeric(");
                        sql.number(u64::from(*precision)).push(",");
                        sql.number(u64::try_from(*scale).ok()?).push(")");
                        let mapped = Mapped {
                            is_partial: true,
                            ..made(Class::Numeric)
                        };
                        Some((sql, mapped))
                    }
                    _ => None,
                }
            }
            Aggregate::Avg(place) => self.mean(place, data_type).map(|sql| {
                let mapped = Mapped {
                    is_partial: true,
                    ..made(Class::Numeric)
                };
                (sql, mapped)
            }),
        }
    }

    /// The mean of decimals, cut behind its last digit as the engine cuts it: a quotient of whole numbers, which the server
    /// makes exactly, and not the server's own mean, which is rounded.
    fn mean(&self, place: usize, data_type: &DataType) -> Option<Sql> {
        let mapped = self.columns.get(place)?;
        let (DataType::Decimal128(_, scale), DataType::Decimal128(precision, wanted)) =
            (&mapped.data_type, data_type)
        else {
            return None;
        };
        let digits = u64::try_from(*wanted).ok()?;
        if mapped.class != Class::Numeric || *scale < 0 || wanted < scale {
            return None;
        }
        let mut sql = Sql::word("(pg_catalog.div(sum(");
        sql.alias("c", place).push(") * 1e").number(digits);
        sql.push("::pg_catalog.numeric, count(").alias("c", place);
        sql.push(")) * 1e-").number(digits);
        sql.push("::pg_catalog.numeric)::pg_catalog.numeric(")
            .number(u64::from(*precision));
        sql.push(",").number(digits).push(")");
        Some(sql)
    }
}
