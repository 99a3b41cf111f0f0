//! Clauses that the parser reads and the engine passes over in silence, or takes for others. A sample, a version or a PREWHERE that is not
//! looked at gives other rows than the statement asks for, so each is refused by its name.
//!
//! The list is what `datafusion-sql` 54 takes apart with `..` or binds to `_` (`query.rs`, `select.rs`,
//! `relation/mod.rs`); a new version has to be read for it again.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, LimitClause,
    Query, Select, SelectFlavor, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor, Visit as _,
    Visitor, WindowFrame, WindowFrameBound, WindowType,
};

use crate::error::{Error, Result};

/// Refuses a statement with a clause that would be passed over.
///
/// # Errors
/// `Unsupported` naming the clause.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Screen) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(Error::Unsupported {
            what: what.to_owned(),
        }),
    }
}

/// Digits of an offset that may be too large for the engine.
const FRAME_DIGITS_MAX: usize = 18;

struct Screen;

impl Visitor for Screen {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let order = query.order_by.as_ref();
        first(&[
            (!query.locks.is_empty(), "FOR UPDATE and FOR SHARE"),
            (query.for_clause.is_some(), "FOR XML, FOR JSON and FOR BROWSE"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (
                order.is_some_and(|order| order.interpolate.is_some()),
                "INTERPOLATE",
            ),
            (
                matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty()),
                "LIMIT BY",
            ),
            (query.fetch.is_some(), "FETCH with TIES, PERCENT or beside LIMIT"),
            (
                has_bags(&query.body),
                "INTERSECT ALL and EXCEPT ALL; number the rows with row_number() and leave ALL out",
            ),
            (
                matches!(query.body.as_ref(), SetExpr::Table(_)),
                "TABLE; write SELECT * FROM",
            ),
        ])
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        first(&[
            (select.into.is_some(), "SELECT INTO"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (
                select.value_table_mode.is_some(),
                "SELECT AS STRUCT and SELECT AS VALUE",
            ),
            (
                select.exclude.is_some(),
                "EXCLUDE after the columns; write SELECT * EXCLUDE",
            ),
            (select.select_modifiers.is_some(), "a modifier of SELECT"),
            (
                matches!(
                    &select.group_by,
                    GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty()
                ),
                "WITH ROLLUP, WITH CUBE and WITH TOTALS; write GROUP BY ROLLUP (...) or CUBE (...)",
            ),
            (
                matches!(select.flavor, SelectFlavor::FromFirstNoSelect),
                "FROM without SELECT",
            ),
        ])
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            // The engine takes the pattern for a regular expression: `SIMILAR TO 'A%'` would match `xA%x` and not `Ab`.
            Expr::SimilarTo { .. } => {
                ControlFlow::Break("SIMILAR TO; use LIKE, or ~ with a regular expression")
            }
            // The engine counts what is not NULL, once: 1, whatever the rows are.
            Expr::Function(function) if is_over_distinct_rows(&function.args) => {
                ControlFlow::Break("DISTINCT * in a function; count over SELECT DISTINCT * in FROM")
            }
            Expr::Function(function) => match &function.over {
                Some(WindowType::WindowSpec(window)) => frame(window.window_frame.as_ref()),
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table {
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => first(&[
                (
                    version.is_some(),
                    "a version of a table (FOR SYSTEM_TIME AS OF, VERSION AS OF)",
                ),
                (sample.is_some(), "TABLESAMPLE"),
                (*with_ordinality, "WITH ORDINALITY"),
                (!partitions.is_empty(), "PARTITION of a table"),
                (json_path.is_some(), "a path into a table"),
                (
                    !with_hints.is_empty() || !index_hints.is_empty(),
                    "hints of a table",
                ),
            ]),
            TableFactor::Derived { sample, .. } => first(&[(sample.is_some(), "TABLESAMPLE")]),
            TableFactor::Function { with_ordinality, .. } => first(&[(*with_ordinality, "WITH ORDINALITY")]),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whether rows are to be counted against each other: the engine keeps or drops all that are equal.
fn has_bags(body: &SetExpr) -> bool {
    match body {
        SetExpr::SetOperation {
            op,
            set_quantifier,
            left,
            right,
        } => {
            let is_bag = matches!(
                op,
                SetOperator::Intersect | SetOperator::Except | SetOperator::Minus
            ) && matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
            is_bag || has_bags(left) || has_bags(right)
        }
        // A query in parentheses is visited by itself.
        _ => false,
    }
}

/// Whether the arguments of a function are whole rows, each once.
fn is_over_distinct_rows(args: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = args else {
        return false;
    };
    let is_row = |arg: &FunctionArg| {
        let (FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg)) =
            arg;
        matches!(
            arg,
            FunctionArgExpr::Wildcard | FunctionArgExpr::QualifiedWildcard(_)
        )
    };
    list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && list.args.iter().any(is_row)
}

/// An offset near 2^64 overflows in the engine and gives NULLs, or ends the query's thread.
fn frame(frame: Option<&WindowFrame>) -> ControlFlow<&'static str> {
    let is_huge = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => {
            let digits = offset.to_string();
            digits.len() >= FRAME_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    let is_huge = frame
        .is_some_and(|frame| is_huge(&frame.start_bound) || frame.end_bound.as_ref().is_some_and(is_huge));
    first(&[(is_huge, "a window frame of so many rows; write UNBOUNDED")])
}

/// Breaks with the name of the first clause that is there.
fn first(clauses: &[(bool, &'static str)]) -> ControlFlow<&'static str> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, name)) => ControlFlow::Break(name),
        None => ControlFlow::Continue(()),
    }
}
