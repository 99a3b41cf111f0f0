//! How large a statement becomes when its WITH tables are put in place. Twenty-five of them, each naming the one before
//! twice, are a kilobyte of text and thirty million scans.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit as _, Visitor};

use crate::error::{Error, Result};

/// Tables of a statement after expansion.
const RELATIONS_MAX: u64 = 2_000;
/// WITH inside WITH. Each level is counted twice, so the levels have to be few.
const LEVELS_MAX: usize = 8;

/// Refuses a statement that would read too many tables.
///
/// # Errors
/// `TooMuch` with the bound.
pub(super) fn check(statement: &Statement) -> Result<()> {
    let mut counter = Counter::default();
    match statement.visit(&mut counter) {
        ControlFlow::Continue(()) if counter.relations <= RELATIONS_MAX => Ok(()),
        ControlFlow::Continue(()) | ControlFlow::Break(Reached::Relations) => Err(Error::TooMuch {
            what: "number of tables once WITH is expanded",
            limit: RELATIONS_MAX.to_string(),
        }),
        ControlFlow::Break(Reached::Levels) => Err(Error::TooMuch {
            what: "nesting of WITH",
            limit: LEVELS_MAX.to_string(),
        }),
    }
}

/// Which bound is met.
enum Reached {
    Relations,
    Levels,
}

#[derive(Clone, Default)]
struct Counter {
    /// The tables that each name in sight stands for, the innermost WITH last.
    scopes: Vec<HashMap<String, u64>>,
    relations: u64,
}

impl Counter {
    fn add(&mut self, count: u64) -> ControlFlow<Reached> {
        self.relations = self.relations.saturating_add(count);
        match self.relations > RELATIONS_MAX {
            true => ControlFlow::Break(Reached::Relations),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Counter {
    type Break = Reached;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Reached> {
        self.scopes.push(HashMap::new());
        if self.scopes.len() > 1 && query.with.is_some() && self.levels() >= LEVELS_MAX {
            return ControlFlow::Break(Reached::Levels);
        }
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let mut inner = Self {
                scopes: self.scopes.clone(),
                relations: 0,
            };
            table.query.visit(&mut inner)?;
            if let Some(scope) = self.scopes.last_mut() {
                scope.insert(table.alias.name.value.to_lowercase(), inner.relations.max(1));
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Reached> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Reached> {
        let name = relation.to_string().replace('"', "").to_lowercase();
        let known = self.scopes.iter().rev().find_map(|scope| scope.get(&name));
        let count = known.copied().unwrap_or(1);
        self.add(count)
    }
}

impl Counter {
    /// How many WITH are around this place.
    fn levels(&self) -> usize {
        self.scopes.iter().filter(|scope| !scope.is_empty()).count()
    }
}
