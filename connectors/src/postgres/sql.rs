//! The one writer of SQL for a server.
//!
//! A statement is a list of pieces: words of ours, identifiers of the server's catalog, and values. Only this file turns
//! pieces into text, so that it alone has to be right about quoting.
//!
//! Invariants:
//! - Words are `&'static str`: nothing that a user wrote can become a word.
//! - An identifier is always quoted, with its quotes doubled; a NUL is refused.
//! - A value is bound as `$n`, or, where the protocol cannot bind (`COPY`), written as a quoted literal by
//!   [`Sql::inlined`]; both carry the same cast to a type of `pg_catalog`. `standard_conforming_strings` is verified on
//!   each connection, so that a quote is the only character to double.
//! - The shown form has no values.

use super::value::{Bound, ValueType};
use datafusion::common::ScalarValue;
use std::fmt;

/// A statement or a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sql(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Word(&'static str),
    Name(String),
    Number(u64),
    Value(Bound),
}

/// Why a name or a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable(pub(super) &'static str);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unwritable {}

impl Sql {
    /// Words of SQL.
    #[must_use]
    pub fn word(word: &'static str) -> Self {
        Self(vec![Piece::Word(word)])
    }

    /// Adds words; blanks are the caller's.
    pub fn push(&mut self, word: &'static str) -> &mut Self {
        self.0.push(Piece::Word(word));
        self
    }

    /// Adds a name of the server's catalog.
    ///
    /// # Errors
    /// [`Unwritable`] for an empty name or one with a NUL, which no server has.
    pub fn name(&mut self, name: &str) -> Result<&mut Self, Unwritable> {
        if name.is_empty() || name.contains('\0') {
            return Err(Unwritable("a name that no server can have"));
        }
        self.0.push(Piece::Name(name.to_owned()));
        Ok(self)
    }

    /// Adds an alias of ours: `prefix` and a number.
    pub fn alias(&mut self, prefix: &'static str, number: usize) -> &mut Self {
        self.0.push(Piece::Word(prefix));
        self.number(number as u64)
    }

    /// Adds a number of ours, such as a limit.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.push(Piece::Number(number));
        self
    }

    /// Adds a value of a type.
    ///
    /// # Errors
    /// [`Unwritable`] when the type does not hold the value exactly.
    pub fn value(&mut self, value: &ScalarValue, of: ValueType) -> Result<&mut Self, Unwritable> {
        self.0.push(Piece::Value(Bound::new(value, of)?));
        Ok(self)
    }

    /// Adds values as one array of a type.
    ///
    /// # Errors
    /// As [`Sql::value`].
    pub fn array(&mut self, values: &[ScalarValue], of: ValueType) -> Result<&mut Self, Unwritable> {
        self.0.push(Piece::Value(Bound::array(values, of)?));
        Ok(self)
    }

    /// Adds another part.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.0.extend(other.0);
        self
    }

    /// Whether a value of a user is in it.
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// The text with `$n` for values, and the values.
    pub(super) fn bound(&self) -> (String, Vec<Bound>) {
        let mut values = Vec::new();
        let text = self.print(|value, text| {
            values.push(value.clone());
            text.push('$');
            text.push_str(&values.len().to_string());
        });
        (text, values)
    }

    /// The text with its values as literals.
    pub(super) fn inlined(&self) -> String {
        self.print(|value, text| quote(value.text(), '\'', text))
    }

    fn print(&self, mut value: impl FnMut(&Bound, &mut String)) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Word(word) => text.push_str(word),
                Piece::Name(name) => quote(name, '"', &mut text),
                Piece::Number(number) => text.push_str(&number.to_string()),
                Piece::Value(bound) => {
                    text.push('(');
                    value(bound, &mut text);
                    text.push_str("::");
                    text.push_str(bound.type_name());
                    text.push(')');
                }
            }
        }
        text
    }
}

/// The form for people: `$n` for values.
impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bound().0)
    }
}

/// Appends `raw` between quotes, each quote inside doubled.
fn quote(raw: &str, quote: char, text: &mut String) {
    text.push(quote);
    for character in raw.chars() {
        if character == quote {
            text.push(quote);
        }
        text.push(character);
    }
    text.push(quote);
}

/// A table as a derived table with generated names: `(SELECT "a" AS c0, "d" AS c3 FROM "s"."t") AS t0`. A column is
/// called after the number it comes with; those that are not used need not be there. `ctid` is `r0` when asked for.
///
/// # Errors
/// [`Unwritable`] for a name that no server can have.
pub fn relation(
    (schema, table): (&str, &str),
    columns: &[(usize, &str)],
    with_ctid: bool,
    number: usize,
) -> Result<Sql, Unwritable> {
    let mut sql = Sql::word("(SELECT");
    let mut word = " ";
    for (place, column) in columns {
        sql.push(word).name(column)?.push(" AS ").alias("c", *place);
        word = ", ";
    }
    if with_ctid {
        sql.push(word).push("ctid AS r0");
    }
    sql.push(" FROM ")
        .name(schema)?
        .push(".")
        .name(table)?
        .push(") AS ")
        .alias("t", number);
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_cannot_leave_their_quotes() {
        let mut sql = relation(("we\"ird", "t; DROP"), &[(0, "a\"b"), (5, "c\\")], false, 3).unwrap();
        let value = ScalarValue::from("\\' OR true --");
        sql.push(" WHERE c0 = ").value(&value, ValueType::Text).unwrap();
        assert_eq!(
            sql.inlined(),
            "(SELECT \"a\"\"b\" AS c0, \"c\\\" AS c5 FROM \"we\"\"ird\".\"t; DROP\") AS t3 \
             WHERE c0 = ('\\'' OR true --'::pg_catalog.text)"
        );
        assert!(sql.to_string().ends_with("WHERE c0 = ($1::pg_catalog.text)"));
        assert_eq!(sql.bound().1.len(), 1);
        assert!(Sql::default().name("a\0b").is_err() && Sql::default().name("").is_err());
    }

    #[test]
    fn an_array_is_one_value() {
        let values = ["a", "b\"c", "d\\e", "null", ""].map(ScalarValue::from);
        let mut sql = Sql::word("= ANY");
        sql.array(&values, ValueType::Text).unwrap();
        assert_eq!(
            sql.inlined(),
            "= ANY('{\"a\",\"b\\\"c\",\"d\\\\e\",\"null\",\"\"}'::pg_catalog.text[])"
        );
    }
}
