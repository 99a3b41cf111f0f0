//! Grants, decided by casbin.
//!
//! The model has only equality and role membership: no pattern functions, no `eval`, no numbers. A row of the policy is a
//! grant for one role, one privilege and one object; parts of an object that are not named are `*`, every other text
//! carries a mark in front, so that no name of a table, a column or a role is ever taken for a star or for nothing.
//!
//! Invariants (each against a trap of casbin 2.20, which a test shows):
//! * An enforcer is built for one question, never changed and never shared: there is nothing to reload and no cache of
//!   casbin's own.
//! * The policy is never empty (a row that denies nobody stands in it), for over an empty policy casbin compares the
//!   request with empty texts.
//! * Rows are made here, with the fields that the model wants and an effect that is `allow` or `deny` letter by letter.
//! * Whatever goes wrong within casbin, a panic included, denies.

use crate::document::pattern::{ObjectPattern, Part};
use crate::document::{Document, Effect, Privilege};
use crate::principal::Principal;
use crate::table_name::TableName;
use casbin::{CoreApi as _, DefaultModel, Enforcer, Model as _};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Deny overrides allow. Any other text of an effect makes casbin panic.
const EFFECT: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
/// Cheap comparisons first, the walk over the roles last.
const MATCHER: &str = "r.act == p.act \
    && (p.col == \"*\" || r.col == p.col) \
    && (p.tab == \"*\" || r.tab == p.tab) \
    && (p.sch == \"*\" || r.sch == p.sch) \
    && (p.cat == \"*\" || r.cat == p.cat) \
    && g(r.sub, p.sub)";
/// The one who asks; roles have another mark.
const CALLER: &str = "caller";
const NOBODY: &str = "nobody";
const ANY: &str = "*";

/// Who may do what, as a document says.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    rules: Vec<Rule>,
    /// The roles that a role inherits.
    above: BTreeMap<String, BTreeSet<String>>,
}

/// One grant with one object.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Which rule of the document it is.
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) privileges: BTreeSet<Privilege>,
    pub(crate) object: ObjectPattern,
    pub(crate) effect: Effect,
}

impl Grants {
    pub(crate) fn of(document: &Document) -> Self {
        let rules = document.all_grants().flat_map(|grant| {
            grant.on.clone().into_iter().map(move |object| Rule {
                place: 0,
                name: grant.name.clone(),
                roles: grant.roles.clone(),
                privileges: grant.privileges.clone(),
                object,
                effect: grant.effect,
            })
        });
        Self {
            rules: rules
                .enumerate()
                .map(|(place, rule)| Rule { place, ..rule })
                .collect(),
            above: document
                .roles
                .iter()
                .map(|role| (role.name.clone(), role.inherits.clone()))
                .collect(),
        }
    }

    /// The roles of a principal with all that they inherit.
    pub(crate) fn active_roles<'a>(&'a self, roles: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
        let mut active = BTreeSet::new();
        let mut open: Vec<&str> = roles.iter().map(String::as_str).collect();
        while let Some(role) = open.pop() {
            if active.insert(role) {
                open.extend(self.above.get(role).into_iter().flatten().map(String::as_str));
            }
        }
        active
    }

    /// The grants that speak to the one who asks, about objects that `wanted` says yes to.
    pub(crate) fn rules_of(
        &self,
        principal: &Principal,
        wanted: impl Fn(&ObjectPattern) -> bool,
    ) -> Vec<Rule> {
        let active = self.active_roles(principal.roles());
        let mut found = Vec::new();
        for rule in &self.rules {
            if !rule.roles.iter().any(|role| active.contains(role.as_str())) {
                continue;
            }
            if rule.object.is_personal() {
                let object = rule.object.of_subject(principal.subject());
                if wanted(&object) {
                    found.push(Rule {
                        object,
                        ..rule.clone()
                    });
                }
            } else if wanted(&rule.object) {
                found.push(rule.clone());
            }
        }
        found
    }

    /// A court over these rules for one principal.
    pub(crate) fn court(&self, principal: &Principal, rules: &[Rule]) -> Court {
        let built = catch_unwind(AssertUnwindSafe(|| self.enforcer(principal, rules)));
        Court {
            enforcer: built.ok().flatten(),
        }
    }

    fn enforcer(&self, principal: &Principal, rules: &[Rule]) -> Option<Enforcer> {
        let mut model = DefaultModel::default();
        let defined = model.add_def("r", "r", "sub, cat, sch, tab, col, act")
            && model.add_def("p", "p", "sub, cat, sch, tab, col, act, eft")
            && model.add_def("g", "g", "_, _")
            && model.add_def("e", "e", EFFECT)
            && model.add_def("m", "m", MATCHER);
        let built = pin!(Enforcer::new(model, ()));
        // With its parts in memory casbin has nothing to wait for.
        let Poll::Ready(Ok(mut enforcer)) = built.poll(&mut Context::from_waker(Waker::noop())) else {
            return None;
        };
        let model = enforcer.get_mut_model();
        let sentinel = [NOBODY, ANY, ANY, ANY, ANY, ANY, "deny"].map(str::to_owned);
        model.add_policy("p", "p", sentinel.into());
        for rule in rules {
            for row in rows(rule) {
                model.add_policy("p", "p", row);
            }
        }
        for role in principal.roles() {
            model.add_policy("g", "g", vec![CALLER.to_owned(), marked(role)]);
        }
        for role in self.active_roles(principal.roles()) {
            for inherited in self.above.get(role).into_iter().flatten() {
                model.add_policy("g", "g", vec![marked(role), marked(inherited)]);
            }
        }
        let has_links = !principal.roles().is_empty();
        if has_links {
            enforcer.build_role_links().ok()?;
        }
        (defined && has_links).then_some(enforcer)
    }

    /// Whether any table of this catalog, present or to come, may be read by the principal; of one schema of it with
    /// `schema`. What a grant takes away as a whole is not reached.
    pub(crate) fn reaches(&self, principal: &Principal, catalog: &str, schema: Option<&str>) -> bool {
        let rules = self.rules_of(principal, |object| object.table().touches_catalog(catalog));
        let reads = |rule: &&Rule| rule.privileges.contains(&Privilege::Select);
        let touches = |rule: &Rule| match schema {
            Some(schema) => rule.object.table().touches_schema(catalog, schema),
            None => rule.object.table().touches_catalog(catalog),
        };
        let covers = |rule: &Rule| match schema {
            Some(schema) => rule.object.covers_schema(catalog, schema),
            None => rule.object.covers_catalog(catalog),
        };
        let is_of = |effect: Effect| move |rule: &&Rule| rule.effect == effect;
        rules
            .iter()
            .filter(reads)
            .filter(is_of(Effect::Allow))
            .any(touches)
            && !rules.iter().filter(reads).filter(is_of(Effect::Deny)).any(covers)
    }
}

/// The rows of casbin's policy for a grant.
fn rows(rule: &Rule) -> Vec<Vec<String>> {
    let effect = match rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let part = |part: &Part| match part {
        Part::Any => ANY.to_owned(),
        Part::Exactly(name) => marked(name),
    };
    let [catalog, schema, table] = rule.object.table().parts().map(part);
    let column = part(rule.object.column());
    let mut rows = Vec::with_capacity(rule.roles.len() * rule.privileges.len());
    for role in &rule.roles {
        for privilege in &rule.privileges {
            rows.push(vec![
                marked(role),
                catalog.clone(),
                schema.clone(),
                table.clone(),
                column.clone(),
                privilege.name().to_owned(),
                effect.to_owned(),
            ]);
        }
    }
    rows
}

/// A name that is never a star, never empty and never [`CALLER`] or [`NOBODY`].
fn marked(name: &str) -> String {
    format!("={name}")
}

/// Answers questions about one principal.
pub(crate) struct Court {
    enforcer: Option<Enforcer>,
}

impl Court {
    /// Whether the principal may do this with a column of the table; with a column that no grant names when none is
    /// given.
    pub(crate) fn permits(&self, privilege: Privilege, table: &TableName, column: Option<&str>) -> bool {
        let Some(enforcer) = &self.enforcer else {
            return false;
        };
        let request = vec![
            CALLER.to_owned(),
            marked(&table.catalog),
            marked(&table.schema),
            marked(&table.table),
            column.map_or_else(|| ANY.to_owned(), marked),
            privilege.name().to_owned(),
        ];
        catch_unwind(AssertUnwindSafe(|| enforcer.enforce(request)))
            .is_ok_and(|answer| answer.is_ok_and(|permitted| permitted))
    }
}

#[cfg(test)]
mod tests;
