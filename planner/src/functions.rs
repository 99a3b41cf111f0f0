//! Functions that make much out of little. A range of ten thousand million numbers is a short text and eighty gigabytes;
//! the memory pool counts what operators keep and not what one call of a function makes, so each call is measured by its
//! arguments before it is made.
//!
//! Invariant: no call of a function listed in [`AMPLIFIERS`] makes more than [`CALL_BYTES_MAX`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

/// Bytes that one call on one batch may make.
const CALL_BYTES_MAX: u128 = 256 << 20;
/// Days that a month counts for when a range is measured: the fewest, so that the measure is not too small.
const MONTH_DAYS: i128 = 28;
const DAY_MICROS: i128 = 86_400_000_000;

/// Bytes that a call on these arguments would make, about.
type Measure = fn(&[ArrayRef]) -> Option<u128>;

/// The functions, with their measures.
const AMPLIFIERS: [(&str, Measure); 9] = [
    ("range", ranges),
    ("generate_series", ranges),
    ("repeat", repeated),
    ("lpad", padded),
    ("rpad", padded),
    ("replace", replaced),
    ("regexp_replace", replaced),
    ("array_repeat", items_repeated),
    ("array_resize", resized),
];

/// Puts the measured forms in the place of the engine's own.
///
/// # Errors
/// When a session refuses a function.
pub(crate) fn bound(state: &mut SessionState) -> Result<()> {
    for (name, measure) in AMPLIFIERS {
        let Ok(inner) = state.udf(name) else {
            continue;
        };
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Measured { inner, measure })))?;
    }
    Ok(())
}

/// A function whose calls are measured first.
#[derive(Debug)]
struct Measured {
    inner: Arc<ScalarUDF>,
    measure: Measure,
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Measured {}

impl Hash for Measured {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
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
        let measure = self.measure;
        Some(ScalarUDF::new_from_impl(Self { inner, measure }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Scalars stay one row: such a call is made once.
        let rows = match args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
        {
            true => 1,
            false => args.number_rows,
        };
        let arrays: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<Result<_>>()?;
        // What cannot be measured has no values to make anything of: a NULL, or a type that the function will refuse.
        if (self.measure)(&arrays).is_some_and(|bytes| bytes > CALL_BYTES_MAX) {
            let name = self.inner.name();
            let limit = CALL_BYTES_MAX >> 20;
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{name} would make more than {limit} MiB at once"
            )));
        }
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// Eight bytes for each element of each range.
fn ranges(args: &[ArrayRef]) -> Option<u128> {
    let (start, stop, step) = match args {
        [stop] => (None, stop, None),
        [start, stop] => (Some(start), stop, None),
        [start, stop, step, ..] => (Some(start), stop, Some(step)),
        [] => return None,
    };
    let start = match start {
        Some(start) => Some(points(start)?),
        None => None,
    };
    let step = match step {
        Some(step) => Some(steps(step)?),
        None => None,
    };
    let stop = points(stop)?;
    let is_time = args[args.len().min(2) - 1].data_type().is_temporal();
    let elements = (0..stop.len()).map(|row| {
        let from = start.as_ref().map_or(0, |all| value(all, row));
        let by = match step.as_ref() {
            Some(all) => all.get(row).copied().unwrap_or(1).unsigned_abs().max(1),
            None if is_time => DAY_MICROS.unsigned_abs(),
            None => 1,
        };
        (value(&stop, row) - from).unsigned_abs() / by + 1
    });
    Some(elements.sum::<u128>().saturating_mul(8))
}

/// Integers as they are, times as microseconds.
fn points(array: &ArrayRef) -> Option<Int64Array> {
    let plain = match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?
        }
        _ => Arc::clone(array),
    };
    Some(
        cast(&plain, &DataType::Int64)
            .ok()?
            .as_primitive::<Int64Type>()
            .clone(),
    )
}

fn value(array: &Int64Array, row: usize) -> i128 {
    if array.is_null(row) {
        return 0;
    }
    i128::from(array.value(row))
}

fn steps(array: &ArrayRef) -> Option<Vec<i128>> {
    if !matches!(array.data_type(), DataType::Interval(_)) {
        let plain = points(array)?;
        return Some((0..plain.len()).map(|row| value(&plain, row)).collect());
    }
    let plain = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
    let plain = plain.as_primitive::<IntervalMonthDayNanoType>();
    let micros = plain.iter().map(|step| {
        step.map_or(1, |step| {
            let days = i128::from(step.months) * MONTH_DAYS + i128::from(step.days);
            days * DAY_MICROS + i128::from(step.nanoseconds) / 1_000
        })
    });
    Some(micros.collect())
}

fn repeated(args: &[ArrayRef]) -> Option<u128> {
    let [text, times, ..] = args else { return None };
    let (lengths, times) = (lengths(text)?, points(times)?);
    Some(summed(text.len(), |row| {
        lengths[row].saturating_mul(positive(&times, row))
    }))
}

fn padded(args: &[ArrayRef]) -> Option<u128> {
    let [_, width, ..] = args else { return None };
    let width = points(width)?;
    // Up to four bytes a character.
    Some(summed(width.len(), |row| positive(&width, row).saturating_mul(4)))
}

fn replaced(args: &[ArrayRef]) -> Option<u128> {
    let [text, from, to, ..] = args else { return None };
    let is_pattern = args.len() > 3;
    let (text, from, to) = (lengths(text)?, lengths(from)?, lengths(to)?);
    Some(summed(text.len(), |row| {
        // A pattern may match at every place.
        let shortest = if is_pattern { 1 } else { from[row].max(1) };
        text[row].saturating_add((text[row] / shortest).saturating_mul(to[row]))
    }))
}

fn items_repeated(args: &[ArrayRef]) -> Option<u128> {
    let [item, times, ..] = args else { return None };
    let size = (item.to_data().get_slice_memory_size().ok()? / item.len().max(1)).max(1) as u128;
    let times = points(times)?;
    Some(summed(times.len(), |row| {
        positive(&times, row).saturating_mul(size)
    }))
}

fn resized(args: &[ArrayRef]) -> Option<u128> {
    let [_, length, ..] = args else { return None };
    let length = points(length)?;
    Some(summed(length.len(), |row| {
        positive(&length, row).saturating_mul(16)
    }))
}

fn positive(array: &Int64Array, row: usize) -> u128 {
    u128::try_from(value(array, row)).unwrap_or(0)
}

/// Bytes of each text; a NULL has none.
fn lengths(array: &ArrayRef) -> Option<Vec<u128>> {
    let bytes = arrow::compute::kernels::length::length(array.as_ref())
        .or_else(|_| arrow::compute::kernels::length::length(&cast(array, &DataType::Utf8)?))
        .ok()?;
    let bytes = cast(&bytes, &DataType::Int64).ok()?;
    let bytes = bytes.as_primitive::<Int64Type>();
    Some((0..bytes.len()).map(|row| positive(bytes, row)).collect())
}

fn summed(rows: usize, of: impl Fn(usize) -> u128) -> u128 {
    (0..rows).map(of).fold(0, u128::saturating_add)
}

#[cfg(test)]
mod tests;
