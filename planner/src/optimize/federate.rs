//! Finds the largest subtrees that one Postgres server can do, from the leaves up, and notes what stays here.
//!
//! A subtree that is one scan alone stays a scan, which reads in several parts.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::{LogicalPlan, Sort, TableScan};

use super::compose::{Part, composed, postgres, scan};
use super::remote::RemoteRows;
use super::stops::{FILTER, LakeScan, Notes, Reason, Stop, Withheld, operator, reduces, rule};
use crate::enforce::{Scanned, scanned};
use crate::error::Result;

/// A subtree that was looked at.
enum Found {
    /// One statement does all of it.
    Whole(Part),
    /// Something of it stays here.
    Here(Kept),
}

/// A subtree of which something stays here.
struct Kept {
    plan: LogicalPlan,
    /// The one source that its rows are of; none when there are several, or none that runs statements.
    source: Option<String>,
    /// The lowest operator that stays.
    stop: Option<Stop>,
}

impl Found {
    fn source(&self) -> Option<&str> {
        match self {
            Self::Whole(part) => Some(part.statement.source_name()),
            Self::Here(kept) => kept.source.as_deref(),
        }
    }

    fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Whole(_) => None,
            Self::Here(kept) => kept.stop.as_ref(),
        }
    }
}

/// `plan` with its largest subtrees of one server in the form of statements, and what was found on the way.
///
/// # Errors
/// What the engine says of a node that does not take its changed inputs back.
pub(crate) fn federated(plan: LogicalPlan, withheld: &Withheld) -> Result<(LogicalPlan, Notes)> {
    let mut finder = Finder {
        withheld,
        notes: Notes::default(),
    };
    let found = finder.found(plan)?;
    let plan = finder.settled(found)?;
    Ok((plan, finder.notes))
}

/// Goes over one plan.
struct Finder<'a> {
    withheld: &'a Withheld,
    notes: Notes,
}

impl Finder<'_> {
    fn found(&mut self, plan: LogicalPlan) -> datafusion::error::Result<Found> {
        if let LogicalPlan::TableScan(leaf) = &plan {
            return Ok(self.leaf(leaf, &plan));
        }
        let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let mut children = Vec::with_capacity(inputs.len());
        for input in inputs {
            children.push(self.found(input)?);
        }
        let parts: Option<Vec<Part>> = children
            .iter()
            .map(|child| match child {
                Found::Whole(part) => Some(part.clone()),
                Found::Here(_) => None,
            })
            .collect();
        let is_withheld = self.is_withheld(&plan, &children);
        if let Some(parts) = parts.filter(|_| !is_withheld)
            && let Some(part) = composed(&plan, &parts)
        {
            return Ok(Found::Whole(part));
        }
        let (source, stop) = self.noted(&plan, &children, is_withheld);
        let mut settled = Vec::with_capacity(children.len());
        for child in children {
            settled.push(self.settled(child)?);
        }
        let mut settled = settled.into_iter();
        let changed = plan.map_children(|child| match settled.next() {
            Some(settled) => Ok(Transformed::yes(settled)),
            None => Ok(Transformed::no(child)),
        })?;
        Ok(Found::Here(Kept {
            plan: changed.data,
            source,
            stop,
        }))
    }

    /// Whether the one source of a node's inputs is not handed the node any more.
    fn is_withheld(&self, plan: &LogicalPlan, children: &[Found]) -> bool {
        let mut sources = children.iter().filter_map(Found::source);
        rule(plan).is_some_and(|rule| sources.any(|source| self.withheld.has(source, rule)))
    }

    fn leaf(&mut self, leaf: &TableScan, plan: &LogicalPlan) -> Found {
        let notes = &mut self.notes;
        if let Some(table) = postgres(leaf) {
            notes.has_statements = true;
            if !leaf.filters.is_empty() {
                notes.used.push((table.remote().source_name().to_owned(), FILTER));
            }
            if let Some(part) = scan(leaf, plan) {
                return Found::Whole(part);
            }
            return Found::Here(Kept {
                plan: plan.clone(),
                source: Some(table.remote().source_name().to_owned()),
                stop: None,
            });
        }
        if let Scanned::Table(table) = scanned(leaf)
            && !table.is_listing
        {
            notes.lakes.push(LakeScan {
                catalog: table.name.catalog.clone(),
                table: format!("{}.{}", table.name.schema, table.name.table),
                is_secured: table.fingerprint().is_some(),
                // What of them passes a barrier is nobody's business.
                filters: match table.fingerprint() {
                    Some(_) => Vec::new(),
                    None => leaf.filters.iter().map(connectors::without_values).collect(),
                },
            });
        }
        Found::Here(Kept {
            plan: plan.clone(),
            source: None,
            stop: None,
        })
    }

    /// Notes that `plan` stays here, above `children`. Gives the one source that its rows are of, and the lowest operator
    /// that stays.
    fn noted(
        &mut self,
        plan: &LogicalPlan,
        children: &[Found],
        is_withheld: bool,
    ) -> (Option<String>, Option<Stop>) {
        let notes = &mut self.notes;
        let mut sources: Vec<&str> = children.iter().filter_map(Found::source).collect();
        sources.dedup();
        let is_one = sources.len() == 1 && children.iter().all(|child| child.source().is_some());
        let reason = match plan {
            _ if !is_one => Reason::Sources,
            _ if is_withheld && self.withheld.is_all() => Reason::Off,
            _ if is_withheld => Reason::Withheld,
            LogicalPlan::Extension(_) => Reason::Wall,
            _ if children.iter().any(|child| matches!(child, Found::Here(_))) => Reason::Below,
            _ if is_known(plan) => Reason::Inexact,
            _ => Reason::Kind,
        };
        let made = |source: &str| Stop {
            source: source.to_owned(),
            operator: operator(plan),
            reason,
        };
        let is_told = match plan {
            // The order of a result is always made here.
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => false,
            LogicalPlan::Projection(_) => is_one && reason != Reason::Below,
            _ if is_one => reason != Reason::Below || reduces(plan),
            LogicalPlan::Join(_) => true,
            _ => false,
        };
        if is_told {
            notes.stops.extend(sources.iter().map(|source| made(source)));
        }
        if !is_one {
            return (None, None);
        }
        let source = sources.first().map(|source| (*source).to_owned());
        let lowest = children.iter().find_map(Found::stop).cloned();
        let stop = lowest.or_else(|| source.as_deref().map(made));
        if reduces(plan) {
            notes.drags.extend(stop.clone());
        }
        (source, stop)
    }

    /// A subtree as it is planned: its statement, or itself.
    fn settled(&mut self, found: Found) -> datafusion::error::Result<LogicalPlan> {
        let part = match found {
            Found::Here(kept) => return Ok(kept.plan),
            Found::Whole(part) => part,
        };
        if part.statement.steps() == 0 {
            return Ok(part.plan);
        }
        if !part.is_ordered {
            let schema = Arc::clone(part.plan.schema());
            if let Some(rows) = RemoteRows::node(part.statement, part.pushed, &schema) {
                self.notes.used.extend(part.used);
                return Ok(rows);
            }
            return self.below(part.plan);
        }
        // The first rows of an order: the source finds them, the order is made of those few.
        if let LogicalPlan::Sort(sort) = &part.plan
            && let Some(rows) = RemoteRows::node(part.statement, part.pushed, sort.input.schema())
        {
            self.notes.used.extend(part.used);
            return Ok(LogicalPlan::Sort(Sort {
                input: Arc::new(rows),
                ..sort.clone()
            }));
        }
        self.below(part.plan)
    }

    /// A node that has a statement and cannot be replaced by it, over inputs that can.
    fn below(&mut self, plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
        let mut again = Finder {
            withheld: self.withheld,
            notes: Notes::default(),
        };
        let changed = plan.map_children(|child| {
            let found = again.found(child)?;
            Ok(Transformed::yes(again.settled(found)?))
        })?;
        self.notes.used.extend(again.notes.used);
        Ok(changed.data)
    }
}

/// Whether some nodes of this kind go down.
fn is_known(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Union(_)
    )
}
