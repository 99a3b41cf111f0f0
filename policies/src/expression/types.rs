//! What an expression gives, found without looking at a row.

use super::{Expression, Function, Literal, Members};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Boolean,
    /// Whole numbers of any width.
    Integer,
    /// Floating point.
    Float,
    /// Decimals of any precision.
    Decimal,
    /// Text.
    Text,
    /// A day.
    Date,
    /// A point in time.
    Timestamp,
    /// A written number, which becomes whatever it is compared with.
    Number,
    /// Not known here: NULL, and columns of a table that nobody has looked at.
    Unknown,
}

impl Type {
    pub(super) fn named(word: &str) -> Option<Self> {
        [
            Self::Boolean,
            Self::Integer,
            Self::Float,
            Self::Text,
            Self::Date,
            Self::Timestamp,
        ]
        .into_iter()
        .find(|found| found.name().eq_ignore_ascii_case(word))
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Number => "number",
            Self::Unknown => "unknown",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Decimal | Self::Number)
    }

    /// The type that both are, if values of both can be compared.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, two) if one == two => Some(one),
            (Self::Unknown, known) | (known, Self::Unknown) => Some(known),
            (Self::Number, number) | (number, Self::Number) if number.is_number() => Some(number),
            _ => None,
        }
    }
}

/// Why an expression has no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeFault {
    /// The table has no such column.
    #[error("there is no column `{name}`")]
    NoColumn {
        /// The column.
        name: String,
    },
    /// The column is of a type that the language has no word for.
    #[error("column `{name}` has a type that cannot be compared")]
    Untyped {
        /// The column.
        name: String,
    },
    /// Two values that cannot stand together.
    #[error("`{expression}` puts {one} and {other} together")]
    Apart {
        /// The expression at fault.
        expression: String,
        /// The type of the one.
        one: &'static str,
        /// The type of the other.
        other: &'static str,
    },
}

impl Expression {
    /// The type of the expression. `column` gives the type of a column: none for a column that is not there,
    /// [`Type::Unknown`] while no table is known.
    ///
    /// # Errors
    /// A [`TypeFault`] that names the part at fault.
    pub fn type_of(&self, column: &dyn Fn(&str) -> Option<Type>) -> Result<Type, TypeFault> {
        match self {
            Self::Literal(value) => Ok(value.type_of()),
            Self::Column(name) => column(name).ok_or_else(|| TypeFault::NoColumn { name: name.clone() }),
            Self::Attribute(_) => Ok(Type::Unknown),
            Self::Not(value) => self.wants(value, Type::Boolean, column).map(|()| Type::Boolean),
            Self::And(one, two) | Self::Or(one, two) => {
                self.wants(one, Type::Boolean, column)?;
                self.wants(two, Type::Boolean, column)?;
                Ok(Type::Boolean)
            }
            Self::Compare(_, one, two) => {
                self.meeting(one.type_of(column)?, two.type_of(column)?)?;
                Ok(Type::Boolean)
            }
            Self::In { value, list, .. } => {
                let mut found = value.type_of(column)?;
                if let Members::Values(values) = list {
                    for value in values {
                        found = self.meeting(found, value.type_of())?;
                    }
                }
                Ok(Type::Boolean)
            }
            Self::IsNull { value, .. } => value.type_of(column).map(|_| Type::Boolean),
            Self::Like { value, .. } => self.wants(value, Type::Text, column).map(|()| Type::Boolean),
            Self::Case { branches, otherwise } => {
                let mut found = Type::Unknown;
                for (condition, result) in branches {
                    self.wants(condition, Type::Boolean, column)?;
                    found = self.meeting(found, result.type_of(column)?)?;
                }
                match otherwise {
                    Some(result) => self.meeting(found, result.type_of(column)?),
                    None => Ok(found),
                }
            }
            Self::Call(function, arguments) => self.called(*function, arguments, column),
            Self::TryCast(value, to) => value.type_of(column).map(|_| *to),
        }
    }

    fn called(
        &self,
        function: Function,
        arguments: &[Self],
        column: &dyn Fn(&str) -> Option<Type>,
    ) -> Result<Type, TypeFault> {
        match function {
            Function::Lower | Function::Upper | Function::Concat => {
                for argument in arguments {
                    self.wants(argument, Type::Text, column)?;
                }
                Ok(Type::Text)
            }
            Function::Substr => {
                for argument in arguments.iter().take(1) {
                    self.wants(argument, Type::Text, column)?;
                }
                Ok(Type::Text)
            }
            Function::Coalesce => arguments.iter().try_fold(Type::Unknown, |found, argument| {
                self.meeting(found, argument.type_of(column)?)
            }),
        }
    }

    fn wants(
        &self,
        part: &Self,
        wanted: Type,
        column: &dyn Fn(&str) -> Option<Type>,
    ) -> Result<(), TypeFault> {
        self.meeting(part.type_of(column)?, wanted).map(|_| ())
    }

    fn meeting(&self, one: Type, other: Type) -> Result<Type, TypeFault> {
        one.with(other).ok_or_else(|| TypeFault::Apart {
            expression: self.to_string(),
            one: one.name(),
            other: other.name(),
        })
    }
}

impl Literal {
    pub(crate) fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Unknown,
            Self::Boolean(_) => Type::Boolean,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::Date(_) => Type::Date,
            Self::Timestamp(_) => Type::Timestamp,
        }
    }
}
