//! The native types that sums are kept in, and what is made of a sum at the end.

use arrow::array::{ArrowNativeTypeOp, ArrowNumericType};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, DecimalType, i256};
use datafusion::error::{DataFusionError, Result};

use super::multiplier;
use crate::error::Error;

/// A type wide enough to add in.
pub(super) trait Wide: DecimalType + ArrowNumericType + std::fmt::Debug + Send + Sync {
    /// The sum, and whether it went round.
    fn plus(left: Self::Native, right: Self::Native) -> (Self::Native, bool);
    /// The difference, and whether it went round.
    fn minus(left: Self::Native, right: Self::Native) -> (Self::Native, bool);
    /// A number of rows.
    fn count(rows: u64) -> Self::Native;
    /// Ten.
    fn ten() -> Self::Native;
}

impl Wide for Decimal128Type {
    #[inline]
    fn plus(left: i128, right: i128) -> (i128, bool) {
        left.overflowing_add(right)
    }

    #[inline]
    fn minus(left: i128, right: i128) -> (i128, bool) {
        left.overflowing_sub(right)
    }

    fn count(rows: u64) -> i128 {
        i128::from(rows)
    }

    fn ten() -> i128 {
        10
    }
}

impl Wide for Decimal256Type {
    fn plus(left: i256, right: i256) -> (i256, bool) {
        match left.checked_add(right) {
            Some(sum) => (sum, false),
            None => (left.wrapping_add(right), true),
        }
    }

    fn minus(left: i256, right: i256) -> (i256, bool) {
        match left.checked_sub(right) {
            Some(sum) => (sum, false),
            None => (left.wrapping_sub(right), true),
        }
    }

    fn count(rows: u64) -> i256 {
        i256::from_i128(i128::from(rows))
    }

    fn ten() -> i256 {
        i256::from_i128(10)
    }
}

/// A type whose values are added in `W`.
pub(super) trait Addend<W: Wide>: ArrowNumericType + std::fmt::Debug + Send + Sync {
    /// The value in the wide type.
    fn widened(value: Self::Native) -> W::Native;
    /// The value in its own type, if it fits.
    fn narrowed(value: W::Native) -> Option<Self::Native>;
}

impl<T, W> Addend<W> for T
where
    T: ArrowNumericType + std::fmt::Debug + Send + Sync,
    W: Wide,
    W::Native: From<T::Native>,
    T::Native: TryFrom<W::Native>,
{
    #[inline]
    fn widened(value: T::Native) -> W::Native {
        value.into()
    }

    fn narrowed(value: W::Native) -> Option<T::Native> {
        value.try_into().ok()
    }
}

/// What is made of a sum.
#[derive(Clone, Debug)]
pub(super) struct Outcome<W: Wide> {
    /// For an average: what the sum is multiplied with, so that the quotient has the digits of its type.
    average: Option<W::Native>,
    /// Of the result.
    pub(super) data_type: DataType,
    /// Of the sum on its way.
    pub(super) wide: DataType,
}

impl<W: Wide> Outcome<W> {
    pub(super) fn new(is_average: bool, of: &DataType, result: &DataType, wide: DataType) -> Self {
        Self {
            average: is_average.then(|| multiplier::<W>(of, result)),
            data_type: result.clone(),
            wide,
        }
    }

    pub(super) fn is_average(&self) -> bool {
        self.average.is_some()
    }

    /// The result for `rows` values, which are more than none.
    ///
    /// # Errors
    /// `Overflow` when the type of the result does not hold it.
    pub(super) fn of<T: Addend<W>>(&self, sum: W::Native, rows: u64) -> Result<T::Native> {
        let value = match self.average {
            None => Some(sum),
            Some(by) => quotient::<W>(sum, by, W::count(rows)),
        };
        value
            .filter(|value| match &self.data_type {
                DataType::Decimal32(precision, _)
                | DataType::Decimal64(precision, _)
                | DataType::Decimal128(precision, _)
                | DataType::Decimal256(precision, _) => W::is_valid_decimal_precision(*value, *precision),
                _ => true,
            })
            .and_then(T::narrowed)
            .ok_or_else(|| self.overflow())
    }

    pub(super) fn overflow(&self) -> DataFusionError {
        let name = if self.is_average() { "avg" } else { "sum" };
        Error::overflow(name.to_owned(), &self.data_type)
    }
}

/// `sum * by / rows` without its fraction, also where the product alone would not fit.
fn quotient<W: Wide>(sum: W::Native, by: W::Native, rows: W::Native) -> Option<W::Native> {
    if let Ok(product) = sum.mul_checked(by) {
        return product.div_checked(rows).ok();
    }
    let whole = sum.div_checked(rows).ok()?.mul_checked(by).ok()?;
    let rest = sum.mod_checked(rows).ok()?.mul_checked(by).ok()?;
    whole.add_checked(rest.div_checked(rows).ok()?).ok()
}

/// The native zero of a type.
pub(super) fn zero<W: ArrowPrimitiveType>() -> W::Native
where
    W::Native: ArrowNativeTypeOp,
{
    W::Native::ZERO
}
