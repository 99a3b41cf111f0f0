//! What a Postgres server computes exactly as the engine does: operator by type, as data.
//!
//! Invariants:
//! - A pair that is not in the table is not handed down; the engine evaluates it above the scan.
//! - `Exact` is a claim that `tests/pushdown.rs` proves against a server, with NULLs and edge values.
//!
//! Not in the table, and why: floats (`-0.0` and `0.0` differ for the engine and are equal for the server), `char(n)`
//! (blanks at the end), ILIKE and regular expressions (letters by a locale, dialects), arithmetic (overflow and division fail
//! at different values), casts. Text is compared and matched under COLLATE "C", which is by bytes and letters of UTF-8 as the
//! engine does it, and only where the database keeps UTF-8; a LIKE pattern with a backslash stays here, for its end.

use super::types::Class;
use super::value::ValueType;
use crate::Pushdown;
use std::fmt;

/// The operators that a predicate is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Operation {
    /// `=` and `<>`, and IN of values.
    Equals,
    /// `<`, `<=`, `>`, `>=`.
    Orders,
    /// Between two columns of one type.
    Columns,
    /// IS NULL and IS NOT NULL.
    IsNull,
    /// LIKE and NOT LIKE.
    Matches,
}

/// All operators, in the order of the printed table.
const OPERATIONS: [Operation; 5] = [
    Operation::Equals,
    Operation::Orders,
    Operation::Columns,
    Operation::IsNull,
    Operation::Matches,
];

/// All classes of types, in the order of the printed table.
const CLASSES: [Class; 12] = [
    Class::Bool,
    Class::Int2,
    Class::Int4,
    Class::Int8,
    Class::Numeric,
    Class::Date,
    Class::Timestamp,
    Class::Timestamptz,
    Class::Uuid,
    Class::Text,
    Class::Other,
    Class::Opaque,
];

/// How far an operator on a type goes down.
pub(super) fn allowed(operation: Operation, class: Class) -> Pushdown {
    use Operation::{Columns, Equals, IsNull, Matches, Orders};
    match (class, operation) {
        (Class::Opaque, _) => Pushdown::No,
        (_, IsNull) => Pushdown::Exact,
        (Class::Other, _) => Pushdown::No,
        // Under COLLATE "C" it is by bytes, whatever the database's collation.
        (Class::Text, Equals | Orders | Columns | Matches) => Pushdown::Exact,
        (_, Matches) => Pushdown::No,
        (
            Class::Bool
            | Class::Int2
            | Class::Int4
            | Class::Int8
            | Class::Numeric
            | Class::Date
            | Class::Timestamp
            | Class::Timestamptz
            | Class::Uuid,
            Equals | Orders | Columns,
        ) => Pushdown::Exact,
    }
}

/// The type in which a value is written beside a column of a class.
pub(super) fn value_type(class: Class) -> Option<ValueType> {
    Some(match class {
        Class::Bool => ValueType::Bool,
        Class::Int2 => ValueType::Int2,
        Class::Int4 => ValueType::Int4,
        Class::Int8 => ValueType::Int8,
        Class::Numeric => ValueType::Numeric,
        Class::Date => ValueType::Date,
        Class::Timestamp => ValueType::Timestamp,
        Class::Timestamptz => ValueType::Timestamptz,
        Class::Uuid => ValueType::Uuid,
        Class::Text => ValueType::Text,
        Class::Other | Class::Opaque => return None,
    })
}

/// The whole table, printed: a line for each type.
#[derive(Clone, Copy, Debug)]
pub struct Matrix;

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in CLASSES {
            write!(f, "{class:?}:")?;
            for operation in OPERATIONS {
                write!(f, " {operation:?}={}", allowed(operation, class))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    #[test]
    fn the_table_is_the_one_that_was_agreed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgres-matrix.txt");
        let agreed = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            Matrix.to_string(),
            agreed,
            "a change of {path} is a change of what users' predicates mean"
        );
    }
}
