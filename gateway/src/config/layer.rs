//! One place that settings come from, as figment wants it, and with the way back from a key to the place in it.

use super::environment::Environment;
use super::fault::Fault;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

const PREFIX: &str = "LAKEGATE__";
const SEPARATOR: &str = "__";

/// Settings with the place of each key: `FILE, line N` or `variable NAME`.
#[derive(Debug)]
pub(super) struct Layer {
    name: String,
    settings: Dict,
    places: BTreeMap<String, String>,
}

impl Layer {
    /// The settings of a TOML text.
    pub(super) fn file(text: &str, path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        let syntax = |error: toml::de::Error| {
            let place = match error.span() {
                Some(span) => format!("{name}, line {}", line(span.start)),
                None => name.clone(),
            };
            Fault::of_place(place, error.message().to_owned())
        };
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        let spans = DeTable::parse(text).map_err(syntax)?;
        let mut places = BTreeMap::new();
        collect_places(spans.get_ref(), "", &mut |key, offset| {
            places.insert(key, format!("{name}, line {}", line(offset)));
        });
        Ok(Self {
            settings: dict(table),
            name,
            places,
        })
    }

    /// The settings of the variables that begin with `LAKEGATE__`.
    pub(super) fn environment(environment: &Environment) -> Result<Self, Fault> {
        let mut settings = Dict::new();
        let mut places = BTreeMap::new();
        for (rest, text) in environment.with_prefix(PREFIX) {
            let place = format!("variable {PREFIX}{rest}");
            let path: Vec<String> = rest.split(SEPARATOR).map(str::to_lowercase).collect();
            if path.iter().any(String::is_empty) {
                return Err(Fault::of_place(place, "the name has an empty part".to_owned()));
            }
            if !insert(&mut settings, &path, read_variable(text)) {
                return Err(Fault::of_place(
                    place,
                    "another variable sets a part of this key".to_owned(),
                ));
            }
            for depth in 1..=path.len() {
                places
                    .entry(path[..depth].join("."))
                    .or_insert_with(|| place.clone());
            }
        }
        Ok(Self {
            name: "environment".to_owned(),
            settings,
            places,
        })
    }

    /// Where a key, or else the table around it, is set here.
    pub(super) fn place_of(&self, key: &str) -> Option<&str> {
        let around = || {
            key.rsplit_once('.')
                .and_then(|(around, _)| self.places.get(around))
        };
        self.places.get(key).or_else(around).map(String::as_str)
    }

    /// The name under which figment reports this layer.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.settings.clone())]))
    }
}

/// Puts a value under a path; false if something else than a table is in the way.
fn insert(settings: &mut Dict, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [key] => settings.insert(key.clone(), value).is_none(),
        [key, rest @ ..] => {
            let inner = settings
                .entry(key.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            match inner {
                Value::Dict(_, inner) => insert(inner, rest, value),
                _ => false,
            }
        }
    }
}

/// A variable's text as TOML if it is a value of an unmistakable form, else as it is.
fn read_variable(text: &str) -> Value {
    let read = toml::from_str::<toml::Table>(&format!("value = {text}"));
    match read
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
    {
        // A date looks like a word here: no setting is a date.
        Some(toml::Value::Datetime(_)) | None => Value::from(text),
        Some(value) => figment_value(value),
    }
}

fn dict(table: toml::Table) -> Dict {
    table
        .into_iter()
        .map(|(key, value)| (key, figment_value(value)))
        .collect()
}

fn figment_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::from(truth),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(figment_value).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => Value::from(dict(table)),
    }
}

fn collect_places(table: &DeTable<'_>, around: &str, found: &mut impl FnMut(String, usize)) {
    for (name, value) in table.iter() {
        let key = if around.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{around}.{}", name.get_ref())
        };
        if let DeValue::Table(inner) = value.get_ref() {
            collect_places(inner, &key, found);
        }
        found(key, name.span().start);
    }
}
