//! What a session demands of its sources, held before a statement runs: `lakegate.pushdown`,
//! `lakegate.max_rows_from_source` and `lakegate.max_staleness`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connectors::postgres::RemoteExec;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;

use crate::error::{Error, Result};
use crate::optimize::{Notes, Stop};
use crate::physical::Planned;
use crate::report::leaf_source;
use crate::request::{PushdownRule, SourceRules};
use crate::resolve::TableState;
use crate::rows_bound;

/// A query takes more rows from a source than its session allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooManyRows {
    /// The source.
    pub source: String,
    /// The rows that are expected; none when they were counted as they came.
    pub expected: Option<u64>,
    /// The rows that are allowed.
    pub limit: u64,
    /// The operator that could not be handed down to the source, for whose sake they come.
    pub stopped_by: Option<String>,
}

impl fmt::Display for TooManyRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, limit, .. } = self;
        match self.expected {
            Some(rows) => write!(f, "about {rows} rows would come from source {source}")?,
            None => write!(f, "more rows came from source {source}")?,
        }
        write!(f, ", lakegate.max_rows_from_source is {limit}")?;
        match &self.stopped_by {
            Some(operator) => write!(f, "; not handed down: {operator}"),
            None => Ok(()),
        }
    }
}

/// Holds a plan against the rules before it runs.
///
/// # Errors
/// `NotPushed` with the operator that stays here, `TooManyRows` with the source.
pub(crate) async fn check(rules: &SourceRules, planned: &Planned) -> Result<()> {
    if rules.pushdown == PushdownRule::Require
        && let Some(stop) = planned.notes.drags.first()
    {
        let Stop {
            source,
            operator,
            reason,
        } = stop;
        return Err(Error::NotPushed {
            source_name: source.clone(),
            operator: operator.clone(),
            reason: reason.to_string(),
        });
    }
    let Some(limit) = rules.rows_max else {
        return Ok(());
    };
    for (source, rows) in expected(&planned.operators).await? {
        if rows > limit {
            return Err(Error::TooManyRows(TooManyRows {
                expected: Some(rows),
                ..too_many(&planned.notes, &source, limit)
            }));
        }
    }
    Ok(())
}

/// The plan with a count of what comes from each source, where the rules bound that.
///
/// # Errors
/// Those of the engine for a plan that does not take changed leaves.
pub(crate) fn counted(
    rules: &SourceRules,
    plan: Arc<dyn ExecutionPlan>,
    notes: &Notes,
) -> Result<Arc<dyn ExecutionPlan>> {
    match rules.rows_max {
        Some(limit) => Ok(rows_bound::counted(plan, limit, |source| {
            too_many(notes, source, limit)
        })?),
        None => Ok(plan),
    }
}

fn too_many(notes: &Notes, source: &str, limit: u64) -> TooManyRows {
    let mut stops = notes.drags.iter().chain(&notes.stops);
    let stop = stops.find(|stop| stop.source == source);
    TooManyRows {
        source: source.to_owned(),
        expected: None,
        limit,
        stopped_by: stop.map(|stop| format!("{} ({})", stop.operator, stop.reason)),
    }
}

/// The rows that come from each source, where they can be told: a server is asked for its estimate of each statement, a
/// lake counts the rows of its files. A statement that the keys of a join will narrow is not counted here.
async fn expected(plan: &Arc<dyn ExecutionPlan>) -> Result<BTreeMap<String, u64>> {
    let mut leaves: Vec<(String, Arc<dyn ExecutionPlan>)> = Vec::new();
    plan.apply(|node| {
        leaves.extend(leaf_source(node).map(|source| (source, Arc::clone(node))));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for (source, leaf) in leaves {
        let count = match leaf.downcast_ref::<RemoteExec>() {
            Some(remote) if remote.takes_keys() => 0,
            Some(remote) => estimated(remote).await?,
            None => match leaf.partition_statistics(None)?.num_rows {
                Precision::Exact(rows) => rows as u64,
                Precision::Inexact(_) | Precision::Absent => 0,
            },
        };
        let sum = rows.entry(source).or_default();
        *sum = sum.saturating_add(count);
    }
    Ok(rows)
}

async fn estimated(remote: &RemoteExec) -> Result<u64> {
    let mut rows: u64 = 0;
    for query in remote.queries() {
        let estimate = remote.remote().estimate(&query.sql).await?;
        rows = rows.saturating_add(estimate.rows);
    }
    Ok(rows)
}

/// Holds the states of the tables against the rules. A source that keeps no versions shows its newest state, which is
/// looked at when the query reads it.
///
/// # Errors
/// `Stale` with the table.
pub(crate) fn check_freshness(rules: &SourceRules, tables: &[TableState]) -> Result<()> {
    let Some(most) = rules.staleness_max else {
        return Ok(());
    };
    let now = chrono::Utc::now().timestamp_micros();
    for table in tables {
        let age = table.as_of.map(|as_of| now.saturating_sub(as_of).max(0));
        let age = age.map(|age| Duration::from_micros(age.unsigned_abs()));
        if let Some(age) = age.filter(|age| *age > most) {
            return Err(Error::Stale {
                table: format!("{}.{}", table.catalog, table.name),
                age_s: age.as_secs(),
                limit_s: most.as_secs(),
            });
        }
    }
    Ok(())
}
