//! What a call would cost, by its arguments. A value that is the same in all rows is looked at once and never spread out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr};

/// Days that a month counts for when a range is measured: the fewest, so that the measure is not too small.
const MONTH_DAYS: i128 = 28;
const DAY_MICROS: i128 = 86_400_000_000;
/// Bytes that one letter of a time's format may become: `%c` and `%+` are two letters and three dozen bytes.
const FORMAT_GROWTH: u128 = 20;
/// Bytes that an element of a list of texts takes beside its letters.
const ITEM_BYTES: u128 = 16;

/// Cost of a call, about.
pub(super) type Measure = fn(&Arguments) -> Option<Cost>;

/// Bytes that a call makes, and steps that it takes for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) bytes: u128,
    pub(super) steps: u128,
}

impl Cost {
    fn bytes(bytes: u128) -> Option<Self> {
        Some(Self { bytes, steps: 0 })
    }

    fn steps(steps: u128) -> Option<Self> {
        Some(Self { bytes: 0, steps })
    }
}

/// The arguments of a call, each as one value for each row or as one for all.
pub(super) struct Arguments {
    all: Vec<ArrayRef>,
    rows: usize,
}

impl Arguments {
    pub(super) fn of(values: &[ColumnarValue], rows: usize) -> Result<Self> {
        // A call of scalars alone is made once.
        let is_once = values
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let all = values
            .iter()
            .map(|value| match value {
                ColumnarValue::Array(array) => Ok(Arc::clone(array)),
                ColumnarValue::Scalar(value) => value.to_array(),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            all,
            rows: if is_once { 1 } else { rows },
        })
    }

    fn get(&self, place: usize) -> Option<&ArrayRef> {
        self.all.get(place)
    }

    /// The sum over all rows.
    fn summed(&self, of: impl Fn(usize) -> u128) -> u128 {
        (0..self.rows).map(of).fold(0, u128::saturating_add)
    }
}

/// One number a row, or one for all rows.
struct Each<T>(Vec<T>);

impl<T: Copy + Default> Each<T> {
    fn at(&self, row: usize) -> T {
        match self.0.as_slice() {
            [one] => *one,
            all => all.get(row).copied().unwrap_or_default(),
        }
    }
}

/// Eight bytes for each element of each range.
pub(super) fn ranges(args: &Arguments) -> Option<Cost> {
    let (start, stop, step) = match args.all.as_slice() {
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
    let is_time = stop.data_type().is_temporal();
    let stop = points(stop)?;
    let elements = args.summed(|row| {
        let from = start.as_ref().map_or(0, |all| all.at(row));
        let by = match step.as_ref() {
            Some(all) => all.at(row).unsigned_abs().max(1),
            None if is_time => DAY_MICROS.unsigned_abs(),
            None => 1,
        };
        (stop.at(row) - from).unsigned_abs() / by + 1
    });
    Cost::bytes(elements.saturating_mul(8))
}

/// Integers as they are, times as microseconds; a NULL is nothing.
fn points(array: &ArrayRef) -> Option<Each<i128>> {
    let plain = match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?
        }
        _ => Arc::clone(array),
    };
    let plain = cast(&plain, &DataType::Int64).ok()?;
    let plain: &Int64Array = plain.as_primitive::<Int64Type>();
    Some(Each(
        plain
            .iter()
            .map(|value| i128::from(value.unwrap_or_default()))
            .collect(),
    ))
}

fn steps(array: &ArrayRef) -> Option<Each<i128>> {
    if !matches!(array.data_type(), DataType::Interval(_)) {
        return points(array);
    }
    let plain = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
    let plain = plain.as_primitive::<IntervalMonthDayNanoType>();
    let micros = plain.iter().map(|step| {
        step.map_or(1, |step| {
            let days = i128::from(step.months) * MONTH_DAYS + i128::from(step.days);
            days * DAY_MICROS + i128::from(step.nanoseconds) / 1_000
        })
    });
    Some(Each(micros.collect()))
}

pub(super) fn repeated(args: &Arguments) -> Option<Cost> {
    let (text, times) = (lengths(args.get(0)?)?, points(args.get(1)?)?);
    Cost::bytes(args.summed(|row| text.at(row).saturating_mul(positive(&times, row))))
}

pub(super) fn padded(args: &Arguments) -> Option<Cost> {
    let width = points(args.get(1)?)?;
    // Up to four bytes a character.
    Cost::bytes(args.summed(|row| positive(&width, row).saturating_mul(4)))
}

pub(super) fn replaced(args: &Arguments) -> Option<Cost> {
    let (text, from, to) = (
        lengths(args.get(0)?)?,
        lengths(args.get(1)?)?,
        lengths(args.get(2)?)?,
    );
    Cost::bytes(args.summed(|row| {
        let places = text.at(row) / from.at(row).max(1);
        text.at(row).saturating_add(places.saturating_mul(to.at(row)))
    }))
}

pub(super) fn pattern_replaced(args: &Arguments) -> Option<Cost> {
    let (text, to) = (lengths(args.get(0)?)?, lengths(args.get(2)?)?);
    // A pattern may match at every place.
    let bytes = args.summed(|row| {
        let added = (text.at(row) + 1).saturating_mul(to.at(row));
        text.at(row).saturating_add(added)
    });
    Some(Cost {
        bytes,
        ..searched(args)?
    })
}

/// A text is gone through once for each state that the pattern may be in.
pub(super) fn searched(args: &Arguments) -> Option<Cost> {
    let (text, pattern) = (lengths(args.get(0)?)?, weights(args.get(1)?)?);
    Cost::steps(args.summed(|row| (text.at(row) + 1).saturating_mul(pattern.at(row))))
}

/// Whether an expression is a pattern that is written out and repeats nothing a given number of times.
pub(super) fn is_plain(pattern: &Expr) -> bool {
    match pattern {
        Expr::Literal(value, _) => value
            .try_as_str()
            .is_some_and(|text| text.is_none_or(|text| repetitions(text) == 1)),
        Expr::Alias(alias) => is_plain(&alias.expr),
        _ => false,
    }
}

/// States of each pattern, about: its letters, times whatever it says to repeat. Most letters of a pattern without
/// repetitions are decided by a table, so sixteen of them count as one.
fn weights(array: &ArrayRef) -> Option<Each<u128>> {
    let texts = cast(array, &DataType::LargeUtf8).ok()?;
    let texts = texts.as_string::<i64>();
    Some(Each(texts.iter().map(|text| text.map_or(0, weight)).collect()))
}

fn weight(pattern: &str) -> u128 {
    let length = pattern.len() as u128;
    match repetitions(pattern) {
        1 => 1 + length / 16,
        times => times.saturating_mul(length),
    }
}

/// The product of all that a pattern says to repeat, whether one is inside the other or beside it.
fn repetitions(pattern: &str) -> u128 {
    let mut repeated = 1_u128;
    for piece in pattern.split('{').skip(1) {
        let inside = piece.split('}').next().unwrap_or_default();
        let most = inside
            .split(',')
            .filter_map(|number| number.trim().parse::<u128>().ok());
        repeated = repeated.saturating_mul(most.max().unwrap_or(1).max(1));
    }
    repeated
}

pub(super) fn compared(args: &Arguments) -> Option<Cost> {
    let (left, right) = (lengths(args.get(0)?)?, lengths(args.get(1)?)?);
    Cost::steps(args.summed(|row| (left.at(row) + 1).saturating_mul(right.at(row) + 1)))
}

pub(super) fn joined(args: &Arguments) -> Option<Cost> {
    let all = args.all.iter().map(lengths).collect::<Option<Vec<_>>>()?;
    Cost::bytes(args.summed(|row| all.iter().map(|text| text.at(row)).sum()))
}

pub(super) fn joined_with(args: &Arguments) -> Option<Cost> {
    let all = args.all.iter().map(lengths).collect::<Option<Vec<_>>>()?;
    let (separator, texts) = all.split_first()?;
    let gaps = texts.len() as u128;
    Cost::bytes(args.summed(|row| {
        let letters: u128 = texts.iter().map(|text| text.at(row)).sum();
        letters.saturating_add(gaps.saturating_mul(separator.at(row)))
    }))
}

pub(super) fn formatted(args: &Arguments) -> Option<Cost> {
    let format = lengths(args.get(1)?)?;
    Cost::bytes(args.summed(|row| format.at(row).saturating_mul(FORMAT_GROWTH)))
}

pub(super) fn items_joined(args: &Arguments) -> Option<Cost> {
    let list = args.get(0)?;
    let (items, bytes) = (items(list), size(list));
    let separator = lengths(args.get(1)?)?;
    let replaced = match args.get(2) {
        Some(null) => lengths(null)?,
        None => Each(vec![0]),
    };
    let rows = args.rows as u128;
    let text = bytes.saturating_mul(if list.len() == 1 { rows } else { 1 });
    let gaps = args.summed(|row| {
        items
            .at(row)
            .saturating_mul(separator.at(row).saturating_add(replaced.at(row)))
    });
    // A number takes up to three times its bytes when it is written out.
    Cost::bytes(text.saturating_mul(3).saturating_add(gaps))
}

pub(super) fn split(args: &Arguments) -> Option<Cost> {
    let (text, at) = (lengths(args.get(0)?)?, lengths(args.get(1)?)?);
    Cost::bytes(args.summed(|row| {
        let items = text.at(row) / at.at(row).max(1) + 1;
        text.at(row).saturating_add(items.saturating_mul(ITEM_BYTES))
    }))
}

pub(super) fn items_repeated(args: &Arguments) -> Option<Cost> {
    let item = args.get(0)?;
    let each = (size(item) / (item.len().max(1) as u128)).max(1);
    let times = points(args.get(1)?)?;
    Cost::bytes(args.summed(|row| positive(&times, row).saturating_mul(each)))
}

pub(super) fn resized(args: &Arguments) -> Option<Cost> {
    let length = points(args.get(1)?)?;
    Cost::bytes(args.summed(|row| positive(&length, row).saturating_mul(ITEM_BYTES)))
}

/// All arguments together, each as often as it is taken.
pub(super) fn gathered(args: &Arguments) -> Option<Cost> {
    let rows = args.rows as u128;
    let bytes = args.all.iter().map(|array| {
        let times = if array.len() == 1 { rows } else { 1 };
        size(array).saturating_mul(times)
    });
    Cost::bytes(bytes.fold(0, u128::saturating_add))
}

pub(super) fn paired(args: &Arguments) -> Option<Cost> {
    let (left, right) = (items(args.get(0)?), items(args.get(1)?));
    Cost::steps(args.summed(|row| left.at(row).saturating_mul(right.at(row))))
}

fn positive(array: &Each<i128>, row: usize) -> u128 {
    u128::try_from(array.at(row)).unwrap_or(0)
}

/// Bytes of an array's values, without what is shared with other rows of its buffers.
fn size(array: &ArrayRef) -> u128 {
    let bytes = array.to_data().get_slice_memory_size();
    bytes.unwrap_or_else(|_| array.get_array_memory_size()) as u128
}

/// Elements of each list; none of anything else.
fn items(array: &ArrayRef) -> Each<u128> {
    let lengths = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().offsets().lengths().collect::<Vec<_>>(),
        DataType::LargeList(_) => array.as_list::<i64>().offsets().lengths().collect(),
        DataType::FixedSizeList(_, length) => {
            vec![usize::try_from(*length).unwrap_or(0); array.len()]
        }
        _ => Vec::new(),
    };
    Each(lengths.into_iter().map(|length| length as u128).collect())
}

/// Bytes of each text; a NULL has none.
fn lengths(array: &ArrayRef) -> Option<Each<u128>> {
    let bytes = arrow::compute::kernels::length::length(array.as_ref())
        .or_else(|_| arrow::compute::kernels::length::length(&cast(array, &DataType::Utf8)?))
        .ok()?;
    let bytes = cast(&bytes, &DataType::Int64).ok()?;
    let bytes = bytes.as_primitive::<Int64Type>();
    Some(Each(
        bytes
            .iter()
            .map(|length| u128::try_from(length.unwrap_or_default()).unwrap_or(0))
            .collect(),
    ))
}
