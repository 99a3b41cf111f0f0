//! What stays here of a plan, and why: the half of the report that the plan of operators cannot tell any more.

use std::collections::BTreeSet;
use std::fmt;

use connectors::without_values;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// An operator over one source's rows that is not handed down to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The source.
    pub(crate) source: String,
    /// The operator in words, without values.
    pub(crate) operator: String,
    /// Why it stays.
    pub(crate) reason: Reason,
}

/// Why an operator stays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// What it computes has no form at the source that gives exactly the same.
    Inexact,
    /// It is of a kind that is never handed down.
    Kind,
    /// It reads from several sources.
    Sources,
    /// What it works on is made here.
    Below,
    /// It gave other rows there than here in a comparison.
    Withheld,
    /// The session hands nothing down.
    Off,
    /// A policy's barrier: nothing but what the policy lets through goes below it.
    Wall,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inexact => "the source has no form of it that is sure to give the same",
            Self::Kind => "this kind of operator is not handed down",
            Self::Sources => "its inputs are of several sources",
            Self::Below => "what it works on is made here",
            Self::Withheld => "it gave other rows there than here when both were compared",
            Self::Off => "the session hands nothing down",
            Self::Wall => "a barrier stands between it and the source",
        })
    }
}

/// A scan of a lake's table, which is read here and pruned by its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LakeScan {
    /// Full name.
    pub(crate) catalog: String,
    /// Schema and name.
    pub(crate) table: String,
    /// Whether a policy shows the table in part.
    pub(crate) is_secured: bool,
    /// The predicates that choose files and row groups, in words without values.
    pub(crate) filters: Vec<String>,
}

/// What was found while a plan was taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Operators over one source's rows that stay here.
    pub(crate) stops: Vec<Stop>,
    /// Those for whose sake more rows come than the answer needs, and what stopped them.
    pub(crate) drags: Vec<Stop>,
    /// Scans that no statement does.
    pub(crate) lakes: Vec<LakeScan>,
    /// Whether a source runs statements for this plan.
    pub(crate) has_statements: bool,
    /// The rules by which something went down, by source.
    pub(crate) used: Vec<(String, &'static str)>,
}

/// What is not handed down although it could be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Withheld {
    is_all: bool,
    rules: BTreeSet<(String, &'static str)>,
}

impl Withheld {
    /// Nothing is handed down.
    pub(crate) fn all() -> Self {
        Self {
            is_all: true,
            rules: BTreeSet::new(),
        }
    }

    /// These rules are not, by source.
    pub(crate) fn rules(rules: BTreeSet<(String, &'static str)>) -> Self {
        Self { is_all: false, rules }
    }

    pub(crate) fn is_all(&self) -> bool {
        self.is_all
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_all && self.rules.is_empty()
    }

    /// Whether a source is not handed a kind of operator.
    pub(crate) fn has(&self, source: &str, rule: &'static str) -> bool {
        self.is_all || self.rules.iter().any(|(of, what)| of == source && *what == rule)
    }
}

/// The rule for the predicates of a scan.
pub(crate) const FILTER: &str = "filter";

/// The rule by which an operator goes down; none for one that changes no rows.
pub(crate) fn rule(plan: &LogicalPlan) -> Option<&'static str> {
    match plan {
        LogicalPlan::Filter(_) => Some(FILTER),
        LogicalPlan::Join(_) => Some("join"),
        LogicalPlan::Aggregate(_) => Some("aggregate"),
        LogicalPlan::Sort(_) => Some("sort"),
        LogicalPlan::Limit(_) => Some("limit"),
        LogicalPlan::Union(_) => Some("union"),
        _ => None,
    }
}

/// An operator in words without values.
pub(crate) fn operator(plan: &LogicalPlan) -> String {
    let list = |exprs: &[Expr]| exprs.iter().map(without_values).collect::<Vec<_>>().join(", ");
    match plan {
        LogicalPlan::Filter(filter) => format!("filter: {}", without_values(&filter.predicate)),
        LogicalPlan::Projection(projection) => {
            let made: Vec<Expr> = projection
                .expr
                .iter()
                .filter(|expr| !is_column(expr))
                .cloned()
                .collect();
            format!("projection: {}", list(&made))
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            format!("aggregate: {}", list(&aggregate.aggr_expr))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let (groups, calls) = (list(&aggregate.group_expr), list(&aggregate.aggr_expr));
            let dot = if calls.is_empty() { "" } else { " " };
            format!("aggregate: {calls}{dot}by {groups}")
        }
        LogicalPlan::Join(join) => {
            let pairs = join
                .on
                .iter()
                .map(|(left, right)| without_values(&left.clone().eq(right.clone())));
            let on: Vec<String> = pairs.chain(join.filter.iter().map(without_values)).collect();
            format!("{} join: {}", join_word(join.join_type), on.join(" AND "))
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
            let keys: Vec<String> = sort.expr.iter().map(|key| without_values(&key.expr)).collect();
            format!("first rows by {}", keys.join(", "))
        }
        LogicalPlan::Sort(_) => "sort".to_owned(),
        LogicalPlan::Limit(_) => "limit".to_owned(),
        LogicalPlan::Distinct(_) => "distinct".to_owned(),
        LogicalPlan::Union(_) => "union".to_owned(),
        LogicalPlan::Window(window) => format!("window: {}", list(&window.window_expr)),
        LogicalPlan::Extension(extension) => extension.node.name().to_owned(),
        // Kinds that may print values go by their kind alone.
        other => {
            let text = other.display().to_string();
            let kind = text.split([':', ' ', '(']).next().unwrap_or_default();
            kind.to_lowercase()
        }
    }
}

fn join_word(join: JoinType) -> &'static str {
    match join {
        JoinType::Inner => "inner",
        JoinType::Left => "left",
        JoinType::Right => "right",
        JoinType::Full => "full",
        JoinType::LeftSemi | JoinType::RightSemi => "semi",
        JoinType::LeftAnti | JoinType::RightAnti => "anti",
        JoinType::LeftMark | JoinType::RightMark => "mark",
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_column(&alias.expr),
        _ => false,
    }
}

/// Whether an operator gives fewer rows than it takes, so that leaving it here has rows come for nothing.
pub(crate) fn reduces(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(sort) => sort.fetch.is_some(),
        LogicalPlan::Join(join) => matches!(
            join.join_type,
            JoinType::Inner
                | JoinType::LeftSemi
                | JoinType::RightSemi
                | JoinType::LeftAnti
                | JoinType::RightAnti
        ),
        _ => false,
    }
}
