//! Facts about a caller with a type, for the conditions of row filters.
//!
//! Invariant: every attribute that exists is within the bounds below, wherever it came from, so that a filter made of
//! it is small.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Attributes of one caller.
const COUNT_MAX: usize = 32;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of one text.
const TEXT_BYTES_MAX: usize = 256;

/// Members of one list.
const MEMBERS_MAX: usize = 256;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text of at most 256 bytes.
    Text(String),
    /// At most 256 texts, in order and each once. An empty list is of this kind.
    Texts(BTreeSet<String>),
    /// At most 256 whole numbers, in order and each once.
    Integers(BTreeSet<i64>),
}

impl Attribute {
    fn fault(&self) -> Option<&'static str> {
        let is_long = |text: &String| text.len() > TEXT_BYTES_MAX;
        let holds_control = |text: &String| text.chars().any(char::is_control);
        match self {
            Self::Boolean(_) | Self::Integer(_) => None,
            Self::Text(text) if is_long(text) => Some("is longer than 256 bytes"),
            Self::Text(text) if holds_control(text) => Some("holds a control character"),
            Self::Texts(texts) if texts.iter().any(is_long) => Some("has a member longer than 256 bytes"),
            Self::Texts(texts) if texts.iter().any(holds_control) => Some("holds a control character"),
            Self::Texts(texts) if texts.len() > MEMBERS_MAX => Some("has more than 256 members"),
            Self::Integers(numbers) if numbers.len() > MEMBERS_MAX => Some("has more than 256 members"),
            Self::Text(_) | Self::Texts(_) | Self::Integers(_) => None,
        }
    }
}

/// The attributes of one caller, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, Attribute>",
    into = "BTreeMap<String, Attribute>"
)]
pub struct Attributes(BTreeMap<String, Attribute>);

impl Attributes {
    /// Takes a map over if it is within bounds: at most 32 names of lower-case letters, digits and `_`.
    ///
    /// # Errors
    /// A sentence that names the attribute at fault and repeats no value.
    pub fn of(map: BTreeMap<String, Attribute>) -> Result<Self, String> {
        if map.len() > COUNT_MAX {
            return Err(format!(
                "there are {} attributes, more than {COUNT_MAX}",
                map.len()
            ));
        }
        for (name, value) in &map {
            if !is_name(name) {
                return Err(format!(
                    "attribute {name:?} has a name that is not 1 to {NAME_BYTES_MAX} of a-z, 0-9 and _, a letter first"
                ));
            }
            if let Some(fault) = value.fault() {
                return Err(format!("attribute `{name}` {fault}"));
            }
        }
        Ok(Self(map))
    }

    /// The value of this name; none when the caller has no such attribute.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// All of them in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, Attribute>> for Attributes {
    type Error = String;

    fn try_from(map: BTreeMap<String, Attribute>) -> Result<Self, String> {
        Self::of(map)
    }
}

impl From<Attributes> for BTreeMap<String, Attribute> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

/// Whether a name can stand in a policy without quotes.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Attributes};
    use std::collections::BTreeMap;

    fn one(name: &str, value: Attribute) -> Result<Attributes, String> {
        Attributes::of(BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn each_type_is_read_as_it_is_written() {
        let text = "region = \"eu\"\nlevel = 3\ntrusted = true\nregions = [\"us\", \"eu\", \"us\"]\nyears = [2, 1]\nnone = []\n";
        let found: Attributes = toml::from_str(text).unwrap();
        let texts =
            |members: &[&str]| Attribute::Texts(members.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(found.get("region"), Some(&Attribute::Text("eu".to_owned())));
        assert_eq!(found.get("level"), Some(&Attribute::Integer(3)));
        assert_eq!(found.get("trusted"), Some(&Attribute::Boolean(true)));
        assert_eq!(found.get("regions"), Some(&texts(&["eu", "us"])));
        assert_eq!(found.get("years"), Some(&Attribute::Integers([1, 2].into())));
        assert_eq!(found.get("none"), Some(&texts(&[])));
        assert_eq!(found.get("absent"), None);
        for wrong in ["a = 1.5", "a = [1, \"x\"]", "a = { b = 1 }", "a = 1979-05-27"] {
            assert!(toml::from_str::<Attributes>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name_and_without_its_value() {
        let long = Attribute::Text("s3cret".repeat(50));
        let many = Attribute::Integers((0..257).collect());
        for (name, value, reason) in [
            ("a", long, "is longer than 256 bytes"),
            ("a", many, "more than 256 members"),
            ("a", Attribute::Text("x\ny".to_owned()), "control character"),
            ("", Attribute::Integer(1), "has a name that is not"),
            ("A", Attribute::Integer(1), "has a name that is not"),
            ("1a", Attribute::Integer(1), "has a name that is not"),
            ("a.b", Attribute::Integer(1), "has a name that is not"),
        ] {
            let error = one(name, value).unwrap_err();
            assert!(error.contains(reason) && !error.contains("s3cret"), "{error}");
        }
        let crowd = (0..33).map(|index| (format!("a{index}"), Attribute::Integer(index)));
        assert!(
            Attributes::of(crowd.collect())
                .unwrap_err()
                .contains("33 attributes")
        );
        one("a_1", Attribute::Integer(1)).unwrap();
    }
}
