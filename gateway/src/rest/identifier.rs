//! The name of a dataset in a path: `catalog.schema.table`. A part that holds a dot or a double quote stands in double
//! quotes, as in SQL.

use std::fmt;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::error::Error;
use crate::rest::problem::Refusal;

/// A dataset by name; nothing says that it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatasetName {
    pub(super) catalog: String,
    pub(super) schema: String,
    pub(super) table: String,
}

impl DatasetName {
    /// Reads an id.
    ///
    /// # Errors
    /// `Malformed` unless it has three parts.
    pub(super) fn parse(id: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed {
            what: "dataset id",
            problem: format!("'{}' is not of the form catalog.schema.table", shortened(id)),
        };
        let parts = split(id).ok_or_else(malformed)?;
        let [catalog, schema, table] = <[String; 3]>::try_from(parts).map_err(|_| malformed())?;
        Ok(Self {
            catalog,
            schema,
            table,
        })
    }

    /// As a table in SQL, every part quoted.
    pub(super) fn sql(&self) -> String {
        [&self.catalog, &self.schema, &self.table]
            .map(|part| quoted(part))
            .join(".")
    }

    /// As the planner names it in messages and pins.
    pub(super) fn plain(&self) -> String {
        format!("{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str| match name.is_empty() || name.contains(['.', '"']) {
            true => quoted(name),
            false => name.to_owned(),
        };
        write!(
            f,
            "{}.{}.{}",
            part(&self.catalog),
            part(&self.schema),
            part(&self.table)
        )
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DatasetName {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let unreadable = |_| Error::Malformed {
            what: "dataset id",
            problem: "it is not UTF-8".to_owned(),
        };
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(unreadable)?;
        Ok(Self::parse(&id)?)
    }
}

/// An identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The parts between the dots; none when a quote is not closed or stands in the middle of a part.
fn split(id: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = id;
    loop {
        let part;
        (part, rest) = match rest.strip_prefix('"') {
            Some(inner) => unquote(inner)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (bare, after) = rest.split_at(end);
                (
                    Some(bare)
                        .filter(|bare| !bare.is_empty() && !bare.contains('"'))?
                        .to_owned(),
                    after,
                )
            }
        };
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(parts),
        }
    }
}

/// The quoted part whose opening quote is already taken, and what follows its closing quote.
fn unquote(inner: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut letters = inner.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        if letter != '"' {
            part.push(letter);
        } else if letters.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            return Some((part, &inner[place + 1..]));
        }
    }
    None
}

fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        for (id, parts) in [
            ("lake.gold.lineitem", ["lake", "gold", "lineitem"]),
            ("lake.gold.\"a.b\"", ["lake", "gold", "a.b"]),
            ("lake.\"g\"\"d\".t", ["lake", "g\"d", "t"]),
            ("läke.gold.名前", ["läke", "gold", "名前"]),
        ] {
            let name = DatasetName::parse(id).unwrap();
            assert_eq!([&name.catalog, &name.schema, &name.table], parts);
            assert_eq!(name.to_string(), id);
        }
        assert_eq!(DatasetName::parse("a.b.c").unwrap().sql(), "\"a\".\"b\".\"c\"");
        assert_eq!(
            DatasetName::parse("a.b.\"c\"\"\"").unwrap().sql(),
            "\"a\".\"b\".\"c\"\"\""
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for id in [
            "",
            "a",
            "a.b",
            "a.b.c.d",
            "a..c",
            "a.b.",
            ".b.c",
            "a.b.\"c",
            "a.b.c\"d",
            "a.b.\"c\"d",
        ] {
            assert!(DatasetName::parse(id).is_err(), "{id}");
        }
    }
}
