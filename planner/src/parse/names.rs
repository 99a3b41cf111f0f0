//! Names of result columns. The engine would call `SELECT 1` a column `Int64(1)` and `sum(a)` a column `sum(t.a)`; a
//! person expects what was typed. Only the outermost SELECT is named, since only its columns are seen.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};

/// Longest name made from an expression, in characters.
const NAME_MAX: usize = 64;

/// Gives each unnamed expression of the outermost SELECT the name of its own text.
pub(super) fn name_columns(query: &mut Query) {
    if let Some(select) = outermost(query.body.as_mut()) {
        // ORDER BY of a DISTINCT must repeat a selected expression, which an alias would hide.
        if select.distinct.is_none() {
            name_items(&mut select.projection);
        }
    }
}

/// The SELECT whose columns a query has: the first one of a UNION.
fn outermost(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => outermost(left),
        SetExpr::Query(query) => outermost(query.body.as_mut()),
        _ => None,
    }
}

fn name_items(items: &mut [SelectItem]) {
    let mut taken: Vec<String> = items.iter().filter_map(taken_name).collect();
    for item in items {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        if matches!(
            expr,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. }
        ) {
            continue;
        }
        let text: String = expr.to_string().chars().take(NAME_MAX).collect();
        let mut name = text.clone();
        let mut count = 1;
        while taken.contains(&name) {
            name = format!("{text}:{count}");
            count += 1;
        }
        taken.push(name.clone());
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', name),
        };
    }
}

fn taken_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
            parts.last().map(|part| part.value.clone())
        }
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, parse};
    use crate::config::Config;

    fn named(sql: &str) -> String {
        match parse(sql, &Config::default()).unwrap().body {
            Body::Plan(statement) => statement.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn expressions_are_called_what_was_typed() {
        assert_eq!(
            named("SELECT 1, sum(a), b, t.c, d AS e FROM t"),
            "SELECT 1 AS \"1\", sum(a) AS \"sum(a)\", b, t.c, d AS e FROM t"
        );
        assert_eq!(named("SELECT 1, 1"), "SELECT 1 AS \"1\", 1 AS \"1:1\"");
        assert_eq!(
            named("SELECT DISTINCT a + 1 FROM t"),
            "SELECT DISTINCT a + 1 FROM t"
        );
        assert_eq!(
            named("SELECT 1 UNION ALL SELECT 2"),
            "SELECT 1 AS \"1\" UNION ALL SELECT 2"
        );
    }
}
