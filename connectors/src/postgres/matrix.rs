//! What a Postgres server computes exactly as the engine does: operator by type, as data.
//!
//! Invariants:
//! - A pair that is not in the table is not handed down; the engine evaluates it above the scan.
//! - `Exact` is a claim that `tests/pushdown.rs` proves against a server, with NULLs and edge values.
//!
//! Not in the table, and why: floats (`-0.0` and `0.0` differ for the engine and are equal for the server), `char(n)`
//! (blanks at the end), order of text (left to the engine until the planner asks for it), LIKE and regular expressions
//! (dialects), arithmetic (overflow and division fail at different values), casts.

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
}

/// All operators, in the order of the printed table.
const OPERATIONS: [Operation; 4] = [
    Operation::Equals,
    Operation::Orders,
    Operation::Columns,
    Operation::IsNull,
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
    use Operation::{Columns, Equals, IsNull, Orders};
    match (class, operation) {
        (Class::Opaque, _) => Pushdown::No,
        (_, IsNull) => Pushdown::Exact,
        (Class::Other, _) => Pushdown::No,
        // Under COLLATE "C", equality is that of bytes whatever the database's collation.
        (Class::Text, Equals) => Pushdown::Exact,
        (Class::Text, Orders | Columns) => Pushdown::No,
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

    /// A change here is a change of what users' predicates mean: see the invariants.
    const GOLDEN: &str = "\
Bool: Equals=exact Orders=exact Columns=exact IsNull=exact
Int2: Equals=exact Orders=exact Columns=exact IsNull=exact
Int4: Equals=exact Orders=exact Columns=exact IsNull=exact
Int8: Equals=exact Orders=exact Columns=exact IsNull=exact
Numeric: Equals=exact Orders=exact Columns=exact IsNull=exact
Date: Equals=exact Orders=exact Columns=exact IsNull=exact
Timestamp: Equals=exact Orders=exact Columns=exact IsNull=exact
Timestamptz: Equals=exact Orders=exact Columns=exact IsNull=exact
Uuid: Equals=exact Orders=exact Columns=exact IsNull=exact
Text: Equals=exact Orders=no Columns=no IsNull=exact
Other: Equals=no Orders=no Columns=no IsNull=exact
Opaque: Equals=no Orders=no Columns=no IsNull=no
";

    #[test]
    fn the_table_is_the_one_that_was_agreed() {
        assert_eq!(Matrix.to_string(), GOLDEN);
    }
}
