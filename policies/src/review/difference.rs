//! What a change of the document widens and what it narrows, role by role and object by object.

use super::Somebody;
use crate::decide::PolicySet;
use crate::decision::{Allowance, Column, Decision, Rows};
use crate::document::Privilege;
use crate::document::pattern::{Part, TablePattern};
use crate::table_name::TableName;
use std::collections::BTreeSet;
use std::fmt;

/// A name that no rule has, which stands for the objects that a pattern opens and no rule names.
pub(super) const OTHER: &str = "(any other)";

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// More is shown.
    Widened,
    /// Less is shown.
    Narrowed,
    /// Something else is shown; whether it is more, only the data tells.
    Changed,
}

/// One change for one role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Which way it goes.
    pub direction: Direction,
    /// The role, alone.
    pub role: String,
    /// The table or column.
    pub object: String,
    /// What it was and what it is.
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Widened => "widened ",
            Direction::Narrowed => "narrowed",
            Direction::Changed => "changed ",
        };
        write!(out, "{direction}  {}  {}  {}", self.role, self.object, self.what)
    }
}

/// What is otherwise under `new` than under `old`, for each role that either names.
pub fn difference(old: &PolicySet, new: &PolicySet) -> Vec<Change> {
    let mut found = Vec::new();
    let roles: BTreeSet<String> = old.roles_named().union(&new.roles_named()).cloned().collect();
    for table in tables(old, new) {
        for role in &roles {
            let who = Somebody {
                subject: OTHER.to_owned(),
                roles: [role.clone()].into(),
            };
            compare(old, new, &who, role, &table, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn compare(
    old: &PolicySet,
    new: &PolicySet,
    who: &Somebody,
    role: &str,
    table: &TableName,
    found: &mut Vec<Change>,
) {
    let principal = who.principal();
    let mut note = |direction, object: String, what: String| {
        found.push(Change {
            direction,
            role: role.to_owned(),
            object,
            what,
        });
    };
    for privilege in Privilege::ALL {
        let (was, is) = (
            old.permits(&principal, privilege, table),
            new.permits(&principal, privilege, table),
        );
        match (was, is) {
            (false, true) => note(Direction::Widened, table.to_string(), privilege.name().to_owned()),
            (true, false) => note(
                Direction::Narrowed,
                table.to_string(),
                privilege.name().to_owned(),
            ),
            _ => {}
        }
    }
    let (was, is) = (old.decide(&principal, table), new.decide(&principal, table));
    let (Decision::Allow(was), Decision::Allow(is)) = (&was, &is) else {
        return;
    };
    if was.rows() != is.rows() {
        let direction = match (was.rows(), is.rows()) {
            (Rows::Only(_), Rows::All) => Direction::Widened,
            (Rows::All, Rows::Only(_)) => Direction::Narrowed,
            _ => Direction::Changed,
        };
        note(
            direction,
            table.to_string(),
            format!("{} became {}", rows(was), rows(is)),
        );
    }
    for (direction, object, what) in columns(old, new, was, is, table) {
        note(direction, object, what);
    }
}

/// The columns that are shown otherwise.
fn columns(
    old: &PolicySet,
    new: &PolicySet,
    was: &Allowance,
    is: &Allowance,
    table: &TableName,
) -> Vec<(Direction, String, String)> {
    let mut found = Vec::new();
    let columns = old
        .columns_spoken_of(table)
        .into_iter()
        .chain(new.columns_spoken_of(table));
    for column in columns.chain([OTHER]) {
        let (then, now) = (was.column(column), is.column(column));
        if then == now {
            continue;
        }
        let rank = |column: &Column<'_>| match column {
            Column::Absent => 0,
            Column::Masked(_) => 1,
            Column::Plain => 2,
        };
        let direction = match rank(&now).cmp(&rank(&then)) {
            std::cmp::Ordering::Greater => Direction::Widened,
            std::cmp::Ordering::Less => Direction::Narrowed,
            std::cmp::Ordering::Equal => Direction::Changed,
        };
        let what = format!("{} became {}", super::shown(&then), super::shown(&now));
        found.push((direction, format!("{table}.{column}"), what));
    }
    found
}

fn rows(allowance: &Allowance) -> String {
    match allowance.rows() {
        Rows::All => "all rows".to_owned(),
        Rows::Only(condition) => format!("rows where {condition}"),
    }
}

/// Every table that a rule of either names, and for each pattern one that no rule names.
pub(super) fn tables(old: &PolicySet, new: &PolicySet) -> BTreeSet<TableName> {
    let part = |part: &Part| match part {
        Part::Any => OTHER.to_owned(),
        Part::Exactly(name) => name.clone(),
    };
    let named = |pattern: TablePattern| {
        let [catalog, schema, table] = pattern.parts().map(part);
        TableName::new(catalog, schema, table)
    };
    [old, new]
        .into_iter()
        .flat_map(|set| set.patterns().into_iter().map(named).collect::<Vec<_>>())
        .collect()
}
