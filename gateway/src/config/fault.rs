//! One fault of a config, told so that the reader can go and correct it: place, key, reason, suggestion.
//!
//! Invariant: the text of a value is never repeated. It may be a secret that was written where a reference belongs.

use super::Config;
use super::layer::Layer;
use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use figment::{Figment, Profile};
use std::fmt;
use std::io;
use std::path::Path;

/// The key that tells the kind of a source, and with it which other keys there are.
const TAG: &str = "kind";

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file and line, or the variable, where it is known.
    pub place: Option<String>,
    /// The full key, such as `limits.queries_max`, where it is known.
    pub key: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of one key.
    pub fn at(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: None,
            key: Some(key.into()),
            reason: reason.into(),
            hint: None,
        }
    }

    pub(super) fn of_place(place: String, reason: String) -> Self {
        Self {
            place: Some(place),
            key: None,
            reason,
            hint: None,
        }
    }

    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::of_place(path.display().to_string(), format!("cannot be read: {error}"))
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The fault for a line that already begins with the key.
    pub(crate) fn without_key(&self) -> String {
        Self {
            key: None,
            ..self.clone()
        }
        .to_string()
    }

    /// Fills in the place from the first of the layers that sets the key.
    pub(super) fn found_in(mut self, layers: &[&Layer]) -> Self {
        if let Some(key) = self.key.as_deref() {
            self.place = layers
                .iter()
                .find_map(|layer| layer.place_of(key))
                .map(str::to_owned);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        if let Some(key) = &self.key {
            write!(out, "{key}: ")?;
        }
        out.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(out, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Turns what figment says into a fault.
pub(super) fn explain(error: figment::Error, figment: &Figment, layers: &[&Layer]) -> Fault {
    let whole = whole(figment);
    let mut path = error.path.clone();
    match &error.kind {
        // A struct that is read out of a tagged one loses its key on the way; the kind still has it.
        Kind::UnknownField(name, _) if path.last() != Some(name) || holds(&whole, &path, name) => {
            path.push(name.clone());
        }
        Kind::UnknownField(..) => {}
        Kind::MissingField(name) => path.push(name.to_string()),
        kind => path.extend(culprit(&whole, &path, kind)),
    }
    let key = path.join(".");
    let (reason, hint) = reason(&error.kind);
    // The value came from the layer that figment names; where it names none, the last that sets the key.
    let named = error.metadata.as_ref().map(|metadata| metadata.name.as_ref());
    let place = layers
        .iter()
        .filter(|layer| named.is_none_or(|name| name == layer.name()))
        .chain(layers.iter().rev())
        .find_map(|layer| layer.place_of(&key));
    Fault {
        place: place.map(str::to_owned),
        key: Some(key).filter(|key| !key.is_empty()),
        reason,
        hint,
    }
}

fn whole(figment: &Figment) -> Dict {
    match figment::Provider::data(figment) {
        Ok(mut profiles) => profiles.remove(&Profile::Default).unwrap_or_default(),
        Err(_) => Dict::new(),
    }
}

fn table<'a>(whole: &'a Dict, path: &[String]) -> Option<&'a Dict> {
    path.iter().try_fold(whole, |table, name| match table.get(name)? {
        Value::Dict(_, inner) => Some(inner),
        _ => None,
    })
}

fn holds(whole: &Dict, path: &[String], name: &str) -> bool {
    table(whole, path).is_some_and(|table| table.contains_key(name))
}

/// The key at fault below `path`, for errors that stop at a table: the one without which the error is another. Without
/// the tag every error is another, so the tag is at fault only if no other key is.
fn culprit(whole: &Dict, path: &[String], kind: &Kind) -> Option<String> {
    let mut names: Vec<&String> = table(whole, path)?.keys().collect();
    names.sort_by_key(|name| *name == TAG);
    names
        .into_iter()
        .find(|name| !still_fails(whole, path, name, kind))
        .cloned()
}

/// Whether the error stays without the key `name` of the table at `path`.
fn still_fails(whole: &Dict, path: &[String], name: &str, kind: &Kind) -> bool {
    let mut changed = whole.clone();
    let at = path
        .iter()
        .try_fold(&mut changed, |table, part| match table.get_mut(part)? {
            Value::Dict(_, inner) => Some(inner),
            _ => None,
        });
    let Some(at) = at else { return true };
    at.remove(name);
    Value::from(changed)
        .deserialize::<Config>()
        .is_err_and(|error| error.kind == *kind)
}

fn reason(kind: &Kind) -> (String, Option<String>) {
    match kind {
        Kind::UnknownField(name, known) => ("unknown key".to_owned(), Some(suggestion(name, known))),
        Kind::UnknownVariant(name, known) => ("unknown value".to_owned(), Some(suggestion(name, known))),
        Kind::MissingField(_) => ("the key is missing".to_owned(), None),
        Kind::InvalidType(actual, expected) => {
            (format!("expected {expected}, found {}", shape(actual)), None)
        }
        Kind::InvalidValue(actual, expected) => {
            (format!("expected {expected}, found {}", shape(actual)), None)
        }
        Kind::InvalidLength(length, expected) => (format!("expected {expected}, found {length} items"), None),
        Kind::Message(message) => (message.clone(), None),
        Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => (kind.to_string(), None),
    }
}

/// The nearest of the known names, or all of them when none is near.
fn suggestion(name: &str, known: &[&str]) -> String {
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), other);
    let nearest = known.iter().map(|other| (distance(other), *other)).min();
    match nearest {
        Some((distance, other)) if distance <= 2.max(name.len() / 3) => format!("did you mean `{other}`?"),
        _ => format!("known here: {}", known.join(", ")),
    }
}

fn shape(actual: &Actual) -> String {
    match actual {
        Actual::Str(_) | Actual::Char(_) => "a string".to_owned(),
        Actual::Bytes(_) => "bytes".to_owned(),
        Actual::Bool(truth) => format!("the boolean {truth}"),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Seq => "an array".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
