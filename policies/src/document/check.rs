//! What a document must be beyond its shape. Each fault is one sentence that names the rule.

use super::{Canary, Document, Mask, MaskKind};
use crate::expression::{self, Expression, Type};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a document.
pub(super) const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pairs of one mapping.
const MAPPING_ROWS_MAX: usize = 100_000;
/// Roles above each other; what the role manager of casbin follows.
const ROLE_DEPTH_MAX: usize = 10;
/// Characters that a partial mask shows.
const SHOWN_MAX: u32 = 64;

type Checked = Result<(), String>;

impl Document {
    pub(super) fn check(&self) -> Checked {
        self.names()?;
        self.short_grants()?;
        self.grants_match()?;
        self.roles_have_no_cycle()?;
        self.mappings_are_typed()?;
        self.filters_have_types()?;
        self.masks_have_what_they_need()?;
        self.masks_have_no_ties()?;
        self.canaries.iter().try_for_each(canary)
    }

    fn names(&self) -> Checked {
        let kinds: [(&str, Vec<&str>); 5] = [
            (
                "allow",
                self.allows.iter().map(|rule| rule.name.as_str()).collect(),
            ),
            (
                "grant",
                self.grants.iter().map(|rule| rule.name.as_str()).collect(),
            ),
            (
                "filter",
                self.filters.iter().map(|rule| rule.name.as_str()).collect(),
            ),
            ("mask", self.masks.iter().map(|rule| rule.name.as_str()).collect()),
            (
                "mapping",
                self.mappings.iter().map(|rule| rule.name.as_str()).collect(),
            ),
        ];
        let mut seen = BTreeSet::new();
        for (kind, names) in kinds {
            for (index, name) in names.into_iter().enumerate() {
                if name.trim().is_empty() {
                    return Err(format!("rule {} of `{kind}` has an empty name", index + 1));
                }
                if !seen.insert(name) {
                    return Err(format!("two rules have the name `{name}`"));
                }
            }
        }
        Ok(())
    }

    fn short_grants(&self) -> Checked {
        for rule in &self.allows {
            if rule.roles.is_empty() {
                return Err(format!("rule `{}` has no roles", rule.name));
            }
            if rule.tables.is_empty() {
                return Err(format!("rule `{}` has no tables", rule.name));
            }
        }
        Ok(())
    }

    fn grants_match(&self) -> Checked {
        for rule in &self.grants {
            let missing = [
                (rule.roles.is_empty(), "roles"),
                (rule.privileges.is_empty(), "privileges"),
                (rule.on.is_empty(), "objects"),
            ];
            if let Some((_, what)) = missing.into_iter().find(|(is_missing, _)| *is_missing) {
                return Err(format!("rule `{}` has no {what}", rule.name));
            }
        }
        let speaking = self
            .filters
            .iter()
            .map(|rule| (&rule.name, &rule.roles, rule.on.is_empty()))
            .chain(
                self.masks
                    .iter()
                    .map(|rule| (&rule.name, &rule.roles, rule.on.is_empty())),
            );
        for (name, roles, is_about_nothing) in speaking {
            if roles.as_ref().is_some_and(BTreeSet::is_empty) {
                return Err(format!(
                    "rule `{name}` has no roles; without the key it speaks of everybody"
                ));
            }
            if is_about_nothing {
                return Err(format!("rule `{name}` has no objects"));
            }
        }
        Ok(())
    }

    fn roles_have_no_cycle(&self) -> Checked {
        let mut above: BTreeMap<&str, &BTreeSet<String>> = BTreeMap::new();
        for role in &self.roles {
            if role.name.trim().is_empty() || role.inherits.iter().any(|name| name.trim().is_empty()) {
                return Err("a role has an empty name".to_owned());
            }
            if above.insert(&role.name, &role.inherits).is_some() {
                return Err(format!("two roles have the name `{}`", role.name));
            }
        }
        for role in &self.roles {
            let mut level: BTreeSet<&str> = [role.name.as_str()].into();
            for _ in 0..ROLE_DEPTH_MAX {
                level = level
                    .iter()
                    .filter_map(|name| above.get(name))
                    .flat_map(|names| names.iter().map(String::as_str))
                    .collect();
                if level.contains(role.name.as_str()) {
                    return Err(format!("role `{}` inherits itself", role.name));
                }
            }
            if !level.is_empty() {
                return Err(format!(
                    "role `{}` inherits over more than {} steps",
                    role.name,
                    ROLE_DEPTH_MAX - 1
                ));
            }
        }
        Ok(())
    }

    fn mappings_are_typed(&self) -> Checked {
        for mapping in &self.mappings {
            if mapping.rows.len() > MAPPING_ROWS_MAX {
                return Err(format!(
                    "mapping `{}` has more than {MAPPING_ROWS_MAX} pairs",
                    mapping.name
                ));
            }
            let kind = |value: &super::MappedValue| matches!(value, super::MappedValue::Integer(_));
            let kinds: BTreeSet<(bool, bool)> = mapping
                .rows
                .iter()
                .map(|(key, value)| (kind(key), kind(value)))
                .collect();
            if kinds.len() > 1 {
                return Err(format!(
                    "mapping `{}` has keys or values of two types",
                    mapping.name
                ));
            }
        }
        Ok(())
    }

    fn filters_have_types(&self) -> Checked {
        for rule in &self.filters {
            let condition = self.expression(&rule.name, &rule.condition)?;
            let of = condition
                .type_of(&|_| Some(Type::Unknown))
                .map_err(|fault| format!("rule `{}`: {fault}", rule.name))?;
            if !matches!(of, Type::Boolean | Type::Unknown) {
                return Err(format!("rule `{}`: the condition is a {}", rule.name, of.name()));
            }
        }
        Ok(())
    }

    fn expression(&self, rule: &str, text: &str) -> Result<Expression, String> {
        let expression = expression::parse(text).map_err(|fault| format!("rule `{rule}`: {fault}"))?;
        let known = |name: &&str| self.mappings.iter().any(|mapping| mapping.name == **name);
        match expression.mappings().iter().find(|name| !known(name)) {
            Some(name) => Err(format!("rule `{rule}`: there is no mapping `{name}`")),
            None => Ok(expression),
        }
    }

    fn masks_have_what_they_need(&self) -> Checked {
        for rule in &self.masks {
            wants(rule).map_err(|reason| format!("rule `{}` {reason}", rule.name))?;
            if let Some(text) = &rule.expression {
                self.expression(&rule.name, text)?
                    .type_of(&|_| Some(Type::Unknown))
                    .map_err(|fault| format!("rule `{}`: {fault}", rule.name))?;
            }
        }
        Ok(())
    }

    /// One principal may have any roles, so any two masks may meet where their columns do.
    fn masks_have_no_ties(&self) -> Checked {
        for (index, one) in self.masks.iter().enumerate() {
            for two in self.masks.iter().skip(index + 1) {
                let meet = one
                    .on
                    .iter()
                    .any(|left| two.on.iter().any(|right| left.meets(right)));
                if one.priority == two.priority && meet {
                    return Err(format!(
                        "rules `{}` and `{}` mask one column with one priority",
                        one.name, two.name
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether a mask has the keys of its kind and no others.
fn wants(rule: &Mask) -> Checked {
    let given = [
        ("value", rule.value.is_some()),
        ("first", rule.first.is_some()),
        ("last", rule.last.is_some()),
        ("with", rule.with.is_some()),
        ("width", rule.width.is_some()),
        ("to", rule.to.is_some()),
        ("expression", rule.expression.is_some()),
    ];
    let (needs, may): (&[&str], &[&str]) = match rule.kind {
        MaskKind::Deny | MaskKind::Null | MaskKind::Hash => (&[], &[]),
        MaskKind::Constant => (&["value"], &[]),
        MaskKind::Partial => (&[], &["first", "last", "with"]),
        MaskKind::Bucket => (&["width"], &[]),
        MaskKind::Truncate => (&["to"], &[]),
        MaskKind::Custom => (&["expression"], &[]),
    };
    for (key, is_given) in given {
        if needs.contains(&key) && !is_given {
            return Err(format!("has no `{key}`"));
        }
        if is_given && !needs.contains(&key) && !may.contains(&key) {
            return Err(format!("has a `{key}`, which its kind does not take"));
        }
    }
    if rule.width == Some(0) || rule.width.is_some_and(|width| width > i64::MAX.unsigned_abs()) {
        return Err("has a `width` that is not from 1 to 2^63 - 1".to_owned());
    }
    if rule.first.unwrap_or(0) > SHOWN_MAX || rule.last.unwrap_or(0) > SHOWN_MAX {
        return Err(format!("shows more than {SHOWN_MAX} characters"));
    }
    Ok(())
}

fn canary(canary: &Canary) -> Checked {
    let is_exact = canary.on.table().is_exact();
    match is_exact && !canary.roles.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "canary `{}` does not name roles and one table or column",
            canary.on
        )),
    }
}
