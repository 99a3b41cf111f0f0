//! One statement over several tables of a server, built up node by node from the leaves of a plan.
//!
//! Invariants:
//! - Every input is a derived table and every column has a generated name, unique within its statement: what a user or a
//!   catalog called a thing decides nothing.
//! - The predicates of an input are inside its derived table, so that no join, outer ones included, lets back in what a
//!   predicate below it has dropped.
//! - A step that the server would not do as the engine does gives none; the caller stops below it. What each type allows
//!   is in `matrix.rs`.

mod calls;

use super::bind::Bindable;
use super::exec::{Remote, RemoteExec};
use super::filter::Translator;
use super::matrix::{Operation, allowed};
use super::read::{RemoteQuery, Transfer};
use super::sql::Sql;
use super::table::{BOUND_ROWS_MAX, PostgresTable, SELECTIVITY};
use super::types::{Class, Mapped};
use crate::{Error, Pushdown};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::logical_expr::Expr;
use std::sync::Arc;

/// A statement whose columns are `c0`, `c1` and so on.
#[derive(Clone, Debug)]
pub struct Composed {
    remote: Remote,
    sql: Sql,
    columns: Vec<Mapped>,
    rows: Option<u64>,
    tables: Vec<Arc<str>>,
    is_utf8: bool,
    /// The next number of a derived table.
    number: usize,
    steps: usize,
}

/// A statement that is ready to be run.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Where it runs.
    pub remote: Remote,
    /// What runs.
    pub query: Arc<RemoteQuery>,
    /// The tables that it reads, each as `schema.table`.
    pub tables: Arc<[Arc<str>]>,
    /// The rows that are expected.
    pub rows: Option<u64>,
    bindable: Bindable,
}

impl Statement {
    /// The operator that runs it. `pushed` says in words what it does.
    ///
    /// # Errors
    /// As [`RemoteExec::new`].
    pub fn exec(&self, statistics: Statistics, pushed: Vec<String>) -> Result<RemoteExec, Error> {
        let query = self.query.as_ref().clone();
        let exec = RemoteExec::new(self.remote.clone(), vec![query], statistics)?;
        Ok(exec.with_pushed(pushed).with_bindable(self.bindable.clone()))
    }
}

/// How two inputs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Pairs that match.
    Inner,
    /// Those, and the rows of the left that match nothing.
    Left,
    /// Those, and the rows of the right that match nothing.
    Right,
    /// Those, and the rows of both that match nothing.
    Full,
    /// Rows of the left that match something.
    Semi,
    /// Rows of the left that match nothing.
    Anti,
}

/// An aggregate function over a column, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The number of rows.
    Rows,
    /// The number of values that are not NULL.
    Count(usize),
    /// The least value.
    Min(usize),
    /// The greatest value.
    Max(usize),
    /// The sum.
    Sum(usize),
    /// The mean.
    Avg(usize),
}

/// A key of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The column's place.
    pub column: usize,
    /// The smallest first.
    pub is_ascending: bool,
    /// NULLs before values.
    pub nulls_first: bool,
}

impl PostgresTable {
    /// The start of a statement: these columns of the table, of the rows that meet all of `filters`. None when a filter
    /// has no exact translation.
    #[must_use]
    pub fn composed(&self, projection: Option<&[usize]>, filters: &[Expr]) -> Option<Composed> {
        let all: Vec<usize> = (0..self.table.columns.len()).collect();
        let wanted = projection.unwrap_or(&all);
        let mut sql = Sql::word("SELECT ");
        for (place, column) in wanted.iter().enumerate() {
            if place > 0 {
                sql.push(", ");
            }
            sql.append(self.item(*column)).push(" AS ").alias("c", place);
        }
        if wanted.is_empty() {
            sql.push("1");
        }
        sql.push(" FROM ")
            .append(self.relation(&self.used(wanted, filters), 0).ok()?);
        let mut word = " WHERE ";
        for filter in filters {
            sql.push(word).append(self.predicate(filter)?);
            word = " AND ";
        }
        let columns = wanted
            .iter()
            .map(|column| self.table.columns.get(*column).cloned());
        let kept = i32::try_from(filters.len()).map_or(0.0, |count| SELECTIVITY.powi(count));
        Some(Composed {
            remote: self.remote.clone(),
            sql,
            columns: columns
                .map(|mapped| mapped.map(|mapped| Mapped { cast: None, ..mapped }))
                .collect::<Option<Vec<_>>>()?,
            rows: self.table.rows.map(|rows| (rows as f64 * kept).ceil() as u64),
            tables: vec![self.table.subject().table],
            is_utf8: self.table.facts.is_utf8,
            number: 1,
            steps: 0,
        })
    }
}

impl Composed {
    /// How many steps there are above the scans. Without any, a scan does the same and in several parts.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The name of the source that does it.
    #[must_use]
    pub fn source_name(&self) -> &str {
        self.remote.source_name()
    }

    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The name of the column at a place, as predicates of [`Composed::filter`] and [`Composed::joined`] have it.
    #[must_use]
    pub fn column_name(place: usize) -> String {
        format!("c{place}")
    }

    /// The rows that meet a predicate.
    #[must_use]
    pub fn filter(mut self, predicate: &Expr) -> Option<Self> {
        let predicate = self.translated(predicate)?;
        let columns: Vec<usize> = (0..self.width()).collect();
        self.wrap(&columns);
        self.sql.push(" WHERE ").append(predicate);
        self.rows = self.rows.map(|rows| (rows as f64 * SELECTIVITY).ceil() as u64);
        Some(self)
    }

    /// The columns at these places, in this order.
    #[must_use]
    pub fn project(mut self, places: &[usize]) -> Option<Self> {
        let columns: Option<Vec<Mapped>> = places
            .iter()
            .map(|place| self.columns.get(*place).cloned())
            .collect();
        let columns = columns?;
        self.wrap(places);
        self.columns = columns;
        Some(self)
    }

    /// Two inputs of one server. In `on`, the columns of the right are counted on from those of the left; none pairs
    /// every row with every row.
    #[must_use]
    pub fn joined(self, right: Self, meeting: Meeting, on: Option<&Expr>) -> Option<Self> {
        if !self.remote.is_same(&right.remote) || self.columns.is_empty() || right.columns.is_empty() {
            return None;
        }
        let (left_width, right_width) = (self.width(), right.width());
        let is_half = matches!(meeting, Meeting::Semi | Meeting::Anti);
        let mut joined = Self {
            columns: self.columns.iter().chain(&right.columns).cloned().collect(),
            rows: match meeting {
                Meeting::Semi | Meeting::Anti | Meeting::Left => self.rows,
                Meeting::Right => right.rows,
                Meeting::Inner | Meeting::Full => {
                    self.rows.zip(right.rows).map(|(left, right)| left.max(right))
                }
            },
            tables: self.tables.iter().chain(&right.tables).cloned().collect(),
            number: self.number.max(right.number) + 3,
            steps: self.steps + right.steps + 1,
            sql: Sql::word("SELECT "),
            remote: self.remote,
            is_utf8: self.is_utf8,
        };
        let on = match on {
            Some(on) => joined.translated(on)?,
            None if meeting == Meeting::Inner => Sql::word("true"),
            None => return None,
        };
        let number = joined.number;
        list(
            &mut joined.sql,
            if is_half {
                left_width
            } else {
                left_width + right_width
            },
        );
        joined
            .sql
            .push(" FROM (")
            .append(self.sql)
            .push(") AS ")
            .alias("t", number - 1);
        match meeting {
            Meeting::Inner => joined.sql.push(" INNER JOIN "),
            Meeting::Left => joined.sql.push(" LEFT JOIN "),
            Meeting::Right => joined.sql.push(" RIGHT JOIN "),
            Meeting::Full => joined.sql.push(" FULL JOIN "),
            Meeting::Semi => joined.sql.push(" WHERE EXISTS (SELECT 1 FROM "),
            Meeting::Anti => joined.sql.push(" WHERE NOT EXISTS (SELECT 1 FROM "),
        };
        joined
            .sql
            .append(renamed(right.sql, left_width, right_width, number));
        if is_half {
            joined.columns.truncate(left_width);
            joined.sql.push(" WHERE ").append(on).push(")");
        } else {
            joined.sql.push(" ON ").append(on);
        }
        Some(joined)
    }

    /// The rows of this and of all `others`, each as often as it comes.
    #[must_use]
    pub fn united(self, others: impl Iterator<Item = Self>) -> Option<Self> {
        let width = self.width();
        let mut all = Self {
            sql: Sql::word("SELECT "),
            ..self.clone()
        };
        for place in 0..width {
            if place > 0 {
                all.sql.push(", ");
            }
            // Texts of several collations have none together.
            all.sql.append(self.key(place)?).push(" AS ").alias("c", place);
        }
        all.sql.push(" FROM ((").append(self.sql.clone()).push(")");
        for other in others {
            let alike = self.columns.iter().zip(&other.columns);
            let mut alike =
                alike.map(|(one, two)| (one.class, &one.data_type) == (two.class, &two.data_type));
            if !self.remote.is_same(&other.remote)
                || width != other.width()
                || width == 0
                || !alike.all(|same| same)
            {
                return None;
            }
            // A limit of an input is its own: parentheses end it.
            all.sql.push(" UNION ALL (").append(other.sql).push(")");
            all.rows = all.rows.zip(other.rows).map(|(one, two)| one.saturating_add(two));
            all.tables.extend(other.tables);
            all.number = all.number.max(other.number);
            all.steps += other.steps;
            for (one, two) in all.columns.iter_mut().zip(&other.columns) {
                one.is_partial |= two.is_partial;
            }
        }
        all.sql.push(") AS ").alias("t", all.number);
        all.number += 1;
        all.steps += 1;
        Some(all)
    }

    /// Groups by the columns at `groups`, then one column for each call, of the type that the engine gives it.
    #[must_use]
    pub fn aggregated(mut self, groups: &[usize], calls: &[(Aggregate, DataType)]) -> Option<Self> {
        if groups.is_empty() && calls.is_empty() {
            return None;
        }
        let mut sql = Sql::word("SELECT ");
        let mut columns = Vec::with_capacity(groups.len() + calls.len());
        for place in groups {
            let mapped = self.comparable(*place, Operation::Equals)?.clone();
            if !columns.is_empty() {
                sql.push(", ");
            }
            sql.append(self.key(*place)?)
                .push(" AS ")
                .alias("c", columns.len());
            columns.push(mapped);
        }
        for (call, data_type) in calls {
            let (text, mapped) = self.call(*call, data_type)?;
            if !columns.is_empty() {
                sql.push(", ");
            }
            sql.append(text).push(" AS ").alias("c", columns.len());
            columns.push(mapped);
        }
        sql.push(" FROM (")
            .append(self.sql)
            .push(") AS ")
            .alias("t", self.number);
        for place in 0..groups.len() {
            sql.push(if place == 0 { " GROUP BY " } else { ", " })
                .number(place as u64 + 1);
        }
        self.sql = sql;
        self.columns = columns;
        self.number += 1;
        self.steps += 1;
        self.rows = match groups.is_empty() {
            true => Some(1),
            false => self.rows.map(|rows| (rows as f64 * SELECTIVITY).ceil() as u64),
        };
        Some(self)
    }

    /// The first `rows` rows in an order, or any when there is none. The rows come in no promised order.
    #[must_use]
    pub fn first(mut self, order: &[Key], rows: u64) -> Option<Self> {
        let mut by = Sql::default();
        for (at, key) in order.iter().enumerate() {
            self.comparable(key.column, Operation::Orders)?;
            by.push(if at == 0 { " ORDER BY " } else { ", " });
            by.append(self.key(key.column)?);
            by.push(if key.is_ascending { " ASC" } else { " DESC" });
            by.push(if key.nulls_first {
                " NULLS FIRST"
            } else {
                " NULLS LAST"
            });
        }
        let columns: Vec<usize> = (0..self.width()).collect();
        self.wrap(&columns);
        self.sql.append(by).push(" LIMIT ").number(rows);
        self.rows = Some(self.rows.map_or(rows, |before| before.min(rows)));
        self.steps += 1;
        Some(self)
    }

    /// The statement, for rows of `schema`. None when the server's types are not the schema's.
    #[must_use]
    pub fn query(self, schema: SchemaRef) -> Option<Statement> {
        let types = schema.fields().iter().map(|field| field.data_type());
        if self.columns.is_empty() || !types.eq(self.columns.iter().map(|mapped| &mapped.data_type)) {
            return None;
        }
        let is_small = self.rows.is_some_and(|rows| rows <= BOUND_ROWS_MAX);
        let query = RemoteQuery {
            transfer: match self.sql.has_values() && is_small {
                true => Transfer::Bound,
                false => Transfer::Copy,
            },
            sql: self.sql,
            schema,
            table: self.tables.join(", ").into(),
            version: None,
        };
        Some(Statement {
            bindable: Bindable {
                columns: self.columns.into(),
                is_utf8: self.is_utf8,
                whole: None,
                rows: self.rows,
            },
            remote: self.remote,
            query: Arc::new(query),
            tables: self.tables.into(),
            rows: self.rows,
        })
    }

    /// The column at a place, if the server does the operation as the engine does. Text is compared by its bytes, which
    /// is the engine's order only where the database keeps UTF-8.
    fn comparable(&self, place: usize, operation: Operation) -> Option<&Mapped> {
        let mapped = self.columns.get(place)?;
        let by_bytes = mapped.class == Class::Text && self.is_utf8;
        (by_bytes || allowed(operation, mapped.class) == Pushdown::Exact).then_some(mapped)
    }

    /// A column as a key of groups or of an order.
    fn key(&self, place: usize) -> Option<Sql> {
        let mapped = self.columns.get(place)?;
        Some(match mapped.class {
            Class::Text => applied("(", Sql::default(), place, " COLLATE \"C\")"),
            _ => applied("", Sql::default(), place, ""),
        })
    }

    fn translated(&self, predicate: &Expr) -> Option<Sql> {
        let fields = self.columns.iter().enumerate();
        let fields: Vec<Field> = fields
            .map(|(place, mapped)| Field::new(Self::column_name(place), mapped.data_type.clone(), true))
            .collect();
        let translator = Translator {
            schema: &Arc::new(Schema::new(fields)),
            columns: &self.columns,
            is_utf8: self.is_utf8,
        };
        translator.predicate(predicate)
    }

    /// The statement so far as a derived table, of which the columns at `places` are selected.
    fn wrap(&mut self, places: &[usize]) {
        let mut sql = Sql::word("SELECT ");
        for (at, place) in places.iter().enumerate() {
            if at > 0 {
                sql.push(", ");
            }
            sql.alias("c", *place).push(" AS ").alias("c", at);
        }
        if places.is_empty() {
            sql.push("1");
        }
        let inner = std::mem::take(&mut self.sql);
        sql.push(" FROM (")
            .append(inner)
            .push(") AS ")
            .alias("t", self.number);
        self.sql = sql;
        self.number += 1;
    }
}

/// The right side of a join with names of its own: `c0` becomes `cN` for the N columns of the left.
fn renamed(right: Sql, left_width: usize, right_width: usize, number: usize) -> Sql {
    let mut sql = Sql::word("(SELECT ");
    for place in 0..right_width {
        if place > 0 {
            sql.push(", ");
        }
        sql.alias("c", place).push(" AS ").alias("c", left_width + place);
    }
    sql.push(" FROM (")
        .append(right)
        .push(") AS ")
        .alias("t", number - 2);
    sql.push(") AS ").alias("t", number - 3);
    sql
}

/// `c0, c1, ...`
fn list(sql: &mut Sql, count: usize) {
    for place in 0..count {
        if place > 0 {
            sql.push(", ");
        }
        sql.alias("c", place);
    }
}

fn applied(before: &'static str, mut sql: Sql, place: usize, after: &'static str) -> Sql {
    sql.push(before).alias("c", place).push(after);
    sql
}
