//! Expressions in words that may be shown and logged: the shape, and none of the values.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;

/// The longest text that is made of one expression, in characters.
const LETTERS_MAX: usize = 400;

/// `expr` with `?` in the place of each value, cut after 400 characters.
#[must_use]
pub fn without_values(expr: &Expr) -> String {
    let hidden = expr.clone().transform(|node| match node {
        Expr::Literal(..) => {
            let hidden = Placeholder::new_with_field("?".to_owned(), None);
            Ok(Transformed::yes(Expr::Placeholder(hidden)))
        }
        other => Ok(Transformed::no(other)),
    });
    let text = hidden.map_or_else(|_| "?".to_owned(), |hidden| hidden.data.to_string());
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::without_values;
    use datafusion::prelude::{col, lit};

    #[test]
    fn a_predicate_is_told_without_its_values() {
        let predicate = col("name").like(lit("%secret%")).and(col("n").eq(lit(5)));
        assert_eq!(without_values(&predicate), "name LIKE ? AND n = ?");
        let long = (0..500).fold(lit(true), |all, n| all.and(col("n").eq(lit(n))));
        assert!(without_values(&long).ends_with("..."));
        assert!(without_values(&long).chars().count() <= 403);
    }
}
