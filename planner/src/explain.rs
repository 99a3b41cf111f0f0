//! What EXPLAIN may say, and `EXPLAIN (FEDERATION)`, which says what each source is asked. A plan names the files that it
//! reads; where they lie is no business of the person who asks. Who reads a table that the policies show in part, and has
//! not the privilege `explain.full` on every table, sees the shape of the own statement, and each scan as
//! `PolicyScan(table)`.
//!
//! Invariant: of an operator that is not known here nothing is shown but that it is there.

pub(crate) mod policy;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use connectors::QueryScope;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use crate::enforce::POLICY_SCAN;
use crate::error::Result;
use crate::execute::Run;
use crate::report::{Surroundings, batch, gather};

/// The report of a run as the rows of another. With `analyze` the run is made first, and its rows are dropped.
pub(crate) async fn federation(
    run: Run,
    around: Surroundings,
    scope: Arc<QueryScope>,
    analyze: bool,
) -> Result<Run> {
    let observed = match analyze {
        true => {
            let mut rows = execute_stream(Arc::clone(&run.plan), Arc::clone(&run.task))?;
            while let Some(batch) = rows.next().await {
                batch?;
            }
            Some(scope.observations().all())
        }
        false => None,
    };
    let report = gather(&around, Some((&run.plan, &run.notes)), observed.as_ref());
    let rows = batch(&report)?;
    let schema = rows.schema();
    Ok(Run {
        plan: MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?,
        ..run
    })
}

/// The plan rows without the names of files and without the text of remote statements.
pub(crate) fn redacted_statements(batch: &RecordBatch) -> Result<RecordBatch> {
    changed(batch, |text| without_statements(&without_files(text)))
}

/// The plan rows without the names of files.
pub(crate) fn redacted(batch: &RecordBatch) -> Result<RecordBatch> {
    changed(batch, without_files)
}

/// The plan rows with nothing below the scans, and no numbers.
pub(crate) fn shape(batch: &RecordBatch) -> Result<RecordBatch> {
    changed(batch, outline)
}

fn changed(batch: &RecordBatch, change: fn(&str) -> String) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            Arc::new(texts.iter().map(|text| text.map(change)).collect::<StringArray>()) as ArrayRef
        }
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}

/// Each line ends before its `sql=`, which is the last thing that an operator tells of itself.
fn without_statements(text: &str) -> String {
    let lines = text.split('\n').map(|line| match line.find(", sql=") {
        Some(end) => &line[..end],
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands at the beginning of a line of a plan and says only what the statement itself says.
const OPERATORS: [&str; 38] = [
    "Aggregate",
    "AggregateExec",
    "BoundedWindowAggExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "CrossJoinExec",
    "Cross Join",
    "Distinct",
    "DistinctOn",
    "EmptyExec",
    "EmptyRelation",
    "Filter",
    "FilterExec",
    "Full Join",
    "GlobalLimitExec",
    "HashJoinExec",
    "Inner Join",
    "InterleaveExec",
    "Left Join",
    "LeftAnti Join",
    "LeftMark Join",
    "LeftSemi Join",
    "Limit",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "PlaceholderRowExec",
    "Projection",
    "ProjectionExec",
    "RecursiveQuery",
    "RepartitionExec",
    "Right Join",
    "Sort",
    "SortExec",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "SubqueryAlias",
    "Union",
];

/// The lines of a plan, each operator by its own words, each scan by its table.
fn outline(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.trim_start();
        let indent = &line[..line.len() - words.len()];
        let name = words.split([':', '(', ',']).next().unwrap_or_default().trim_end();
        if OPERATORS.contains(&name) {
            return format!("{indent}{}", without_numbers(words));
        }
        let table = words
            .strip_prefix("TableScan: ")
            .and_then(|rest| rest.split(' ').next())
            .or_else(|| words.strip_prefix("PolicyScan: table=")?.split(',').next());
        match table {
            Some(table) => format!("{indent}{POLICY_SCAN}({table})"),
            None => format!("{indent}{POLICY_SCAN}"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// An operator without what was counted or guessed of it.
fn without_numbers(words: &str) -> &str {
    [", metrics=[", ", statistics=["]
        .into_iter()
        .fold(words, |words, mark| {
            words.rfind(mark).map_or(words, |end| &words[..end])
        })
}

/// `file_groups={2 groups: [[a.parquet], [b.parquet]]}` keeps its count alone.
fn without_files(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("file_groups={") {
        let (before, from) = rest.split_at(start);
        kept.push_str(before);
        let end = from.find('}').map_or(from.len(), |end| end + 1);
        let count = from["file_groups={".len()..end]
            .split(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches('}');
        kept.push_str(&format!("file_groups={{{count}}}"));
        rest = &from[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::{outline, without_files, without_statements};

    #[test]
    fn statements_are_left_out_of_each_line() {
        assert_eq!(
            without_statements("Sort\n  RemoteExec: source=pg, sql=SELECT 1\n  X"),
            "Sort\n  RemoteExec: source=pg\n  X"
        );
    }

    #[test]
    fn an_outline_shows_no_scan_and_no_count() {
        let plan = "ProjectionExec: expr=[a@0 as a], metrics=[output_rows=3]\n  FilterExec: a@0 > 1\n    \
                    DataSourceExec: file_groups={2 groups: [[x.parquet]]}\n    RemoteExec: sql=SELECT 1\n    PolicyScan: \
                    table=lake.gold.t, columns=[a]\nTableScan: t projection=[a], partial_filters=[t.a > 1]";
        let shown = "ProjectionExec: expr=[a@0 as a]\n  FilterExec: a@0 > 1\n    PolicyScan\n    PolicyScan\n    \
                     PolicyScan(lake.gold.t)\nPolicyScan(t)";
        assert_eq!(outline(plan), shown);
    }

    #[test]
    fn files_are_counted_and_not_named() {
        assert_eq!(
            without_files("DataSourceExec: file_groups={2 groups: [[x/a.parquet], [b]]}, projection=[a]"),
            "DataSourceExec: file_groups={2 groups}, projection=[a]"
        );
        assert_eq!(without_files("plain"), "plain");
    }
}
