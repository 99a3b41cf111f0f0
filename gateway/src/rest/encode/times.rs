//! Times that have no text. A time counts from its epoch and may lie beyond every calendar; the encoders of Arrow would
//! write a sentence in its place and call that a value.

use arrow::array::{Array, ArrayRef, make_array};
use arrow::compute::{SortOptions, sort_to_indices, take};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// What the engine's formatter writes for a duration that it cannot show.
const NOTHING: &str = "<invalid>";

/// Refuses an array in which a time has no text. What can be written is one stretch of time, so that the ends decide.
///
/// # Errors
/// The engine's word for a value that is out of range.
pub(super) fn check(array: &dyn Array) -> Result<(), ArrowError> {
    let array: ArrayRef = make_array(array.to_data());
    for descending in [false, true] {
        let order = SortOptions {
            descending,
            nulls_first: false,
        };
        let end = take(&array, &sort_to_indices(&array, Some(order), Some(1))?, None)?;
        if end.is_empty() || end.is_null(0) {
            return Ok(());
        }
        let options = FormatOptions::new().with_display_error(false);
        let text = ArrayFormatter::try_new(&end, &options)?
            .value(0)
            .try_to_string()?;
        if text == NOTHING {
            return Err(ArrowError::CastError(format!(
                "a value of {} is too large to be written",
                array.data_type()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, DurationSecondArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn a_time_beyond_the_calendar_is_refused_wherever_it_stands() {
        let far: [ArrayRef; 4] = [
            Arc::new(TimestampSecondArray::from(vec![
                Some(0),
                None,
                Some(i64::MAX),
                Some(1),
            ])),
            Arc::new(TimestampSecondArray::from(vec![i64::MIN, 0])),
            Arc::new(Date32Array::from(vec![0, i32::MAX])),
            Arc::new(DurationSecondArray::from(vec![0, i64::MAX])),
        ];
        for array in far {
            assert!(check(&array).is_err(), "{array:?}");
        }
        let near: [ArrayRef; 4] = [
            Arc::new(TimestampSecondArray::from(vec![Some(0), None])),
            Arc::new(TimestampSecondArray::from(Vec::<i64>::new())),
            Arc::new(TimestampSecondArray::from(vec![None::<i64>])),
            Arc::new(DurationSecondArray::from(vec![-1, 1])),
        ];
        for array in near {
            assert!(check(&array).is_ok(), "{array:?}");
        }
    }
}
