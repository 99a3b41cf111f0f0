//! Forms of a query that the engine does not read, in those that it does, wherever the query stands in a statement.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, LimitClause, Query, SelectItem, Statement, Value, VisitMut as _, VisitorMut,
};

use super::names::outermost;

/// Rewrites every query of a statement.
pub(super) fn known(statement: &mut Statement) {
    match statement.visit(&mut Known) {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
    }
}

struct Known;

impl VisitorMut for Known {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        fetch(query);
        name_recursive(query);
        ControlFlow::Continue(())
    }
}

/// `FETCH FIRST n ROWS ONLY` as the LIMIT that it is; with ties, per cent or beside a LIMIT it stays, and is refused.
fn fetch(query: &mut Query) {
    let Some(Fetch {
        with_ties: false,
        percent: false,
        quantity,
    }) = &query.fetch
    else {
        return;
    };
    let one = || Expr::Value(Value::Number("1".to_owned(), false).into());
    let rows = quantity.clone().unwrap_or_else(one);
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(rows),
                offset: None,
                limit_by: Vec::new(),
            });
        }
        Some(LimitClause::LimitOffset {
            limit: limit @ None, ..
        }) => *limit = Some(rows),
        Some(_) => return,
    }
    query.fetch = None;
}

/// `WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t ...)`: the engine gives the names of the list to the
/// finished rows only, so the recursive part would not find `n`. They are put on the first SELECT as well.
fn name_recursive(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else {
        return;
    };
    for table in &mut with.cte_tables {
        let names = &table.alias.columns;
        let Some(select) = outermost(table.query.body.as_mut()) else {
            continue;
        };
        let has_wildcard = select.projection.iter().any(|item| {
            !matches!(
                item,
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
            )
        });
        if names.len() != select.projection.len() || has_wildcard {
            continue;
        }
        for (item, name) in select.projection.iter_mut().zip(names) {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: name.name.clone(),
                };
            }
        }
    }
}
