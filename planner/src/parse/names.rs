//! Names of result columns. The engine would call `SELECT 1` a column `Int64(1)` and `sum(a)` a column `sum(t.a)`; a
//! person expects what was typed. Only the outermost SELECT is named, since only its columns are seen.

use std::collections::HashSet;

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
pub(super) fn outermost(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => outermost(left),
        SetExpr::Query(query) => outermost(query.body.as_mut()),
        _ => None,
    }
}

/// Names that were given come first; the engine refuses two columns of one name, so the second of two gets a number.
fn name_items(items: &mut [SelectItem]) {
    let mut taken = HashSet::new();
    for item in items.iter_mut() {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value = free(&mut taken, &alias.value),
            SelectItem::UnnamedExpr(expr) if is_name(expr) => {
                // `t.a` and `u.a` may stand side by side, `a` and `a` may not.
                let text = expr.to_string();
                if !taken.insert(text.clone()) {
                    let last = text
                        .rsplit('.')
                        .next()
                        .unwrap_or(&text)
                        .trim_matches('"')
                        .to_owned();
                    let alias = Ident::with_quote('"', free(&mut taken, &last));
                    *item = SelectItem::ExprWithAlias {
                        expr: expr.clone(),
                        alias,
                    };
                }
            }
            _ => {}
        }
    }
    for item in items {
        if let SelectItem::UnnamedExpr(expr) = item
            && !is_name(expr)
        {
            let text: String = expr.to_string().chars().take(NAME_MAX).collect();
            let alias = Ident::with_quote('"', free(&mut taken, &text));
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias,
            };
        }
    }
}

fn is_name(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. }
    )
}

/// `name`, or the first of `name_2`, `name_3`, ... that is not taken; taken from now on.
fn free(taken: &mut HashSet<String>, name: &str) -> String {
    let numbered = (2..).map(|count| format!("{name}_{count}"));
    let candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates
        .into_iter()
        .find(|candidate| taken.insert(candidate.clone()))
        .unwrap_or_default()
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
        assert_eq!(named("SELECT 1, 1"), "SELECT 1 AS \"1\", 1 AS \"1_2\"");
        assert_eq!(named("SELECT 1 AS a, 2 AS a"), "SELECT 1 AS a, 2 AS a_2");
        assert_eq!(
            named("SELECT a, a, t.a, u.a FROM t"),
            "SELECT a, a AS \"a_2\", t.a, u.a FROM t"
        );
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
