//! One table of the server, as the engine scans it.
//!
//! Invariants:
//! - A filter is claimed only when its translation is exact, and every claimed filter is in the statement: one that
//!   cannot be written after all fails the plan.
//! - A scan in several partitions is cut by blocks: each row lies in one block of the one snapshot that all of them read.
//! - A limit goes down only to a scan in one partition, and only with all filters, which the engine sees to.

use super::bind::Bindable;
use super::catalog::Described;
use super::exec::{Remote, RemoteExec};
use super::filter::Translator;
use super::read::{RemoteQuery, Transfer};
use super::sql::{Sql, Unwritable, relation};
use crate::{Error, without_values};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is left of the rows by each predicate, for lack of better knowledge; the engine's own guess.
pub(super) const SELECTIVITY: f64 = 0.2;
/// Up to so many estimated rows a statement with values has them bound.
pub(super) const BOUND_ROWS_MAX: u64 = 100_000;
/// The oldest server that finds a range of blocks without reading the others.
const BLOCK_RANGES_SINCE: u32 = 140_000;

/// A table or view of the server.
#[derive(Clone, Debug)]
pub struct PostgresTable {
    pub(super) remote: Remote,
    pub(super) table: Arc<Described>,
}

impl PostgresTable {
    /// The source that holds it.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The table as a derived table `tN` with those of its columns that are used; column 3 of its schema is `c3` there.
    ///
    /// # Errors
    /// [`Unwritable`] for a name that no server can have.
    pub fn relation(&self, used: &BTreeSet<usize>, number: usize) -> std::result::Result<Sql, Unwritable> {
        self.relation_with(used, false, number)
    }

    /// The column `number` as it must be selected to be of its type in the schema.
    #[must_use]
    pub fn item(&self, number: usize) -> Sql {
        let mut sql = Sql::default();
        match self.table.columns.get(number).and_then(|mapped| mapped.cast) {
            None => sql.alias("c", number),
            Some(cast) => sql.push("(").alias("c", number).push(")::").push(cast),
        };
        sql
    }

    /// The exact translation of a predicate over the relation's columns; `None` when there is none.
    #[must_use]
    pub fn predicate(&self, expr: &Expr) -> Option<Sql> {
        let translator = Translator {
            schema: &self.table.schema,
            columns: &self.table.columns,
            is_utf8: self.table.facts.is_utf8,
        };
        translator.predicate(expr)
    }

    fn relation_with(
        &self,
        used: &BTreeSet<usize>,
        with_ctid: bool,
        number: usize,
    ) -> std::result::Result<Sql, Unwritable> {
        let fields = self.table.schema.fields().iter().enumerate();
        let columns: Vec<(usize, &str)> = fields
            .filter(|(place, _)| used.contains(place))
            .map(|(place, field)| (place, field.name().as_str()))
            .collect();
        let name = (self.table.schema_name.as_str(), self.table.name.as_str());
        relation(name, &columns, with_ctid, number)
    }

    /// The columns that a scan needs at the server: what comes out, and what the predicates look at. No others are named:
    /// they may have changed, and whoever reads the plan need not know them.
    pub(super) fn used(&self, columns: &[usize], filters: &[Expr]) -> BTreeSet<usize> {
        let looked_at = filters.iter().flat_map(Expr::column_refs);
        let looked_at = looked_at.filter_map(|column| self.table.schema.index_of(&column.name).ok());
        columns.iter().copied().chain(looked_at).collect()
    }

    /// How keys come into a statement of these columns; none when it has none.
    fn bindable(
        &self,
        columns: &[usize],
        whole: Option<Arc<RemoteQuery>>,
        rows: Option<u64>,
    ) -> Option<Bindable> {
        let mapped: Option<Vec<_>> = columns
            .iter()
            .map(|column| self.table.columns.get(*column).cloned())
            .collect();
        Some(Bindable {
            columns: mapped.filter(|mapped| !mapped.is_empty())?.into(),
            is_utf8: self.table.facts.is_utf8,
            whole,
            rows,
        })
    }

    fn unwritable(&self, problem: Unwritable) -> Error {
        Error::Unsupported {
            table: self.table.subject().table.to_string(),
            feature: problem.to_string(),
        }
    }

    /// The rows that are expected after so many predicates and a limit.
    fn estimate(&self, predicates: usize, limit: Option<usize>) -> Option<u64> {
        let limit = limit.and_then(|limit| u64::try_from(limit).ok());
        let kept = i32::try_from(predicates).map_or(0.0, |count| SELECTIVITY.powi(count));
        let rows = self.table.rows.map(|rows| (rows as f64 * kept).ceil() as u64);
        match (rows, limit) {
            (Some(rows), Some(limit)) => Some(rows.min(limit)),
            (rows, limit) => rows.or(limit),
        }
    }

    /// The first blocks of the parts of a scan; one part when it is not worth more.
    fn cuts(&self, target: usize, limit: Option<usize>) -> Vec<u64> {
        let config = self.remote.0.config();
        let worth = self.table.rows.is_some_and(|rows| rows >= config.parallel_rows);
        let able = self.table.relation.has_blocks() && self.table.facts.version >= BLOCK_RANGES_SINCE;
        let parts = target.min(config.parallel_max).max(1);
        let parts = u64::try_from(parts).unwrap_or(1).min(self.table.blocks.max(1));
        if !worth || !able || limit.is_some() || parts < 2 {
            return vec![0];
        }
        (0..parts).map(|part| self.table.blocks * part / parts).collect()
    }

    /// The statement of one part: from the block `from` on, before the block `to`.
    fn select(
        &self,
        columns: &[usize],
        used: &BTreeSet<usize>,
        predicates: &[Sql],
        range: Option<(u64, Option<u64>)>,
        limit: Option<usize>,
    ) -> std::result::Result<Sql, Unwritable> {
        let mut sql = Sql::word("SELECT");
        let mut word = " ";
        for column in columns {
            sql.push(word).append(self.item(*column));
            word = ", ";
        }
        sql.push(" FROM ")
            .append(self.relation_with(used, range.is_some(), 0)?);
        let mut word = " WHERE ";
        for predicate in predicates {
            sql.push(word).append(predicate.clone());
            word = " AND ";
        }
        if let Some((from, to)) = range {
            sql.push(word)
                .push("r0 >= '(")
                .number(from)
                .push(",0)'::pg_catalog.tid");
            if let Some(to) = to {
                sql.push(" AND r0 < '(").number(to).push(",0)'::pg_catalog.tid");
            }
        }
        if let Some(limit) = limit {
            sql.push(" LIMIT ").number(limit as u64);
        }
        Ok(sql)
    }
}

#[async_trait]
impl TableProvider for PostgresTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.predicate(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut predicates = Vec::with_capacity(filters.len());
        for filter in filters {
            // The engine has been told which filters are taken, and keeps no others of these.
            predicates.push(self.predicate(filter).ok_or(Error::Internal {
                doing: "planning a remote scan",
                cause: "it was handed a filter that it had refused".into(),
            })?);
        }
        let all: Vec<usize> = (0..self.table.columns.len()).collect();
        let columns = projection.unwrap_or(&all);
        let schema = Arc::new(self.table.schema.project(columns)?);
        let rows = self.estimate(predicates.len(), limit);
        let has_values = predicates.iter().any(Sql::has_values);
        let transfer = match has_values && rows.is_some_and(|rows| rows <= BOUND_ROWS_MAX) {
            true => Transfer::Bound,
            false => Transfer::Copy,
        };
        let used = self.used(columns, filters);
        let cuts = self.cuts(state.config().target_partitions(), limit);
        let mut queries = Vec::with_capacity(cuts.len());
        for (place, from) in cuts.iter().enumerate() {
            let range = (cuts.len() > 1).then(|| (*from, cuts.get(place + 1).copied()));
            let sql = self.select(columns, &used, &predicates, range, limit);
            queries.push(RemoteQuery {
                sql: sql.map_err(|problem| self.unwritable(problem))?,
                schema: Arc::clone(&schema),
                transfer,
                table: self.table.subject().table,
                version: Some(self.table.version.clone()),
            });
        }
        let whole = match (queries.first(), limit) {
            (Some(first), None) if queries.len() > 1 => {
                let sql = self.select(columns, &used, &predicates, None, None);
                Some(Arc::new(RemoteQuery {
                    sql: sql.map_err(|problem| self.unwritable(problem))?,
                    ..first.clone()
                }))
            }
            _ => None,
        };
        let bindable = self.bindable(columns, whole, rows);
        let statistics = statistics(&self.table, columns, rows);
        let mut pushed: Vec<String> = filters
            .iter()
            .map(|filter| format!("filter: {}", without_values(filter)))
            .collect();
        pushed.extend(limit.map(|_| "limit".to_owned()));
        let scan = RemoteExec::new(self.remote.clone(), queries, statistics)?.with_pushed(pushed);
        Ok(Arc::new(match bindable {
            Some(bindable) => scan.with_bindable(bindable),
            None => scan,
        }))
    }

    fn statistics(&self) -> Option<Statistics> {
        let all: Vec<usize> = (0..self.table.columns.len()).collect();
        Some(statistics(&self.table, &all, self.table.rows))
    }
}

/// What the server guesses of the columns of `rows` rows. Nothing here is exact, and no value of a row is in it.
fn statistics(table: &Described, columns: &[usize], rows: Option<u64>) -> Statistics {
    let count = |number: f64| match number.is_finite() && number >= 0.0 {
        true => Precision::Inexact(number.round() as usize),
        false => Precision::Absent,
    };
    let Some(rows) = rows.map(|rows| rows as f64) else {
        return Statistics {
            num_rows: Precision::Absent,
            total_byte_size: Precision::Absent,
            column_statistics: vec![ColumnStatistics::new_unknown(); columns.len()],
        };
    };
    let mut bytes = Some(0.0);
    let of_column = |place: &usize| {
        let known = table.statistics.get(*place).copied().flatten();
        bytes = bytes
            .zip(known)
            .map(|(sum, known)| sum + rows * f64::from(known.width));
        let Some(known) = known else {
            return ColumnStatistics::new_unknown();
        };
        let distinct = match known.distinct < 0.0 {
            true => -known.distinct * rows,
            false => known.distinct.min(rows),
        };
        ColumnStatistics {
            null_count: count(known.nulls * rows),
            distinct_count: count(distinct),
            byte_size: count(rows * f64::from(known.width)),
            ..ColumnStatistics::new_unknown()
        }
    };
    let column_statistics = columns.iter().map(of_column).collect();
    Statistics {
        num_rows: count(rows),
        total_byte_size: bytes.map_or(Precision::Absent, count),
        column_statistics,
    }
}
