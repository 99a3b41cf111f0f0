//! A plan and its notes as a report.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectors::Observed;
use connectors::postgres::RemoteExec;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;

use super::{Freshness, Read, Report, Residual, SourceReport};
use crate::optimize::Notes;
use crate::request::PushdownRule;
use crate::resolve::TableState;

/// What a report needs beside the plan.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) request: String,
    pub(crate) pushdown: PushdownRule,
    /// The tables that the statement names, each at its state.
    pub(crate) tables: Arc<[TableState]>,
    pub(crate) sees_statements: bool,
}

/// The report of a plan, with what its operators have counted once it runs. Without a plan it says what is read and how
/// old it is.
pub(crate) fn gather(
    around: &Surroundings,
    planned: Option<(&Arc<dyn ExecutionPlan>, &Notes)>,
    observed: Option<&BTreeMap<String, Observed>>,
) -> Report {
    let mut sources: BTreeMap<String, SourceReport> = BTreeMap::new();
    for table in around.tables.iter() {
        let source = sources
            .entry(table.catalog.clone())
            .or_insert_with(|| SourceReport {
                source: table.catalog.clone(),
                kind: table.kind,
                reads: Vec::new(),
                residual: Vec::new(),
                freshness: Vec::new(),
                rows: None,
                bytes: None,
                seconds: None,
            });
        if table.is_versioned {
            source.freshness.push(Freshness {
                table: Some(table.name.clone()),
                version: Some(table.version.clone()),
                as_of: table.as_of.and_then(printed),
            });
        }
    }
    for (name, observed) in observed.into_iter().flatten() {
        if let Some(source) = sources.get_mut(name) {
            source.freshness.push(Freshness {
                table: None,
                version: Some(observed.state.clone()),
                as_of: observed.as_of.and_then(printed),
            });
        }
    }
    if let Some((plan, notes)) = planned {
        add_notes(&mut sources, notes);
        add_reads(&mut sources, plan, around.sees_statements, observed.is_some());
    }
    Report {
        cache: None,
        request: around.request.clone(),
        pushdown: around.pushdown,
        sources: sources.into_values().collect(),
    }
}

fn add_notes(sources: &mut BTreeMap<String, SourceReport>, notes: &Notes) {
    for scan in &notes.lakes {
        if let Some(source) = sources.get_mut(&scan.catalog) {
            source.reads.push(Read {
                tables: scan.table.clone(),
                secured: scan.is_secured,
                statement: None,
                partitions: None,
                pushed: scan
                    .filters
                    .iter()
                    .map(|filter| format!("prunes: {filter}"))
                    .collect(),
                takes_keys: false,
                keys: None,
                estimated_rows: None,
                rows: None,
                bytes: None,
                seconds: None,
            });
        }
    }
    for stop in &notes.stops {
        if let Some(source) = sources.get_mut(&stop.source) {
            source.residual.push(Residual {
                operator: stop.operator.clone(),
                reason: stop.reason.to_string(),
            });
        }
    }
}

fn add_reads(
    sources: &mut BTreeMap<String, SourceReport>,
    plan: &Arc<dyn ExecutionPlan>,
    sees_statements: bool,
    has_run: bool,
) {
    let visited = plan.apply(|node| {
        let Some(name) = leaf_source(node) else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let Some(source) = sources.get_mut(&name) else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let metrics = node.metrics().unwrap_or_default();
        let counted = Counted::of(node, &metrics);
        if has_run {
            source.rows = Some(source.rows.unwrap_or_default() + counted.rows);
            source.bytes = Some(source.bytes.unwrap_or_default() + counted.bytes);
            source.seconds = Some(source.seconds.unwrap_or_default() + counted.seconds);
        }
        if let Some(remote) = node.downcast_ref::<RemoteExec>() {
            source
                .reads
                .push(statement(remote, &counted, sees_statements, has_run));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // The walk itself cannot fail; a report is never worth a query.
    if let Err(error) = visited {
        tracing::debug!(error = %error, "a report is not whole");
    }
}

fn statement(remote: &RemoteExec, counted: &Counted, sees_statements: bool, has_run: bool) -> Read {
    let first = remote.queries().first();
    let statistics = remote.partition_statistics(None).ok();
    let estimated = statistics.and_then(|statistics| match statistics.num_rows {
        Precision::Exact(rows) | Precision::Inexact(rows) => u64::try_from(rows).ok(),
        Precision::Absent => None,
    });
    Read {
        tables: first.map(|query| query.table.to_string()).unwrap_or_default(),
        secured: false,
        statement: first
            .filter(|_| sees_statements)
            .map(|query| query.sql.to_string()),
        partitions: Some(remote.queries().len()),
        pushed: remote.pushed().to_vec(),
        takes_keys: remote.takes_keys(),
        keys: has_run.then_some(counted.keys),
        estimated_rows: estimated,
        rows: has_run.then_some(counted.rows),
        bytes: has_run.then_some(counted.bytes),
        seconds: has_run.then_some(counted.seconds),
    }
}

/// The source that a leaf of a plan reads from; none for an operator that is no leaf of a source.
pub(crate) fn leaf_source(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    if let Some(remote) = node.downcast_ref::<RemoteExec>() {
        return Some(remote.remote().source_name().to_owned());
    }
    let scan = node.downcast_ref::<DataSourceExec>()?;
    let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
    // A lake's store is called after its source: `iceberg://lake/`.
    let url = config.object_store_url.as_str();
    let host = url.split_once("://")?.1;
    Some(host.trim_end_matches('/').to_owned())
}

/// What an operator has counted.
struct Counted {
    rows: u64,
    bytes: u64,
    keys: u64,
    seconds: f64,
}

impl Counted {
    fn of(node: &Arc<dyn ExecutionPlan>, metrics: &MetricsSet) -> Self {
        let named = |name: &str| {
            let value = metrics.sum_by_name(name).map(|value| value.as_usize());
            value.unwrap_or_default() as u64
        };
        let is_remote = node.is::<RemoteExec>();
        let (bytes, nanoseconds) = match is_remote {
            true => (named("bytes_read"), named("waited")),
            false => (named("bytes_scanned"), named("time_elapsed_scanning_total")),
        };
        Self {
            rows: metrics.output_rows().unwrap_or_default() as u64,
            bytes,
            keys: named("keys"),
            seconds: std::time::Duration::from_nanos(nanoseconds).as_secs_f64(),
        }
    }
}

fn printed(micros: i64) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_micros(micros)?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
