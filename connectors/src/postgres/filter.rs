//! Predicates of the engine as predicates of the server, where both mean the same.
//!
//! Invariants:
//! - A translation is exact in three-valued logic: true, false and NULL for the same rows, so that NOT, AND and OR of
//!   translations are translations.
//! - What has no exact translation has none: the engine keeps it.

use super::matrix::{Operation, allowed, value_type};
use super::sql::Sql;
use super::types::{Class, Mapped};
use crate::Pushdown;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};

/// Has a text compared by its bytes, in whatever collation its column is.
const BY_BYTES: &str = " COLLATE \"C\"";
/// The deepest predicate that is translated.
const DEPTH_MAX: usize = 64;

/// Translates predicates over the columns of one relation, which are called `c0`, `c1` and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Translator<'a> {
    pub(super) schema: &'a SchemaRef,
    pub(super) columns: &'a [Mapped],
    /// Whether the database keeps text as UTF-8; without it a text may have no form in the database's encoding.
    pub(super) is_utf8: bool,
}

/// A column in a predicate.
#[derive(Clone, Copy)]
struct Place<'a> {
    number: usize,
    mapped: &'a Mapped,
}

impl Translator<'_> {
    /// The predicate for the server; `None` when there is no exact one.
    pub(super) fn predicate(&self, expr: &Expr) -> Option<Sql> {
        self.at(expr, 0)
    }

    fn at(&self, expr: &Expr, depth: usize) -> Option<Sql> {
        if depth > DEPTH_MAX {
            return None;
        }
        match expr {
            Expr::Alias(alias) => self.at(&alias.expr, depth + 1),
            Expr::Column(column) => {
                let place = self.place(column)?;
                (place.mapped.class == Class::Bool).then(|| named(place))
            }
            Expr::Not(inner) => Some(wrapped("(NOT ", self.at(inner, depth + 1)?, ")")),
            Expr::IsNull(inner) => self.null_test(inner, " IS NULL)"),
            Expr::IsNotNull(inner) => self.null_test(inner, " IS NOT NULL)"),
            Expr::BinaryExpr(binary) => self.binary(binary, depth),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => self.like(like),
            _ => None,
        }
    }

    fn binary(&self, binary: &BinaryExpr, depth: usize) -> Option<Sql> {
        let BinaryExpr { left, op, right } = binary;
        let joined = match op {
            Operator::And => Some(" AND "),
            Operator::Or => Some(" OR "),
            _ => None,
        };
        if let Some(word) = joined {
            let mut sql = wrapped("(", self.at(left, depth + 1)?, word);
            sql.append(self.at(right, depth + 1)?).push(")");
            return Some(sql);
        }
        match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => self.compare(column, *op, value),
            (Expr::Literal(value, _), Expr::Column(column)) => self.compare(column, op.swap()?, value),
            (Expr::Column(left), Expr::Column(right)) => self.compare_columns(left, *op, right),
            _ => None,
        }
    }

    fn compare(&self, column: &Column, op: Operator, value: &ScalarValue) -> Option<Sql> {
        let (word, operation) = comparison(op)?;
        let place = self.for_value(column, operation, value)?;
        let of = value_type(place.mapped.class)?;
        let mut right = Sql::default();
        right.value(value, of).ok()?;
        if place.mapped.class != Class::Text {
            return Some(enclosed(named(place), word, right));
        }
        let mut exact = named(place);
        exact.push(BY_BYTES);
        let exact = enclosed(exact, word, right.clone());
        Some(match op {
            // The first half may use an index of the column's own collation; equal bytes are equal in every collation.
            Operator::Eq => both(enclosed(named(place), word, right), exact),
            _ => exact,
        })
    }

    fn compare_columns(&self, left: &Column, op: Operator, right: &Column) -> Option<Sql> {
        let (word, _) = comparison(op)?;
        let (left, right) = (self.place(left)?, self.place(right)?);
        let same = left.mapped.class == right.mapped.class && left.mapped.data_type == right.mapped.data_type;
        let exact = allowed(Operation::Columns, left.mapped.class) == Pushdown::Exact;
        let is_text = left.mapped.class == Class::Text;
        let encoded = self.is_utf8 || !is_text;
        let mut first = named(left);
        if is_text {
            first.push(BY_BYTES);
        }
        (same && exact && encoded).then(|| enclosed(first, word, named(right)))
    }

    fn between(&self, between: &Between) -> Option<Sql> {
        let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
            (between.expr.as_ref(), between.low.as_ref(), between.high.as_ref())
        else {
            return None;
        };
        let within = both(
            self.compare(column, Operator::GtEq, low)?,
            self.compare(column, Operator::LtEq, high)?,
        );
        Some(match between.negated {
            true => wrapped("(NOT ", within, ")"),
            false => within,
        })
    }

    fn in_list(&self, list: &InList) -> Option<Sql> {
        let Expr::Column(column) = list.expr.as_ref() else {
            return None;
        };
        let mut values = Vec::with_capacity(list.list.len());
        for expr in &list.list {
            let Expr::Literal(value, _) = expr else {
                return None;
            };
            self.for_value(column, Operation::Equals, value)?;
            values.push(value.clone());
        }
        let place = self.place(column)?;
        let of = value_type(place.mapped.class)?;
        let mut array = Sql::default();
        array.array(&values, of).ok()?;
        let any = |left: Sql| {
            let mut sql = wrapped("(", left, " = ANY (");
            sql.append(array.clone()).push("))");
            sql
        };
        let within = if place.mapped.class == Class::Text {
            let mut exact = named(place);
            exact.push(BY_BYTES);
            both(any(named(place)), any(exact))
        } else {
            any(named(place))
        };
        Some(match list.negated {
            true => wrapped("(NOT ", within, ")"),
            false => within,
        })
    }

    fn like(&self, like: &Like) -> Option<Sql> {
        let (Expr::Column(column), Expr::Literal(pattern, _)) = (like.expr.as_ref(), like.pattern.as_ref())
        else {
            return None;
        };
        let text = pattern.try_as_str().flatten()?;
        // What a backslash means at the end of a pattern is decided otherwise at the server.
        if like.case_insensitive || like.escape_char.is_some() || text.contains('\\') {
            return None;
        }
        let place = self.for_value(column, Operation::Matches, pattern)?;
        let mut left = named(place);
        left.push(BY_BYTES);
        let mut right = Sql::default();
        right.value(pattern, value_type(place.mapped.class)?).ok()?;
        let word = if like.negated { " NOT LIKE " } else { " LIKE " };
        Some(enclosed(left, word, right))
    }

    fn null_test(&self, expr: &Expr, word: &'static str) -> Option<Sql> {
        let Expr::Column(column) = expr else {
            return None;
        };
        let place = self.place(column)?;
        let exact = allowed(Operation::IsNull, place.mapped.class) == Pushdown::Exact;
        exact.then(|| wrapped("(", named(place), word))
    }

    /// The column, if its operation with a value of this very type is exact.
    fn for_value(&self, column: &Column, operation: Operation, value: &ScalarValue) -> Option<Place<'_>> {
        let place = self.place(column)?;
        let class = place.mapped.class;
        let exact = allowed(operation, class) == Pushdown::Exact;
        let encoded = self.is_utf8 || class != Class::Text;
        let same = value.data_type() == place.mapped.data_type;
        (exact && encoded && same && !value.is_null()).then_some(place)
    }

    fn place(&self, column: &Column) -> Option<Place<'_>> {
        // Names may repeat in other letters' case, never exactly: the server's columns are unique.
        let number = self.schema.index_of(&column.name).ok()?;
        let mapped = self.columns.get(number)?;
        Some(Place { number, mapped })
    }
}

fn comparison(op: Operator) -> Option<(&'static str, Operation)> {
    Some(match op {
        Operator::Eq => (" = ", Operation::Equals),
        Operator::NotEq => (" <> ", Operation::Equals),
        Operator::Lt => (" < ", Operation::Orders),
        Operator::LtEq => (" <= ", Operation::Orders),
        Operator::Gt => (" > ", Operation::Orders),
        Operator::GtEq => (" >= ", Operation::Orders),
        _ => return None,
    })
}

fn named(place: Place<'_>) -> Sql {
    let mut sql = Sql::default();
    sql.alias("c", place.number);
    sql
}

fn wrapped(before: &'static str, inner: Sql, after: &'static str) -> Sql {
    let mut sql = Sql::word(before);
    sql.append(inner).push(after);
    sql
}

fn enclosed(left: Sql, word: &'static str, right: Sql) -> Sql {
    let mut sql = wrapped("(", left, word);
    sql.append(right).push(")");
    sql
}

fn both(left: Sql, right: Sql) -> Sql {
    enclosed(left, " AND ", right)
}
