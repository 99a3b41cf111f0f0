//! Questions about a document by who writes it: why somebody sees or does not see something, what a change widens, and
//! whether a list of expectations holds. Nothing here makes a principal that could read: the ones imagined stay inside.

mod difference;
mod expectations;
mod findings;
mod told;

pub use difference::{Change, Direction, difference};
pub use expectations::{Expectation, Expectations, Shown};
pub use findings::{Finding, findings};
pub use told::{Told, told};

use crate::decide::PolicySet;
use crate::decision::{Column, Decision, Mask, Rows};
use crate::document::{Effect, Privilege};
use crate::expression::parse;
use crate::principal::Principal;
use crate::table_name::TableName;
use std::collections::BTreeSet;

/// Somebody who might ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Somebody {
    /// The name.
    pub subject: String,
    /// The roles.
    pub roles: BTreeSet<String>,
}

impl Somebody {
    fn principal(&self) -> Principal {
        Principal::new(&self.subject, self.roles.clone())
    }
}

/// Every role that a document names.
pub fn roles(set: &PolicySet) -> BTreeSet<String> {
    set.roles_named()
}

/// What somebody would see of a table.
pub fn decide(set: &PolicySet, who: &Somebody, table: &TableName) -> Decision {
    set.decide(&who.principal(), table)
}

/// The names of tables in rules that none of `tables` has, each with its rule; names with a `*` in them are not among
/// them, and neither are those that depend on who asks.
pub fn unmatched(set: &PolicySet, tables: &[TableName]) -> Vec<(String, String)> {
    let document = set.document();
    let granted = document.all_grants().flat_map(|rule| {
        rule.on
            .into_iter()
            .filter(|on| !on.is_personal())
            .map(move |on| (rule.name.clone(), on.table().clone()))
    });
    let filtered = document
        .filters
        .iter()
        .flat_map(|rule| rule.on.iter().map(|on| (rule.name.clone(), on.clone())));
    let masked = document
        .masks
        .iter()
        .flat_map(|rule| rule.on.iter().map(|on| (rule.name.clone(), on.table().clone())));
    let exact = granted
        .chain(filtered)
        .chain(masked)
        .filter(|(_, on)| on.is_exact());
    let lost = exact.filter(|(_, on)| !tables.iter().any(|table| on.matches(table)));
    let mut found: Vec<(String, String)> = lost.map(|(rule, on)| (rule, on.to_string())).collect();
    found.dedup();
    found
}

/// What a rule has to do with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `grant`, `filter` or `mask`.
    pub kind: &'static str,
    /// The rule.
    pub rule: String,
    /// Whether it counts.
    pub counts: bool,
    /// Why it does or does not.
    pub why: String,
}

/// Why somebody sees of a table what they see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer in words, one line for the table, its rows and each column that a rule speaks of.
    pub answers: Vec<String>,
    /// The rules about the table, in the order of the document.
    pub reasons: Vec<Reason>,
}

/// Explains what `who` sees of a table, or of one column of it.
pub fn explain(set: &PolicySet, who: &Somebody, table: &TableName, column: Option<&str>) -> Explanation {
    let principal = who.principal();
    let mut answers = Vec::new();
    match set.decide(&principal, table) {
        Decision::Deny => answers.push(format!("{table}: not found")),
        Decision::Allow(allowance) => {
            let rows = match allowance.rows() {
                Rows::All => "all rows".to_owned(),
                Rows::Only(condition) => format!("rows where {condition}"),
            };
            answers.push(format!("{table}: {rows}"));
            let named: BTreeSet<&str> = match column {
                Some(column) => [column].into(),
                None => set.columns_spoken_of(table),
            };
            for column in named {
                let shown = shown(&allowance.column(column));
                let by = allowance.masked_by(column);
                let by = by.map_or_else(String::new, |rule| format!(", by `{rule}`"));
                answers.push(format!("{table}.{column}: {shown}{by}"));
            }
        }
    }
    Explanation {
        answers,
        reasons: reasons(set, &principal, table, column),
    }
}

/// A column in a word or two.
pub fn shown(column: &Column<'_>) -> String {
    match column {
        Column::Absent => "absent".to_owned(),
        Column::Plain => "as it is".to_owned(),
        Column::Masked(mask) => format!("masked, {}", mask_words(mask)),
    }
}

fn mask_words(mask: &Mask) -> String {
    match mask {
        Mask::Null => "null".to_owned(),
        Mask::Constant(value) => format!("always {value:?}"),
        Mask::Partial { first, last, .. } => format!("{first} first and {last} last characters"),
        Mask::Hash { .. } => "keyed hash".to_owned(),
        Mask::Bucket { width } => format!("buckets of {width}"),
        Mask::Truncate { to } => format!("start of the {}", to.name()),
        Mask::Custom(expression) => expression.to_string(),
    }
}

fn reasons(set: &PolicySet, principal: &Principal, table: &TableName, column: Option<&str>) -> Vec<Reason> {
    let active = set.active_roles(principal);
    let mut found = grants(set, principal, table, column);
    let about = |roles: &Option<BTreeSet<String>>, except: &BTreeSet<String>| stands(&active, roles, except);
    for filter in set
        .document()
        .filters
        .iter()
        .filter(|rule| rule.on.iter().any(|on| on.matches(table)))
    {
        let (counts, why) = about(&filter.roles, &filter.except_roles);
        let kind = match filter.kind {
            crate::document::FilterKind::Permissive => "shows",
            crate::document::FilterKind::Restrictive => "leaves",
        };
        found.push(Reason {
            kind: "filter",
            rule: filter.name.clone(),
            counts,
            why: format!("{why} and {kind} rows where {}", filter.condition),
        });
    }
    for mask in &set.document().masks {
        let touches = mask
            .on
            .iter()
            .any(|on| on.table().matches(table) && column.is_none_or(|column| on.column().matches(column)));
        if touches {
            let (counts, why) = about(&mask.roles, &mask.except_roles);
            found.push(Reason {
                kind: "mask",
                rule: mask.name.clone(),
                counts,
                why: format!("{why}, {:?} with priority {}", mask.kind, mask.priority),
            });
        }
    }
    found
}

/// Whether a rule is for somebody with the roles `active`, and why.
fn stands(
    active: &BTreeSet<String>,
    roles: &Option<BTreeSet<String>>,
    except: &BTreeSet<String>,
) -> (bool, String) {
    if let Some(role) = except.iter().find(|role| active.contains(*role)) {
        return (false, format!("is not for `{role}`"));
    }
    match roles {
        None => (true, "is for everybody".to_owned()),
        Some(roles) => match roles.iter().find(|role| active.contains(*role)) {
            Some(role) => (true, format!("is for `{role}`")),
            None => (false, format!("is for {}", listed(roles))),
        },
    }
}

/// The attributes of the caller that a condition looks at, as the rest of a sentence.
fn listed_attributes(condition: &str) -> String {
    // A document in force has been read before.
    let Ok(condition) = parse(condition) else {
        return String::new();
    };
    let attributes = condition.attributes();
    match attributes.is_empty() {
        true => String::new(),
        false => {
            let named: Vec<String> = attributes.iter().map(|name| format!("`{name}`")).collect();
            format!(" and looks at your {}", named.join(", "))
        }
    }
}

fn grants(set: &PolicySet, principal: &Principal, table: &TableName, column: Option<&str>) -> Vec<Reason> {
    let mut found = Vec::new();
    let active = set.active_roles(principal);
    for grant in set.document().all_grants() {
        for object in &grant.on {
            let object = object.of_subject(principal.subject());
            let touches_column = column.is_none_or(|column| object.column().matches(column));
            if !object.table().matches(table) || !touches_column {
                continue;
            }
            let role = grant.roles.iter().find(|role| active.contains(*role));
            let reads = grant.privileges.contains(&Privilege::Select);
            let gives = match grant.effect {
                Effect::Allow => "gives",
                Effect::Deny => "takes",
            };
            let privileges: Vec<&str> = grant
                .privileges
                .iter()
                .map(|privilege| privilege.name())
                .collect();
            found.push(Reason {
                kind: "grant",
                rule: grant.name.clone(),
                counts: role.is_some() && reads,
                why: match role {
                    Some(role) => format!("{gives} {} on {object} to `{role}`", privileges.join(", ")),
                    None => format!("is for {}", listed(&grant.roles)),
                },
            });
        }
    }
    found
}

fn listed(roles: &BTreeSet<String>) -> String {
    roles
        .iter()
        .map(|role| format!("`{role}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
