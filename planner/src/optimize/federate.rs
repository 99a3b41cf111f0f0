//! Finds the largest subtrees that one Postgres server can do, from the leaves up, and notes what stays here.
//!
//! A subtree that is one scan alone stays a scan, which reads in several parts.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::{LogicalPlan, Sort, TableScan};

use super::compose::{Part, composed, postgres, scan};
use super::remote::RemoteRows;
use super::stops::{LakeScan, Notes, Reason, Stop, operator, reduces};
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
pub(crate) fn federated(plan: LogicalPlan) -> Result<(LogicalPlan, Notes)> {
    let mut notes = Notes::default();
    let found = found(plan, &mut notes)?;
    let plan = settled(found)?;
    Ok((plan, notes))
}

fn found(plan: LogicalPlan, notes: &mut Notes) -> datafusion::error::Result<Found> {
    if let LogicalPlan::TableScan(leaf) = &plan {
        return Ok(leaf_found(leaf, &plan, notes));
    }
    let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let mut children = Vec::with_capacity(inputs.len());
    for input in inputs {
        children.push(found(input, notes)?);
    }
    let parts: Option<Vec<Part>> = children
        .iter()
        .map(|child| match child {
            Found::Whole(part) => Some(part.clone()),
            Found::Here(_) => None,
        })
        .collect();
    if let Some(parts) = parts
        && let Some(part) = composed(&plan, &parts)
    {
        return Ok(Found::Whole(part));
    }
    let (source, stop) = noted(&plan, &children, notes);
    let mut settled_children = children.into_iter().map(settled);
    let changed = plan.map_children(|child| match settled_children.next() {
        Some(settled) => Ok(Transformed::yes(settled?)),
        None => Ok(Transformed::no(child)),
    })?;
    Ok(Found::Here(Kept {
        plan: changed.data,
        source,
        stop,
    }))
}

fn leaf_found(leaf: &TableScan, plan: &LogicalPlan, notes: &mut Notes) -> Found {
    if let Some(table) = postgres(leaf) {
        notes.has_statements = true;
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
            filters: leaf.filters.iter().map(connectors::without_values).collect(),
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
fn noted(plan: &LogicalPlan, children: &[Found], notes: &mut Notes) -> (Option<String>, Option<Stop>) {
    let mut sources: Vec<&str> = children.iter().filter_map(Found::source).collect();
    sources.dedup();
    let is_one = sources.len() == 1 && children.iter().all(|child| child.source().is_some());
    let reason = match plan {
        _ if !is_one => Reason::Sources,
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

/// A subtree as it is planned: its statement, or itself.
fn settled(found: Found) -> datafusion::error::Result<LogicalPlan> {
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
            return Ok(rows);
        }
        return below(part.plan);
    }
    // The first rows of an order: the source finds them, the order is made of those few.
    if let LogicalPlan::Sort(sort) = &part.plan
        && let Some(rows) = RemoteRows::node(part.statement, part.pushed, sort.input.schema())
    {
        return Ok(LogicalPlan::Sort(Sort {
            input: Arc::new(rows),
            ..sort.clone()
        }));
    }
    below(part.plan)
}

/// A node that has a statement and cannot be replaced by it, over inputs that can.
fn below(plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    let changed = plan.map_children(|child| {
        let found = found(child, &mut Notes::default())?;
        Ok(Transformed::yes(settled(found)?))
    })?;
    Ok(changed.data)
}
