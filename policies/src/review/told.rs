//! What the policies make of a table for one caller, in words for that caller: `EXPLAIN POLICY`.
//!
//! Invariant: without `is_full` nothing is told of what does not exist for the caller: no absent column, no condition, no
//! rule for somebody else.

use super::{listed_attributes, mask_words, stands};
use crate::decide::PolicySet;
use crate::decision::{Allowance, Column, Decision, Mask, Rows};
use crate::document::{Effect, FilterKind, Privilege};
use crate::principal::Principal;
use crate::table_name::TableName;

/// One thing that a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The column; none where it is about the table or its rows.
    pub column: Option<String>,
    /// What becomes of it.
    pub effect: String,
    /// The rule that does it; none where it is that no rule does otherwise.
    pub rule: Option<String>,
    /// Why the rule is for the caller: a role, and the attributes that it looks at.
    pub because: String,
}

/// What the rules make of a table for `principal`, with everything that they say where `is_full`; empty for a table that
/// does not exist for it.
pub fn told(set: &PolicySet, principal: &Principal, table: &TableName, is_full: bool) -> Vec<Told> {
    let Decision::Allow(allowance) = set.decide(principal, table) else {
        return Vec::new();
    };
    let mut all = grants(set, principal, table);
    all.extend(rows(set, principal, table, &allowance, is_full));
    for column in set.columns_spoken_of(table) {
        all.extend(one_column(set, principal, &allowance, column, is_full));
    }
    all
}

fn grants(set: &PolicySet, principal: &Principal, table: &TableName) -> Vec<Told> {
    let active = set.active_roles(principal);
    let mut all = Vec::new();
    for grant in set.document().all_grants() {
        let role = grant.roles.iter().find(|role| active.contains(*role));
        let reaches = grant.on.iter().any(|object| {
            let object = object.of_subject(principal.subject());
            object.table().matches(table)
        });
        let reads = grant.effect == Effect::Allow && grant.privileges.contains(&Privilege::Select);
        if let Some(role) = role.filter(|_| reaches && reads) {
            all.push(Told {
                column: None,
                effect: "readable".to_owned(),
                rule: Some(grant.name.clone()),
                because: format!("role {role}"),
            });
        }
    }
    all
}

fn rows(
    set: &PolicySet,
    principal: &Principal,
    table: &TableName,
    allowance: &Allowance,
    is_full: bool,
) -> Vec<Told> {
    if *allowance.rows() == Rows::All {
        return vec![Told {
            column: None,
            effect: "all rows".to_owned(),
            rule: None,
            because: "no filter narrows them for you".to_owned(),
        }];
    }
    let active = set.active_roles(principal);
    let mut all = Vec::new();
    let filters = set.document().filters.iter();
    for filter in filters.filter(|filter| filter.on.iter().any(|on| on.matches(table))) {
        let (counts, why) = stands(&active, &filter.roles, &filter.except_roles);
        if !counts {
            continue;
        }
        let verb = match filter.kind {
            FilterKind::Permissive => "rows",
            FilterKind::Restrictive => "of those, rows",
        };
        all.push(Told {
            column: None,
            effect: match is_full {
                true => format!("{verb} where {}", filter.condition),
                false => format!("{verb} that it chooses"),
            },
            rule: Some(filter.name.clone()),
            because: format!("{why}{}", listed_attributes(&filter.condition)),
        });
    }
    if all.is_empty() {
        all.push(Told {
            column: None,
            effect: "no rows".to_owned(),
            rule: None,
            because: "rows of the table are filtered, and no filter is for a role of yours".to_owned(),
        });
    }
    all
}

fn one_column(
    set: &PolicySet,
    principal: &Principal,
    allowance: &Allowance,
    column: &str,
    is_full: bool,
) -> Option<Told> {
    let effect = match allowance.column(column) {
        Column::Plain => return None,
        Column::Absent if !is_full => return None,
        Column::Absent => "absent".to_owned(),
        Column::Masked(Mask::Custom(_)) if !is_full => "masked, by an expression".to_owned(),
        Column::Masked(mask) => format!("masked, {}", mask_words(mask)),
    };
    let rule = allowance.masked_by(column);
    let active = set.active_roles(principal);
    let mask = rule.and_then(|rule| set.document().masks.iter().find(|mask| mask.name == rule));
    Some(Told {
        column: Some(column.to_owned()),
        effect,
        rule: rule.map(str::to_owned),
        because: match mask {
            Some(mask) => stands(&active, &mask.roles, &mask.except_roles).1,
            None => "no grant names it for a role of yours".to_owned(),
        },
    })
}
