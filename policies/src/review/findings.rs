//! Rules of a document that do nothing, and readers who see nothing by accident. None of it makes a document bad; each is
//! told to who writes it.
//!
//! The document is asked as it would be in force: for each role alone and for somebody without a role, about each table
//! that a rule names and one more for each pattern. What only somebody with several roles would meet is not seen.

use super::Somebody;
use super::difference::{OTHER, tables};
use crate::decide::PolicySet;
use crate::decision::{Allowance, Decision, Rows};
use crate::document::pattern::{ObjectPattern, Part};
use crate::document::{Effect, Filter, FilterKind, Grant, Privilege};
use crate::expression::{Comparison, Expression, Literal, Members};
use crate::principal::Principal;
use crate::table_name::TableName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Of a rule that no answer has a part of.
const NOBODY: &str = "never counts: nobody of whom it speaks may read a table that it names";

/// Something about a document that its writer would want to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule, or the role, that it is about: `mask 'telephone'`.
    pub about: String,
    /// What is the matter.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.about, self.problem)
    }
}

/// What there is to say about a document, sorted.
pub fn findings(set: &PolicySet) -> Vec<Finding> {
    let asked = Asked::all(set);
    let mut found = blind(set, &asked);
    found.extend(idle_masks(set, &asked));
    found.extend(idle_filters(set, &asked));
    found.extend(idle_grants(set));
    found.extend(told_by_metadata(set, &asked));
    found.sort();
    found.dedup();
    found
}

/// One answer of the document.
struct Asked {
    /// The role of the one who asks; none for somebody without one.
    role: Option<String>,
    principal: Principal,
    table: TableName,
    allowance: Arc<Allowance>,
}

impl Asked {
    /// Whether the rule had a part in the answer.
    fn is_by(&self, rule: &str) -> bool {
        self.allowance.rules().iter().any(|name| name == rule)
    }

    fn reader(&self) -> String {
        self.role.as_ref().map_or_else(
            || "somebody without a role".to_owned(),
            |role| format!("role '{role}'"),
        )
    }

    /// Every answer that shows something.
    fn all(set: &PolicySet) -> Vec<Self> {
        let roles = set.roles_named().into_iter().map(Some).chain([None]);
        let everybody: Vec<(Option<String>, Principal)> = roles
            .map(|role| {
                let who = Somebody {
                    subject: OTHER.to_owned(),
                    roles: role.clone().into_iter().collect(),
                };
                (role, who.principal())
            })
            .collect();
        let mut found = Vec::new();
        for table in tables(set, set) {
            for (role, principal) in &everybody {
                if let Decision::Allow(allowance) = set.decide(principal, &table) {
                    found.push(Self {
                        role: role.clone(),
                        principal: principal.clone(),
                        table: table.clone(),
                        allowance,
                    });
                }
            }
        }
        found
    }
}

/// Readers of a table whose filters show them no row.
fn blind(set: &PolicySet, asked: &[Asked]) -> Vec<Finding> {
    let is_never = |asked: &&Asked| match asked.allowance.rows() {
        Rows::All => false,
        Rows::Only(condition) => is_never_true(condition),
    };
    // A role that others inherit is mostly one that nobody has alone.
    let is_part = |asked: &&Asked| {
        let mut roles = set.document().roles.iter();
        roles.any(|role| {
            asked
                .role
                .as_ref()
                .is_some_and(|name| role.inherits.contains(name))
        })
    };
    let mut found = Vec::new();
    for asked in asked.iter().filter(is_never).filter(|asked| !is_part(asked)) {
        let permissive: Vec<&str> = set
            .document()
            .filters
            .iter()
            .filter(|filter| filter.kind == FilterKind::Permissive && asked.is_by(&filter.name))
            .map(|filter| filter.name.as_str())
            .collect();
        let why = match permissive.as_slice() {
            [] => "no permissive filter speaks of this role".to_owned(),
            names => format!(
                "what `{}` shows, the conditions beside it exclude",
                names.join("`, `")
            ),
        };
        found.push(Finding {
            about: asked.reader(),
            problem: format!("may read {} and sees no row of it: {why}", asked.table),
        });
    }
    found
}

/// Masks that change no column for anybody.
fn idle_masks(set: &PolicySet, asked: &[Asked]) -> Vec<Finding> {
    let mut found = Vec::new();
    for mask in &set.document().masks {
        let mut is_reached = false;
        let mut winners = BTreeSet::new();
        for asked in asked.iter().filter(|asked| asked.is_by(&mask.name)) {
            is_reached = true;
            for pattern in mask.on.iter().filter(|on| on.table().matches(&asked.table)) {
                let columns: Vec<&str> = match pattern.column() {
                    Part::Exactly(column) => vec![column],
                    Part::Any => set
                        .columns_spoken_of(&asked.table)
                        .into_iter()
                        .chain([OTHER])
                        .collect(),
                };
                winners.extend(
                    columns
                        .into_iter()
                        .filter_map(|column| asked.allowance.masked_by(column)),
                );
            }
        }
        let problem = match (is_reached, winners.contains(mask.name.as_str())) {
            (_, true) => continue,
            (false, _) => NOBODY.to_owned(),
            (true, false) => {
                let winners: Vec<&str> = winners.into_iter().collect();
                format!("never counts: `{}` has the higher priority", winners.join("`, `"))
            }
        };
        found.push(Finding {
            about: format!("mask '{}'", mask.name),
            problem,
        });
    }
    found
}

/// Filters that change the rows of nobody.
fn idle_filters(set: &PolicySet, asked: &[Asked]) -> Vec<Finding> {
    let filters = &set.document().filters;
    let everything: BTreeSet<&str> = filters
        .iter()
        .filter(|filter| filter.kind == FilterKind::Permissive)
        .filter(|filter| condition(filter) == Some(Expression::truth(true)))
        .map(|filter| filter.name.as_str())
        .collect();
    let problem = |filter: &Filter| -> Option<String> {
        let condition = condition(filter)?;
        if condition != Expression::truth(false) && is_never_true(&condition) {
            return Some("its condition is never true".to_owned());
        }
        let reached: Vec<&Asked> = asked.iter().filter(|asked| asked.is_by(&filter.name)).collect();
        if reached.is_empty() {
            return Some(NOBODY.to_owned());
        }
        if filter.kind != FilterKind::Permissive || everything.contains(filter.name.as_str()) {
            return None;
        }
        let mut wider = BTreeSet::new();
        for asked in reached {
            wider.insert(*everything.iter().find(|name| asked.is_by(name))?);
        }
        let wider: Vec<&str> = wider.into_iter().collect();
        Some(format!(
            "never counts: `{}` shows its readers every row",
            wider.join("`, `")
        ))
    };
    let found = filters.iter().filter_map(|filter| {
        Some(Finding {
            about: format!("filter '{}'", filter.name),
            problem: problem(filter)?,
        })
    });
    found.collect()
}

/// The condition of a filter, which was read once before.
fn condition(filter: &Filter) -> Option<Expression> {
    crate::expression::parse(&filter.condition).ok()
}

/// Grants of which denials leave nothing.
fn idle_grants(set: &PolicySet) -> Vec<Finding> {
    let tables = tables(set, set);
    let gives = |grant: &Grant, role: &String, object: &ObjectPattern| {
        let who = Somebody {
            subject: OTHER.to_owned(),
            roles: [role.clone()].into(),
        };
        let principal = who.principal();
        let column = match object.column() {
            Part::Exactly(name) => Some(name.as_str()),
            Part::Any => None,
        };
        let matching = tables.iter().filter(|table| object.table().matches(table));
        let mut pairs = matching.flat_map(|table| grant.privileges.iter().map(move |held| (table, *held)));
        pairs.any(|(table, privilege)| set.permits_column(&principal, privilege, table, column))
    };
    let grants = set.document().grants.iter();
    let given = grants.filter(|grant| grant.effect == Effect::Allow);
    // A personal object has a name for each subject, and no table asked about is one of them.
    let idle = given.filter(|grant| {
        let mut pairs = grant
            .on
            .iter()
            .flat_map(|object| grant.roles.iter().map(move |role| (object, role)));
        !pairs.any(|(object, role)| object.is_personal() || gives(grant, role, object))
    });
    let found = idle.map(|grant| Finding {
        about: format!("grant '{}'", grant.name),
        problem: "gives nothing: other grants take all of it away".to_owned(),
    });
    found.collect()
}

/// Who may read metadata tables of a table whose rows or columns are hidden from them: bounds of files tell values.
fn told_by_metadata(set: &PolicySet, asked: &[Asked]) -> Vec<Finding> {
    let hides = asked
        .iter()
        .filter(|asked| asked.allowance.others && !asked.allowance.is_plain());
    let told = hides.filter(|asked| set.permits(&asked.principal, Privilege::Metadata, &asked.table));
    let found = told.map(|asked| Finding {
        about: asked.reader(),
        problem: format!(
            "may read the metadata of {}, which tells of rows and columns that are hidden from it",
            asked.table
        ),
    });
    found.collect()
}

/// Whether no row can make the condition true, as far as equalities of a column with written values tell.
fn is_never_true(condition: &Expression) -> bool {
    match condition {
        Expression::Literal(Literal::Boolean(false) | Literal::Null) => true,
        Expression::Or(one, two) => is_never_true(one) && is_never_true(two),
        Expression::And(..) => {
            let mut parts = Vec::new();
            conjuncts(condition, &mut parts);
            parts.iter().any(|part| is_never_true(part)) || contradict(&parts)
        }
        Expression::Compare(_, one, two) => {
            matches!(**one, Expression::Literal(Literal::Null))
                || matches!(**two, Expression::Literal(Literal::Null))
        }
        Expression::In {
            list: Members::Values(values),
            negated: false,
            ..
        } => values.is_empty(),
        _ => false,
    }
}

fn conjuncts<'a>(condition: &'a Expression, found: &mut Vec<&'a Expression>) {
    match condition {
        Expression::And(one, two) => {
            conjuncts(one, found);
            conjuncts(two, found);
        }
        other => found.push(other),
    }
}

/// Whether the parts ask of one column to be two values at once.
fn contradict(parts: &[&Expression]) -> bool {
    let mut allowed: BTreeMap<&str, Vec<&Literal>> = BTreeMap::new();
    for part in parts {
        let (column, values): (&str, Vec<&Literal>) = match part {
            Expression::Compare(Comparison::Equal, one, two) => match (&**one, &**two) {
                (Expression::Column(name), Expression::Literal(value))
                | (Expression::Literal(value), Expression::Column(name)) => (name, vec![value]),
                _ => continue,
            },
            Expression::In {
                value,
                list: Members::Values(values),
                negated: false,
            } => match &**value {
                Expression::Column(name) => (name, values.iter().collect()),
                _ => continue,
            },
            _ => continue,
        };
        // `1` and `1.0` are one number in two writings; only texts are told apart by their letters.
        if values.iter().any(|value| !matches!(value, Literal::Text(_))) {
            continue;
        }
        match allowed.get_mut(column) {
            Some(held) => {
                held.retain(|value| values.contains(value));
                if held.is_empty() {
                    return true;
                }
            }
            None => {
                allowed.insert(column, values);
            }
        }
    }
    false
}
