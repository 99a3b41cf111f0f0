//! Bind joins: the keys of a join's other side in the statement, so that the server sends the rows that can match and no
//! others.
//!
//! The engine gives a join's keys to its other side as a filter that is filled while the query runs: the keys themselves
//! where they are few, else their bounds. A scan that was handed such a filter waits for it, asks for what it says, and
//! every row is compared again above: what is asked here may be wider than the filter, and never narrower.
//!
//! Invariants:
//! - A wait has an end: a filter that is never filled costs `bind_wait_ms` and no rows.
//! - All partitions of a run ask with the same keys: the decision is made once.
//! - A part of a filter that has no exact form here is left out where that makes it wider, and spoils the whole of it
//!   where it would make it narrower.

use super::filter::Translator;
use super::read::{RemoteQuery, Transfer};
use super::sql::Sql;
use super::types::Mapped;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr as LogicalBinary, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// The deepest filter that is looked at.
const DEPTH_MAX: usize = 32;
/// Up to so many keys a statement has them bound; with more the rows come by `COPY`, which is faster for many.
const BOUND_KEYS_MAX: usize = 1_000;

/// What a statement needs to take keys in.
#[derive(Clone, Debug)]
pub(super) struct Bindable {
    /// The columns that it gives.
    pub(super) columns: Arc<[Mapped]>,
    /// Whether the database keeps text as UTF-8.
    pub(super) is_utf8: bool,
    /// The statement in one piece, where the scan is cut into several.
    pub(super) whole: Option<Arc<RemoteQuery>>,
    /// The rows that are expected without keys.
    pub(super) rows: Option<u64>,
}

/// A filter that the engine fills while it runs.
#[derive(Clone, Debug)]
pub(super) struct RunFilter {
    pub(super) expr: Arc<dyn PhysicalExpr>,
    /// Whether it is a join's, which is complete before its other side has to begin.
    pub(super) is_awaited: bool,
}

/// What one run of a scan asks beyond its plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Decision {
    /// The predicates on the statement's columns; none when there is nothing to add.
    narrowing: Option<Sql>,
    /// How many keys are in it.
    pub(super) keys: usize,
    /// Nothing can match.
    is_empty: bool,
}

/// The binding of one scan for one run.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) bindable: Bindable,
    pub(super) filters: Vec<RunFilter>,
    pub(super) decision: Arc<OnceCell<Decision>>,
    pub(super) wait: Duration,
    pub(super) keys_max: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) partition: usize,
}

impl Binding {
    /// What this partition asks instead of `planned`, and with how many keys; none when it has nothing to ask.
    pub(super) async fn query(&self, planned: Arc<RemoteQuery>) -> Option<(Arc<RemoteQuery>, usize)> {
        let decision = self.decision.get_or_init(|| self.decide()).await;
        if decision.is_empty {
            return None;
        }
        let Some(narrowing) = &decision.narrowing else {
            return Some((planned, 0));
        };
        // Few keys are found by an index, once: cutting the table by its blocks would have each part look for all.
        let base = match (&self.bindable.whole, decision.keys) {
            (Some(whole), 1..) if self.partition == 0 => whole,
            (Some(_), 1..) => return None,
            _ => &planned,
        };
        let query = narrowed(base, self.bindable.columns.len(), narrowing, decision.keys);
        Some((Arc::new(query), decision.keys))
    }

    async fn decide(&self) -> Decision {
        let until = Instant::now() + self.wait;
        let until = self.deadline.map_or(until, |deadline| deadline.min(until));
        let mut keys = 0;
        let mut narrowing: Option<Sql> = None;
        for filter in &self.filters {
            if let Some(dynamic) = filter.expr.downcast_ref::<DynamicFilterPhysicalExpr>()
                && filter.is_awaited
                && tokio::time::timeout_at(until.into(), dynamic.wait_complete())
                    .await
                    .is_err()
            {
                tracing::debug!("the keys of a join did not come in time; its other side is read whole");
            }
            let mut reader = Reader {
                bindable: &self.bindable,
                keys_max: self.keys_max,
                keys: 0,
            };
            match reader.necessary(&filter.expr, 0) {
                Necessary::Nothing => {
                    return Decision {
                        is_empty: true,
                        ..Decision::default()
                    };
                }
                Necessary::Anything => continue,
                Necessary::Where(sql) => {
                    keys += reader.keys;
                    narrowing = Some(match narrowing {
                        Some(before) => enclosed(before, " AND ", sql),
                        None => sql,
                    });
                }
            }
        }
        Decision {
            narrowing,
            keys,
            is_empty: false,
        }
    }
}

/// `base` with a predicate on its columns.
fn narrowed(base: &RemoteQuery, width: usize, narrowing: &Sql, keys: usize) -> RemoteQuery {
    let mut sql = Sql::word("SELECT ");
    columns(&mut sql, width);
    sql.push(" FROM (").append(base.sql.clone()).push(") AS n0 (");
    columns(&mut sql, width);
    sql.push(") WHERE ").append(narrowing.clone());
    RemoteQuery {
        sql,
        transfer: match keys {
            1..=BOUND_KEYS_MAX => Transfer::Bound,
            _ => base.transfer,
        },
        ..base.clone()
    }
}

fn columns(sql: &mut Sql, width: usize) {
    for place in 0..width {
        if place > 0 {
            sql.push(", ");
        }
        sql.alias("c", place);
    }
}

fn enclosed(left: Sql, word: &'static str, right: Sql) -> Sql {
    let mut sql = Sql::word("(");
    sql.append(left).push(word).append(right).push(")");
    sql
}

/// What must hold of each row that a filter lets pass.
enum Necessary {
    Anything,
    Where(Sql),
    Nothing,
}

/// Reads a filter of the engine.
struct Reader<'a> {
    bindable: &'a Bindable,
    keys_max: usize,
    keys: usize,
}

impl Reader<'_> {
    fn necessary(&mut self, expr: &Arc<dyn PhysicalExpr>, depth: usize) -> Necessary {
        if depth > DEPTH_MAX {
            return Necessary::Anything;
        }
        if let Some(dynamic) = expr.downcast_ref::<DynamicFilterPhysicalExpr>() {
            return match dynamic.current() {
                Ok(current) => self.necessary(&current, depth + 1),
                Err(_) => Necessary::Anything,
            };
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return match literal.value() {
                ScalarValue::Boolean(Some(false)) => Necessary::Nothing,
                _ => Necessary::Anything,
            };
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            return self.binary(binary, depth);
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            return self.in_list(list).unwrap_or(Necessary::Anything);
        }
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            return self.case(case, depth);
        }
        Necessary::Anything
    }

    fn binary(&mut self, binary: &BinaryExpr, depth: usize) -> Necessary {
        match binary.op() {
            Operator::And => {
                let left = self.necessary(binary.left(), depth + 1);
                let right = self.necessary(binary.right(), depth + 1);
                match (left, right) {
                    (Necessary::Nothing, _) | (_, Necessary::Nothing) => Necessary::Nothing,
                    (Necessary::Anything, other) | (other, Necessary::Anything) => other,
                    (Necessary::Where(left), Necessary::Where(right)) => {
                        Necessary::Where(enclosed(left, " AND ", right))
                    }
                }
            }
            Operator::Or => {
                let left = self.necessary(binary.left(), depth + 1);
                let right = self.necessary(binary.right(), depth + 1);
                either(left, right)
            }
            Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => self
                .comparison(binary)
                .map_or(Necessary::Anything, Necessary::Where),
            _ => Necessary::Anything,
        }
    }

    /// The branches are those of the partitions of a join's keys; a row may be of any of them.
    fn case(&mut self, case: &CaseExpr, depth: usize) -> Necessary {
        let mut all = match case.else_expr() {
            Some(other) => self.necessary(other, depth + 1),
            None => Necessary::Nothing,
        };
        for (_, then) in case.when_then_expr() {
            all = either(all, self.necessary(then, depth + 1));
        }
        all
    }

    fn comparison(&self, binary: &BinaryExpr) -> Option<Sql> {
        let place = self.place(binary.left())?;
        let literal = binary.right().downcast_ref::<Literal>()?;
        let value = self.fitted(place, literal.value())?;
        self.translated(&Expr::BinaryExpr(LogicalBinary::new(
            Box::new(column(place)),
            *binary.op(),
            Box::new(Expr::Literal(value, None)),
        )))
    }

    fn in_list(&mut self, list: &InListExpr) -> Option<Necessary> {
        if list.negated() {
            return None;
        }
        let place = self.place(list.expr())?;
        let mut values = Vec::new();
        for item in list.list() {
            let value = item.downcast_ref::<Literal>()?.value();
            // A join that takes NULL for equal to NULL has it among its keys; `= ANY` would not.
            if value.is_null() {
                return None;
            }
            // A key that the column cannot hold meets none of its rows.
            if let Some(value) = self.fitted(place, value) {
                values.push(Expr::Literal(value, None));
            }
        }
        if values.is_empty() {
            return Some(Necessary::Nothing);
        }
        let is_worth = self.bindable.rows.is_none_or(|rows| values.len() as u64 <= rows);
        if values.len() > self.keys_max || !is_worth {
            return None;
        }
        let keys = values.len();
        let sql = self.translated(&Expr::InList(InList::new(Box::new(column(place)), values, false)))?;
        self.keys += keys;
        Some(Necessary::Where(sql))
    }

    /// The column that an expression is, through casts that change no value.
    fn place(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Some(column.index());
        }
        let cast = expr.downcast_ref::<CastExpr>()?;
        let place = self.place(cast.expr())?;
        let from = &self.bindable.columns.get(place)?.data_type;
        keeps_values(from, cast.cast_type()).then_some(place)
    }

    /// `value` in the type of a column, if that holds it.
    fn fitted(&self, place: usize, value: &ScalarValue) -> Option<ScalarValue> {
        let wanted = &self.bindable.columns.get(place)?.data_type;
        if value.data_type() == *wanted {
            return Some(value.clone());
        }
        let there = value.cast_to(wanted).ok().filter(|there| !there.is_null())?;
        let back = there.cast_to(&value.data_type()).ok()?;
        (back == *value).then_some(there)
    }

    fn translated(&self, predicate: &Expr) -> Option<Sql> {
        let columns = self.bindable.columns.iter().enumerate();
        let fields: Vec<Field> = columns
            .map(|(place, mapped)| Field::new(format!("c{place}"), mapped.data_type.clone(), true))
            .collect();
        let translator = Translator {
            schema: &Arc::new(Schema::new(fields)),
            columns: &self.bindable.columns,
            is_utf8: self.bindable.is_utf8,
        };
        translator.predicate(predicate)
    }
}

fn column(place: usize) -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(format!("c{place}")))
}

fn either(left: Necessary, right: Necessary) -> Necessary {
    match (left, right) {
        (Necessary::Anything, _) | (_, Necessary::Anything) => Necessary::Anything,
        (Necessary::Nothing, other) | (other, Necessary::Nothing) => other,
        (Necessary::Where(left), Necessary::Where(right)) => Necessary::Where(enclosed(left, " OR ", right)),
    }
}

/// Whether a cast keeps each value, and their order.
fn keeps_values(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Decimal256, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    match (from, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Utf8, Utf8View | LargeUtf8) => true,
        (Decimal128(few, scale), Decimal128(many, wanted) | Decimal256(many, wanted)) => {
            scale == wanted && few <= many
        }
        (from, to) => from == to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::types::Class;
    use datafusion::physical_expr::expressions::{in_list, lit};

    fn bindable(columns: Vec<(DataType, Class)>) -> Bindable {
        let mapped = columns.into_iter().map(|(data_type, class)| Mapped {
            data_type,
            cast: None,
            class,
            is_partial: false,
        });
        Bindable {
            columns: mapped.collect(),
            is_utf8: true,
            whole: None,
            rows: Some(1_000),
        }
    }

    fn read(columns: Vec<(DataType, Class)>, expr: &Arc<dyn PhysicalExpr>) -> (String, usize) {
        let bindable = bindable(columns);
        let mut reader = Reader {
            bindable: &bindable,
            keys_max: 3,
            keys: 0,
        };
        let text = match reader.necessary(expr, 0) {
            Necessary::Anything => "anything".to_owned(),
            Necessary::Nothing => "nothing".to_owned(),
            Necessary::Where(sql) => sql.inlined(),
        };
        (text, reader.keys)
    }

    fn int4() -> Vec<(DataType, Class)> {
        vec![(DataType::Int32, Class::Int4)]
    }

    fn key() -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new("k", 0))
    }

    fn wide() -> Arc<dyn PhysicalExpr> {
        Arc::new(CastExpr::new(key(), DataType::Int64, None))
    }

    fn among(expr: Arc<dyn PhysicalExpr>, values: Vec<ScalarValue>) -> Arc<dyn PhysicalExpr> {
        let list = values.into_iter().map(lit).collect();
        let schema = Schema::new(vec![Field::new("k", DataType::Int32, true)]);
        in_list(expr, list, &false, &schema).unwrap()
    }

    fn binary(
        left: Arc<dyn PhysicalExpr>,
        op: Operator,
        right: Arc<dyn PhysicalExpr>,
    ) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(left, op, right))
    }

    #[test]
    fn keys_of_a_wider_type_are_written_in_the_columns_own_and_others_meet_no_row() {
        let far = ScalarValue::from(5_000_000_000_i64);
        let keys = among(wide(), vec![ScalarValue::from(7_i64), far.clone()]);
        let (text, count) = read(int4(), &keys);
        assert!(
            text.starts_with("(c0 = ANY ") && text.contains("pg_catalog.int4[]"),
            "{text}"
        );
        assert!(text.contains('7') && !text.contains("5000000000"), "{text}");
        assert_eq!(count, 1);
        assert_eq!(read(int4(), &among(wide(), vec![far.clone()])).0, "nothing");
        // A bound beyond the column's type says nothing that the type does not say, or too much to be sure of.
        assert_eq!(
            read(int4(), &binary(wide(), Operator::LtEq, lit(far))).0,
            "anything"
        );
    }

    #[test]
    fn what_cannot_be_told_makes_a_filter_wider_and_never_narrower() {
        let five = || binary(key(), Operator::GtEq, lit(5_i32));
        let odd = || binary(key(), Operator::Modulo, lit(2_i32));
        assert!(
            read(int4(), &binary(five(), Operator::And, odd()))
                .0
                .starts_with("(c0 >= ")
        );
        assert_eq!(read(int4(), &binary(five(), Operator::Or, odd())).0, "anything");
        let many = (0..4).map(ScalarValue::from).collect();
        assert_eq!(read(int4(), &among(key(), many)).0, "anything");
        let null = vec![ScalarValue::from(1_i32), ScalarValue::Int32(None)];
        assert_eq!(read(int4(), &among(key(), null)).0, "anything");
        assert_eq!(read(int4(), &lit(false)).0, "nothing");
        assert_eq!(read(int4(), &lit(true)).0, "anything");
        let float = vec![(DataType::Float64, Class::Other)];
        assert_eq!(read(float, &binary(key(), Operator::Eq, lit(1.0))).0, "anything");
    }

    #[test]
    fn a_join_in_partitions_asks_for_the_keys_of_all() {
        let branch = |value: i32| {
            (
                lit(u64::try_from(value).unwrap()),
                among(key(), vec![value.into()]),
            )
        };
        let routed = binary(key(), Operator::Modulo, lit(2_i32));
        let case = |other| -> Arc<dyn PhysicalExpr> {
            let branches = vec![branch(1), branch(2)];
            Arc::new(CaseExpr::try_new(Some(Arc::clone(&routed)), branches, Some(lit(other))).unwrap())
        };
        let (text, count) = read(int4(), &case(false));
        assert_eq!((text.matches(" = ANY ").count(), count), (2, 2), "{text}");
        assert_eq!(read(int4(), &case(true)).0, "anything");
    }

    #[tokio::test]
    async fn a_filter_that_is_never_filled_costs_a_wait_and_no_rows() {
        let dynamic = DynamicFilterPhysicalExpr::new(vec![key()], lit(true));
        let binding = Binding {
            bindable: bindable(int4()),
            filters: vec![RunFilter {
                expr: Arc::new(dynamic),
                is_awaited: true,
            }],
            decision: Arc::default(),
            wait: Duration::from_millis(5),
            keys_max: 3,
            deadline: None,
            partition: 0,
        };
        let decision = binding.decide().await;
        assert!(decision.narrowing.is_none() && !decision.is_empty);
    }
}
