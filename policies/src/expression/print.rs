//! Expressions as text. Every operator stands in parentheses where another would bind otherwise.

use super::{Expression, Literal, Members};
use std::fmt;

impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => value.fmt(out),
            Self::Column(name) => identifier(name, out),
            Self::Attribute(name) => write!(out, "principal.{name}"),
            Self::Not(value) => write!(out, "(NOT {value})"),
            Self::And(one, two) => write!(out, "({one} AND {two})"),
            Self::Or(one, two) => write!(out, "({one} OR {two})"),
            Self::Compare(how, one, two) => write!(out, "({one} {} {two})", how.symbol()),
            Self::In { value, list, negated } => write!(out, "({value} {}IN {list})", not(*negated)),
            Self::IsNull { value, negated } => write!(out, "({value} IS {}NULL)", not(*negated)),
            Self::Like {
                value,
                pattern,
                negated,
            } => write!(out, "({value} {}LIKE {})", not(*negated), quoted(pattern)),
            Self::Case { branches, otherwise } => {
                out.write_str("CASE")?;
                for (condition, result) in branches {
                    write!(out, " WHEN {condition} THEN {result}")?;
                }
                if let Some(result) = otherwise {
                    write!(out, " ELSE {result}")?;
                }
                out.write_str(" END")
            }
            Self::Call(function, arguments) => {
                write!(out, "{}(", function.name())?;
                separated(arguments, out)?;
                out.write_str(")")
            }
            Self::TryCast(value, to) => write!(out, "try_cast({value} AS {})", to.name()),
        }
    }
}

impl fmt::Display for Members {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => {
                out.write_str("(")?;
                separated(values, out)?;
                out.write_str(")")
            }
            Self::Attribute(name) => write!(out, "principal.{name}"),
            Self::Mapping { name, key } => {
                identifier(name, out)?;
                write!(out, "(principal.{key})")
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("NULL"),
            Self::Boolean(true) => out.write_str("TRUE"),
            Self::Boolean(false) => out.write_str("FALSE"),
            Self::Number(digits) => out.write_str(digits),
            Self::Text(text) => out.write_str(&quoted(text)),
            Self::Date(day) => write!(out, "DATE {}", quoted(day)),
            Self::Timestamp(time) => write!(out, "TIMESTAMP {}", quoted(time)),
        }
    }
}

fn separated<T: fmt::Display>(items: &[T], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name, always in quotes: then no word of the language is taken for one.
fn identifier(name: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(out, "\"{}\"", name.replace('"', "\"\""))
}
