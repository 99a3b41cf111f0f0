//! The query string of a call. Each route takes out what it knows; what is left over at the end is refused, since an
//! argument that nobody reads is a typing error.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use url::form_urlencoded;

use crate::error::{Error, Result};
use crate::rest::columns::nearest;

/// The arguments that have not been read yet.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pairs: BTreeMap<String, String>,
    repeated: Option<String>,
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Arguments {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Arguments {
    /// The arguments of a query string.
    pub(super) fn read(query: &str) -> Self {
        let mut arguments = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if arguments
                .pairs
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                arguments.repeated = Some(name.into_owned());
            }
        }
        arguments
    }

    /// Takes out the argument `name`.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.pairs.remove(name)
    }

    /// Takes out a whole number.
    ///
    /// # Errors
    /// `Malformed` for anything else.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>> {
        let read = |text: String| {
            text.parse()
                .map_err(|_| malformed(format!("{name} takes a whole number, not '{}'", shortened(&text))))
        };
        self.text(name).map(read).transpose()
    }

    /// Takes out a choice among words, as the position of the word in `words`.
    ///
    /// # Errors
    /// `Malformed` for another word, with all of them.
    pub(super) fn choice(&mut self, name: &'static str, words: &[&str]) -> Result<Option<usize>> {
        let read = |text: String| {
            let found = words.iter().position(|word| *word == text);
            found.ok_or_else(|| {
                malformed(format!(
                    "{name} takes one of {}, not '{}'",
                    words.join(", "),
                    shortened(&text)
                ))
            })
        };
        self.text(name).map(read).transpose()
    }

    /// Says that no more will be read.
    ///
    /// # Errors
    /// `Malformed` for an argument that is left over, with the nearest known name, or one that is given twice.
    pub(super) fn finish(self) -> Result<()> {
        if let Some(name) = self.repeated {
            return Err(malformed(format!("'{}' is given twice", shortened(&name))));
        }
        let Some((name, _)) = self.pairs.first_key_value() else {
            return Ok(());
        };
        let name = shortened(name);
        Err(malformed(match nearest(&name, self.known.iter().copied()) {
            Some(known) => format!("'{name}' is unknown, did you mean '{known}'?"),
            None => format!("'{name}' is unknown; there are {}", self.known.join(", ")),
        }))
    }
}

fn malformed(problem: String) -> Error {
    Error::Malformed {
        what: "query string",
        problem,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_decoded_and_typed() {
        let mut arguments = Arguments::read("search=line%20item+x&limit=20&rows=arrays");
        assert_eq!(arguments.text("search").as_deref(), Some("line item x"));
        assert_eq!(arguments.number("limit").unwrap(), Some(20));
        assert_eq!(arguments.choice("rows", &["objects", "arrays"]).unwrap(), Some(1));
        assert_eq!(arguments.number("other").unwrap(), None);
        arguments.finish().unwrap();
    }

    #[test]
    fn what_nobody_reads_is_refused_with_the_nearest_name() {
        let mut arguments = Arguments::read("limt=20");
        assert_eq!(arguments.number("limit").unwrap(), None);
        assert!(
            arguments
                .finish()
                .unwrap_err()
                .to_string()
                .ends_with("did you mean 'limit'?")
        );
        let mut twice = Arguments::read("limit=1&limit=2");
        twice.number("limit").unwrap();
        assert!(
            twice
                .finish()
                .unwrap_err()
                .to_string()
                .contains("'limit' is given twice")
        );
        assert!(Arguments::read("limit=-1").number("limit").is_err());
    }
}
