//! Columns that a join with USING makes one of two. The engine finds such a column in the list of a SELECT and nowhere else,
//! and there takes it from the left table, which a RIGHT or FULL JOIN leaves NULL. So each is written with the table that
//! it comes from, as the standard says: the left one of an INNER or LEFT JOIN, the right one of a RIGHT JOIN, the first that
//! has it of a FULL JOIN.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, VisitMut, VisitorMut,
};

use super::spellings::call;
use crate::error::{Error, Result};

/// Writes the columns of joins with USING out.
///
/// # Errors
/// `Unsupported` for what cannot be written out without knowing the tables: `*` over a RIGHT or FULL JOIN with USING, and
/// such joins that are NATURAL.
pub(super) fn written_out(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Selects) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(Error::Unsupported {
            what: what.to_owned(),
        }),
    }
}

/// Visits every SELECT.
struct Selects;

impl VisitorMut for Selects {
    type Break = &'static str;

    /// What a SELECT is ordered by, where that is no column of its list.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), query.order_by.as_mut()) else {
            return ControlFlow::Continue(());
        };
        let mut merged = Merged::of(select)?;
        if !merged.is_outer {
            return ControlFlow::Continue(());
        }
        for item in &select.projection {
            let (SelectItem::UnnamedExpr(Expr::Identifier(name))
            | SelectItem::ExprWithAlias { alias: name, .. }) = item
            else {
                continue;
            };
            merged.columns.remove(&normal(name));
        }
        order.visit(&mut Columns {
            columns: &merged.columns,
            depth: 0,
        })
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let merged = Merged::of(select)?;
        if merged.columns.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut columns = Columns {
            columns: &merged.columns,
            depth: 0,
        };
        if merged.is_outer {
            for item in &mut select.projection {
                match item {
                    SelectItem::UnnamedExpr(expr) => {
                        let name = match &*expr {
                            Expr::Identifier(name) => Some(name.clone()),
                            _ => None,
                        };
                        expr.visit(&mut columns)?;
                        if let Some(alias) = name {
                            *item = SelectItem::ExprWithAlias {
                                expr: expr.clone(),
                                alias,
                            };
                        }
                    }
                    SelectItem::ExprWithAlias { expr, .. } => expr.visit(&mut columns)?,
                    _ => {
                        return ControlFlow::Break(
                            "* over a RIGHT or FULL JOIN with USING; name the columns",
                        );
                    }
                }
            }
            if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
                exprs.iter_mut().try_for_each(|expr| expr.visit(&mut columns))?;
            }
            let after = select.having.iter_mut().chain(select.qualify.iter_mut());
            after.into_iter().try_for_each(|expr| expr.visit(&mut columns))?;
        }
        select
            .selection
            .iter_mut()
            .try_for_each(|expr| expr.visit(&mut columns))
    }
}

/// What the joins of a SELECT make one column of.
#[derive(Default)]
struct Merged {
    /// Each column by its name, as it is written out; none where that cannot be said.
    columns: BTreeMap<String, Option<Expr>>,
    /// Whether a side of a join with USING may be NULL where the column is not.
    is_outer: bool,
}

impl Merged {
    fn of(select: &Select) -> ControlFlow<&'static str, Self> {
        let mut merged = Self::default();
        for table in &select.from {
            let mut left = qualifier(&table.relation);
            for join in &table.joins {
                merged.is_outer |= add(&mut merged.columns, left.as_ref(), join)?;
                // Of several tables the one that has a column is not known.
                left = None;
            }
        }
        match (select.from.len(), merged.is_outer) {
            (0 | 1, _) => ControlFlow::Continue(merged),
            // A table beside may have a column of the same name, and then the name alone means neither.
            (_, false) => ControlFlow::Continue(Self::default()),
            (_, true) => ControlFlow::Break(
                "USING in a RIGHT or FULL JOIN beside other tables; write ON and coalesce()",
            ),
        }
    }
}

/// Adds the columns of one join; whether it is one that leaves its left side, or either, NULL.
fn add(
    found: &mut BTreeMap<String, Option<Expr>>,
    left: Option<&Ident>,
    join: &Join,
) -> ControlFlow<&'static str, bool> {
    let (constraint, keeps_left, keeps_right) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (constraint, true, true),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, true, false),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, false, true),
        JoinOperator::FullOuter(constraint) => (constraint, false, false),
        _ => return ControlFlow::Continue(false),
    };
    let names = match constraint {
        JoinConstraint::Using(names) => names,
        JoinConstraint::Natural if !keeps_left => {
            return ControlFlow::Break("a NATURAL RIGHT or FULL JOIN; write ON");
        }
        _ => return ControlFlow::Continue(false),
    };
    let right = qualifier(&join.relation);
    for name in names.iter().filter_map(single) {
        let of = |table: &Ident| Expr::CompoundIdentifier(vec![table.clone(), name.clone()]);
        let before = match found.get(&normal(&name)) {
            Some(known) => known.clone(),
            None => left.map(of),
        };
        let here = right.as_ref().map(of);
        let column = match (keeps_left, keeps_right) {
            (true, true) => before.or(here),
            (true, false) => before,
            (false, true) => here,
            (false, false) => match (before, here) {
                (Some(before), Some(here)) => Some(call("coalesce", vec![before, here])),
                _ => {
                    return ControlFlow::Break(
                        "USING in a FULL JOIN of more than two tables; write ON and coalesce()",
                    );
                }
            },
        };
        found.insert(normal(&name), column);
    }
    ControlFlow::Continue(!keeps_left)
}

/// The name by which a table is spoken of.
fn qualifier(table: &TableFactor) -> Option<Ident> {
    match table {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last().and_then(|part| part.as_ident().cloned()),
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.clone()),
        _ => None,
    }
}

fn single(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
}

/// A name as the engine compares it.
fn normal(name: &Ident) -> String {
    match name.quote_style {
        None => name.value.to_lowercase(),
        Some(_) => name.value.clone(),
    }
}

/// Writes the columns of one SELECT out, and not those of the queries in it.
struct Columns<'a> {
    columns: &'a BTreeMap<String, Option<Expr>>,
    depth: usize,
}

impl VisitorMut for Columns<'_> {
    type Break = &'static str;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && let Some(Some(column)) = self.columns.get(&normal(name))
        {
            *expr = column.clone();
        }
        ControlFlow::Continue(())
    }
}
