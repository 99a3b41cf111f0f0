//! The language of row filters and custom masks: small, typed and total.
//!
//! ```text
//! c_mktsegment = 'BUILDING' AND (c_nationkey IN nations(principal.subject) OR principal.level >= 3)
//! ```
//!
//! Comparisons, IN, BETWEEN, LIKE with a fixed pattern, IS NULL, AND, OR, NOT, CASE, `try_cast`, a handful of functions,
//! columns of the table itself, attributes of the principal (`principal.NAME`) and declared mappings
//! (`x IN MAPPING(principal.NAME)`). There is no arithmetic, no subquery, no other table and nothing volatile.
//!
//! Invariants:
//! * Total: over every row of the right types an expression has a value or NULL, and never fails.
//! * [`std::fmt::Display`] prints what [`parse`] reads as the same expression.
//! * After [`Expression::bound`] it speaks of columns and literals alone.

mod bind;
mod parse;
mod print;
mod tokens;
mod types;

pub use parse::{Fault, parse};
pub use types::{Type, TypeFault};

pub(crate) use bind::Facts;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// A value.
    Literal(Literal),
    /// A column of the table.
    Column(String),
    /// An attribute of the principal.
    Attribute(String),
    /// Not.
    Not(Box<Self>),
    /// All of them.
    And(Box<Self>, Box<Self>),
    /// Any of them.
    Or(Box<Self>, Box<Self>),
    /// A comparison of two values of one type.
    Compare(Comparison, Box<Self>, Box<Self>),
    /// Whether a value is one of a list.
    In {
        /// The value.
        value: Box<Self>,
        /// The list.
        list: Members,
        /// Whether it is asked that it be none of them.
        negated: bool,
    },
    /// Whether a value is NULL.
    IsNull {
        /// The value.
        value: Box<Self>,
        /// Whether it is asked that it be not NULL.
        negated: bool,
    },
    /// Whether a text fits a fixed pattern of `%` and `_`.
    Like {
        /// The text.
        value: Box<Self>,
        /// The pattern, of at most 256 bytes.
        pattern: String,
        /// Whether it is asked that it does not fit.
        negated: bool,
    },
    /// The first result whose condition is true.
    Case {
        /// Conditions and results.
        branches: Vec<(Self, Self)>,
        /// The result when none is; NULL when not written.
        otherwise: Option<Box<Self>>,
    },
    /// A function.
    Call(Function, Vec<Self>),
    /// A conversion that gives NULL where it cannot be.
    TryCast(Box<Self>, Type),
}

/// What stands behind IN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Members {
    /// Values.
    Values(Vec<Literal>),
    /// The members of an attribute that is a list.
    Attribute(String),
    /// The values of a mapping for an attribute of the principal.
    Mapping {
        /// The mapping.
        name: String,
        /// The attribute that is the key.
        key: String,
    },
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Literal {
    /// NULL.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number as it was written: an optional sign, digits, and at most one point.
    Number(String),
    /// A text.
    Text(String),
    /// A day, `YYYY-MM-DD`.
    Date(String),
    /// A time, `YYYY-MM-DD HH:MM:SS[.ffffff]`, in UTC for columns that have a time zone.
    Timestamp(String),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A function. Each is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `lower(text)`
    Lower,
    /// `upper(text)`
    Upper,
    /// `substr(text, start[, length])`, characters counted from 1; start and length are written numbers.
    Substr,
    /// `concat(text, ...)`; a NULL counts as nothing.
    Concat,
    /// `coalesce(value, ...)`: the first that is not NULL.
    Coalesce,
}

impl Function {
    pub(crate) const ALL: [Self; 5] = [
        Self::Lower,
        Self::Upper,
        Self::Substr,
        Self::Concat,
        Self::Coalesce,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Substr => "substr",
            Self::Concat => "concat",
            Self::Coalesce => "coalesce",
        }
    }
}

impl Expression {
    /// Always true.
    pub(crate) fn truth(value: bool) -> Self {
        Self::Literal(Literal::Boolean(value))
    }

    /// Both; what is always true is left out.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Literal(Literal::Boolean(true)), rest) | (rest, Self::Literal(Literal::Boolean(true))) => {
                rest
            }
            (one, two) => Self::And(Box::new(one), Box::new(two)),
        }
    }

    /// Either; what is always false is left out, and what is always true stands alone.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Literal(Literal::Boolean(false)), rest)
            | (rest, Self::Literal(Literal::Boolean(false))) => rest,
            (all @ Self::Literal(Literal::Boolean(true)), _)
            | (_, all @ Self::Literal(Literal::Boolean(true))) => all,
            (one, two) => Self::Or(Box::new(one), Box::new(two)),
        }
    }

    /// The parts of an expression, one level down.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Column(_) | Self::Attribute(_) => Vec::new(),
            Self::Not(value)
            | Self::In { value, .. }
            | Self::IsNull { value, .. }
            | Self::Like { value, .. }
            | Self::TryCast(value, _) => vec![value],
            Self::And(one, two) | Self::Or(one, two) | Self::Compare(_, one, two) => vec![one, two],
            Self::Case { branches, otherwise } => branches
                .iter()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.as_deref())
                .collect(),
            Self::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// The columns that it looks at, each once, in the order of their names.
    pub fn columns(&self) -> std::collections::BTreeSet<&str> {
        let mut found = std::collections::BTreeSet::new();
        let mut open = vec![self];
        while let Some(expression) = open.pop() {
            if let Self::Column(name) = expression {
                found.insert(name.as_str());
            }
            open.extend(expression.parts());
        }
        found
    }

    /// The attributes of the principal that it looks at, each once, in the order of their names.
    pub fn attributes(&self) -> std::collections::BTreeSet<&str> {
        let mut found = std::collections::BTreeSet::new();
        let mut open = vec![self];
        while let Some(expression) = open.pop() {
            match expression {
                Self::Attribute(name)
                | Self::In {
                    list: Members::Attribute(name) | Members::Mapping { key: name, .. },
                    ..
                } => {
                    found.insert(name.as_str());
                }
                _ => {}
            }
            open.extend(expression.parts());
        }
        found
    }

    /// The mappings that it asks.
    pub(crate) fn mappings(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(expression) = open.pop() {
            if let Self::In {
                list: Members::Mapping { name, .. },
                ..
            } = expression
            {
                found.push(name.as_str());
            }
            open.extend(expression.parts());
        }
        found
    }
}

#[cfg(test)]
mod tests;
