//! Functions and operators that make much out of little, or take long over it. A range of ten thousand million numbers is
//! a short text and eighty gigabytes; the memory pool counts what operators keep and not what one call of a function
//! makes, and no call can be stopped while it runs. So each call is measured by its arguments before it is made
//! (`measure.rs`), and operators whose calls may be large get their rows in slices ([`crate::slices`]).
//!
//! Invariants:
//! - No call of a function in [`MEASURED`], and no `||` or regular expression, makes more than its share of
//!   [`BYTES_MAX`] or takes more than about [`STEPS_MAX`] steps. The share is that of a statement's calls: a
//!   thousand calls in one statement have a thousandth each.
//! - What is measured is measured in the plan and not in the session alone: rules of the engine put its own functions in.

mod measure;
mod operator;
mod order_key;
mod version;

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion::optimizer::AnalyzerRule;

pub use self::order_key::has_order_key;

use self::measure::{Arguments, Cost, Measure};

/// Bytes that the calls of one statement may make of one batch together.
const BYTES_MAX: u128 = 256 << 20;
/// The least share of a call, so that a long list of small calls is no fault.
const BYTES_LEAST: u128 = 1 << 20;
/// Steps that one call may take: a few seconds.
const STEPS_MAX: u128 = 1 << 32;

/// The functions, with their measures.
const MEASURED: [(&str, Measure); 26] = [
    ("range", measure::ranges),
    ("generate_series", measure::ranges),
    ("repeat", measure::repeated),
    ("lpad", measure::padded),
    ("rpad", measure::padded),
    ("replace", measure::replaced),
    ("regexp_replace", measure::pattern_replaced),
    ("regexp_like", measure::searched),
    ("regexp_match", measure::searched),
    ("regexp_count", measure::searched),
    ("regexp_instr", measure::searched),
    ("levenshtein", measure::compared),
    ("concat", measure::joined),
    ("concat_ws", measure::joined_with),
    ("overlay", measure::joined),
    ("to_char", measure::formatted),
    ("array_to_string", measure::items_joined),
    ("string_to_array", measure::split),
    ("array_repeat", measure::items_repeated),
    ("array_resize", measure::resized),
    ("array_append", measure::gathered),
    ("array_prepend", measure::gathered),
    ("array_concat", measure::gathered),
    ("make_array", measure::gathered),
    ("array_has_any", measure::paired),
    ("array_has_all", measure::paired),
];

/// Functions of which a few rows may take seconds: their operators get rows in small slices.
const SLOW: [&str; 3] = ["levenshtein", "array_has_any", "array_has_all"];

/// Functions whose second argument is a regular expression.
const PATTERNS: [&str; 5] = [
    "regexp_replace",
    "regexp_like",
    "regexp_match",
    "regexp_count",
    "regexp_instr",
];

/// Puts the measured forms in the place of the engine's own, and adds or replaces `order_key` and `version`.
///
/// # Errors
/// When a session refuses a function.
pub(crate) fn bound(state: &mut SessionState) -> Result<()> {
    for (name, measure) in MEASURED {
        let Ok(inner) = state.udf(name) else {
            continue;
        };
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Measured {
            inner,
            measure,
            bytes_max: BYTES_MAX,
        })))?;
    }
    order_key::bound(state)?;
    version::bound(state)
}

/// The rule that gives every call its share.
#[derive(Debug)]
pub(crate) struct MeasuredFunctions;

impl AnalyzerRule for MeasuredFunctions {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        measured(plan, false)
    }

    fn name(&self) -> &'static str {
        "measured_functions"
    }
}

/// The plan with every call measured, and, where `has_operators` says so, with `||` and all regular expressions measured too.
/// The engine's rules know these by their operators and simplify them, so they are replaced after the rules; but for
/// regular expressions that are not plain, which the rules would compute while they fold constants.
///
/// # Errors
/// What the engine says of an expression whose type it does not know.
pub(crate) fn measured(plan: LogicalPlan, has_operators: bool) -> Result<LogicalPlan> {
    let mut calls = 0_u128;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                calls += u128::from(is_measured(expr));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if calls == 0 {
        return Ok(plan);
    }
    let bytes_max = (BYTES_MAX / calls).max(BYTES_LEAST);
    let replaced = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| replaced(expr, bytes_max, has_operators))?;
            Ok(match changed.transformed {
                true => changed.update_data(|expr| name.restore(expr)),
                false => changed,
            })
        })
    })?;
    Ok(replaced.data)
}

fn is_measured(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => measure_of(call.func.name()).is_some(),
        Expr::BinaryExpr(binary) => operator::measure(binary.op).is_some(),
        _ => false,
    }
}

fn measure_of(name: &str) -> Option<Measure> {
    MEASURED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, measure)| *measure)
}

fn replaced(expr: Expr, bytes_max: u128, has_operators: bool) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(call) => {
            let Some(measure) = measure_of(call.func.name()) else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let inner = match (call.func.inner().as_ref() as &dyn Any).downcast_ref::<Measured>() {
                Some(own) => Arc::clone(&own.inner),
                None => call.func,
            };
            let func = ScalarUDF::new_from_impl(Measured {
                inner,
                measure,
                bytes_max,
            });
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::new(func),
                call.args,
            ))))
        }
        Expr::BinaryExpr(binary) if has_operators || operator::is_heavy(&binary) => {
            Ok(match operator::measure(binary.op) {
                Some(measure) => Transformed::yes(operator::call(binary, measure, bytes_max)),
                None => Transformed::no(Expr::BinaryExpr(binary)),
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Whether a function by this name may take seconds over a few rows.
pub(crate) fn is_slow(name: &str) -> bool {
    SLOW.contains(&name)
}

/// Refuses a call that would make or take too much.
fn check(name: &str, cost: Option<Cost>, bytes_max: u128) -> Result<()> {
    // What cannot be measured has no values to make anything of: a NULL, or a type that the function will refuse.
    let cost = cost.unwrap_or_default();
    if cost.bytes > bytes_max {
        let limit = bytes_max >> 20;
        return Err(DataFusionError::ResourcesExhausted(format!(
            "{name} would make more than {limit} MiB at once"
        )));
    }
    if cost.steps > STEPS_MAX {
        return Err(DataFusionError::ResourcesExhausted(format!(
            "{name} would take more than {STEPS_MAX} steps at once"
        )));
    }
    Ok(())
}

/// A function whose calls are measured first.
#[derive(Debug)]
struct Measured {
    inner: Arc<ScalarUDF>,
    measure: Measure,
    /// Bytes that one call may make.
    bytes_max: u128,
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner && self.bytes_max == other.bytes_max
    }
}

impl Eq for Measured {}

impl Hash for Measured {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        self.bytes_max.hash(state);
    }
}

impl ScalarUDFImpl for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        let (measure, bytes_max) = (self.measure, self.bytes_max);
        Some(ScalarUDF::new_from_impl(Self {
            inner,
            measure,
            bytes_max,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let measured = Arguments::of(&args.args, args.number_rows)?;
        check(self.inner.name(), (self.measure)(&measured), self.bytes_max)?;
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // What the engine makes of a search is an operator, which it computes without a measure where all is constant.
        let is_search = PATTERNS.contains(&self.name());
        if is_search && !args.get(1).is_some_and(measure::is_plain) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        self.inner.simplify(args, context)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests;
